"""Characters of reviews as one stream of ids, and a language model of them with torch.nn's layers.

W13 trains such models, W14 lets them write.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.reviews import source, texts
from gatelight.models.language_model import LanguageModel, LanguageModelConfig
from gatelight.text.tokenizers import code_points

DIM, LAYERS = 64, 2
SPECIAL = 2  # ids that stand for no character


@dataclass(frozen=True)
class Stream:
    """`ids` int32 [N] of a text's characters, from SPECIAL on, and which characters those are."""

    ids: NDArray[np.int32]
    characters: list[str]
    origin: str

    @property
    def vocabulary_size(self) -> int:
        """The characters and the ids that stand for none."""
        return SPECIAL + len(self.characters)


def characters(count: int) -> Stream:
    """The first `count` characters of the reviews, one after the other."""
    text, number = "", 0
    every = texts()
    while len(text) < count:
        text += "\n".join(every[number : number + 100]) + "\n"
        number += 100
    points, ids = np.unique(code_points(text[:count]), return_inverse=True)
    return Stream((ids + SPECIAL).astype(np.int32), [chr(point) for point in points], source())


def network(size: int, hidden: int) -> LanguageModel:
    """Ours: embedding, two LSTM layers, output layer, from a seed."""
    return LanguageModel(LanguageModelConfig(size, dim=DIM, hidden=hidden, layers=LAYERS), seed=0)


class TorchLanguageModel(nn.Module):
    """The same with torch.nn's layers and ours' weights."""

    def __init__(self, ours: LanguageModel) -> None:
        super().__init__()
        size, hidden = ours.config.vocabulary_size, ours.config.hidden
        self.embedding = nn.Embedding(size, DIM)
        self.memory = nn.LSTM(DIM, hidden, num_layers=LAYERS)
        self.output = nn.Linear(hidden, size)
        with torch.no_grad():
            for own, other in self.pairs(ours).values():
                own.copy_(other)
            for layer in range(LAYERS):
                # Ours trains one bias of the two that are only ever added together.
                self.memory.get_parameter(f"bias_hh_l{layer}").zero_().requires_grad_(False)

    def pairs(self, ours: LanguageModel) -> dict[str, tuple[nn.Parameter, Tensor]]:
        """Its trained weights and ours, by name."""
        weight, bias = ours.output_layer()
        found = {
            "embedding": (self.embedding.weight, ours.embedding.weight),
            "output weight": (self.output.weight, weight),
            "output bias": (self.output.bias, bias),
        }
        for layer, own in enumerate(ours.memory):
            for name in ("weight_ih", "weight_hh", "bias_ih"):
                mine = self.memory.get_parameter(f"{name}_l{layer}")
                found[f"{name} of layer {layer + 1}"] = mine, own.get_parameter(f"{name}_l0")
        return found  # type: ignore[return-value]
