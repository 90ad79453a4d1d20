"""Embedding → recurrent stack → output layer over the vocabulary: scores of the next id; knows no text.

Legend: B streams, N packed rows, D embedding size, H hidden size, V vocabulary. Scores are unnormalised
logarithms; a row's scores have the same bits alone and in any company.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatelight.errors import DataError
from gatelight.models.classifier import recurrent_layers, start_recurrent, zero_state
from gatelight.models.classifier_config import ClassifierConfig
from gatelight.models.dropout import dropout
from gatelight.models.embedding import UNIFORM, Embedding
from gatelight.models.losses import softmax_cross_entropy
from gatelight.models.rows import DistinctIds
from gatelight.nn import Packing
from gatelight.nn.linear import linear
from gatelight.nn.threads import single_threaded_torch

OUTPUTS = ("softmax", "adaptive", "sampled")
# Uniform in ±√3 is variance 1, as torch's embeddings start. With the classifier's ±0.05 a symbol hardly moves
# the gates at first: after a million characters it was 2.61 bits a character, so it is 2.41.
VARIANCE_ONE = math.sqrt(3)
ADAPTIVE_CUTS = (0.04, 0.2)  # of the ids, most frequent first: the head, and the first of two tails
State = list[tuple[Tensor, ...]]  # of each layer: (h [1, B, H],) or (h, c)


@dataclass(frozen=True)
class LanguageModelConfig:
    """The shape of a language model; raises DataError when a value cannot be."""

    vocabulary_size: int
    dim: int = 128
    cell: str = "lstm"
    hidden: int = 256
    layers: int = 1
    tied: bool = False  # whether the output layer's weights are the embedding's
    output: str = "softmax"  # "sampled" only in training; "adaptive": Grave et al. 2017
    samples: int = 1024  # of "sampled": ids drawn for each batch
    dropout: float = 0.0  # before the output layer
    embedding_dropout: float = 0.0
    layer_dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            raise DataError(f"output is {self.output!r}; expected one of {', '.join(OUTPUTS)}")
        if not isinstance(self.tied, bool):
            raise DataError(f"tied is {self.tied!r}; expected true or false")
        if isinstance(self.samples, bool) or not isinstance(self.samples, int) or self.samples < 1:
            raise DataError(f"samples is {self.samples!r}; expected a whole number, at least 1")
        if self.tied and self.dim != self.hidden:
            raise DataError(
                f"tied weights need vectors as large as the memory; dim is {self.dim}, hidden {self.hidden}"
            )
        if self.tied and self.output == "adaptive":
            raise DataError("an adaptive output has weights of its own; leave tied off, or choose another")
        if self.output == "adaptive" and self.vocabulary_size < 50:
            raise DataError(
                f"an adaptive output is for large vocabularies, this one has {self.vocabulary_size} tokens; "
                "choose output 'softmax'"
            )
        self.memory()

    def memory(self) -> ClassifierConfig:
        """The stack's settings, checked where a classifier's are."""
        names = ("vocabulary_size", "dim", "cell", "hidden", "layers", "dropout", "embedding_dropout")
        shared = {name: getattr(self, name) for name in (*names, "layer_dropout")}
        return ClassifierConfig(**shared)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LanguageModelConfig:
        """The configuration that `to_dict` gave; DataError for a name that there is not."""
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise DataError(f"unknown setting {unknown[0]!r}; expected some of {', '.join(known)}")
        return cls(**values)


class TiedEmbedding(nn.Module):
    """A table [V, D] that is the output layer's too, so its gradient is that of all rows."""

    def __init__(self, vocabulary_size: int, dim: int, share: float, generator: torch.Generator) -> None:
        super().__init__()
        self.dropout, self.distinct = share, DistinctIds(vocabulary_size)
        self.weight = nn.Parameter(torch.empty(vocabulary_size, dim))
        with torch.no_grad():
            self.weight.uniform_(-UNIFORM, UNIFORM, generator=generator)

    def forward(
        self, ids: NDArray[np.int32], generator: torch.Generator | None = None
    ) -> tuple[Tensor, NDArray[np.int32]]:
        """ids int32 [N] → (rows [U, D] of the distinct ids, number int32 [N] of the row of each id)."""
        distinct, number = self.distinct(ids)
        rows = self.weight.index_select(0, torch.from_numpy(distinct))
        return (dropout(rows, self.dropout, generator) if self.training else rows), number


class LanguageModel(nn.Module):
    """Scores of the next id after each of many sequences' ids."""

    def __init__(self, config: LanguageModelConfig, seed: int = 0) -> None:
        """Start from `seed` as the classifier does, but vectors that are not tied with variance 1; the
        output layer uniform in ±1/√H, its bias zero.
        """
        super().__init__()
        self.config = config
        generator = torch.Generator().manual_seed(seed)
        size, dim, share = config.vocabulary_size, config.dim, config.embedding_dropout
        self.embedding: nn.Module = (
            TiedEmbedding(size, dim, share, generator)
            if config.tied
            else Embedding(size, dim, dropout=share, bound=VARIANCE_ONE, generator=generator)
        )
        shape = config.memory()
        self.memory = nn.ModuleList(recurrent_layers(shape))
        bound = 1 / math.sqrt(config.hidden)
        with single_threaded_torch(), torch.no_grad():
            for layer in self.memory:
                for name, parameter in layer.named_parameters():
                    start_recurrent(name, parameter, shape, generator)
            if config.output == "adaptive":
                cuts = sorted({max(2, int(share * size)) for share in ADAPTIVE_CUTS})
                self.adaptive = nn.AdaptiveLogSoftmaxWithLoss(config.hidden, size, cuts)
                for parameter in self.adaptive.parameters():
                    parameter.uniform_(-bound, bound, generator=generator)
            else:
                self.output_bias = nn.Parameter(torch.zeros(size))
                if not config.tied:
                    weight = torch.empty(size, config.hidden).uniform_(-bound, bound, generator=generator)
                    self.output_weight = nn.Parameter(weight)

    def output_layer(self) -> tuple[Tensor, Tensor]:
        """Weight [V, H] and bias [V] of an output that is not adaptive."""
        weight = self.embedding.weight if self.config.tied else self.output_weight
        return weight, self.output_bias  # type: ignore[return-value]

    def initial(self, streams: int) -> State:
        """The state of B sequences before their first id: zeros."""
        return zero_state(self.config.memory(), streams)

    def hidden(
        self,
        ids: NDArray[np.int32],
        packing: Packing,
        state: State | None = None,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, State]:
        """Packed ids int32 [N], state before them in packed order → last layer's rows [N, H], state after."""
        rows, number = self.embedding(ids, generator)
        token: Tensor | None = torch.from_numpy(number)
        after: State = []
        for place, layer in enumerate(self.memory):
            before = None if state is None else state[place]
            initial = before if before is None or len(before) == 2 else before[0]
            if place and self.training:
                rows = dropout(rows, self.config.layer_dropout, generator)
            rows, end = layer.packed(rows, packing, token, initial)  # type: ignore[operator]
            token = None
            after.append(end if isinstance(end, tuple) else (end,))
        if self.training:
            rows = dropout(rows, self.config.dropout, generator)
        return rows, after

    def scores(self, hidden: Tensor) -> Tensor:
        """Hidden rows [N, H] → scores [N, V], whose softmax is the distribution of the next id."""
        if self.config.output != "adaptive":
            return linear(hidden, *self.output_layer())
        adaptive = self.adaptive
        head = linear(hidden, adaptive.head.weight)
        parts = [head[:, : adaptive.shortlist_size]]
        total = torch.logsumexp(head, 1, keepdim=True)
        for number, tail in enumerate(adaptive.tail):
            inner, outer = tail.parameters()
            scores = linear(linear(hidden, inner), outer)
            cluster = head[:, adaptive.shortlist_size + number, None]
            parts.append(scores - torch.logsumexp(scores, 1, keepdim=True) + cluster)
        return torch.cat(parts, 1) - total

    def loss(
        self, hidden: Tensor, targets: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, int | None]:
        """Mean loss of hidden rows [N, H] before targets int64 [N], and how many the best score hits.

        With an adaptive output hits are not counted (None), nor with a sampled one, the loss of which is that
        among the samples.
        """
        if self.config.output == "adaptive":
            return self.adaptive(hidden, targets).loss, None
        if self.config.output == "sampled" and self.training:
            return self._sampled_loss(hidden, targets, generator), None
        return softmax_cross_entropy(self.scores(hidden), targets)

    def _sampled_loss(self, hidden: Tensor, targets: Tensor, generator: torch.Generator | None) -> Tensor:
        """Ids drawn to stand for all others, by importance sampling (Bengio & Senécal 2008)."""
        ids, expected = log_uniform(self.config.vocabulary_size, self.config.samples, generator)
        weight, bias = self.output_layer()
        true = (hidden * weight[targets]).sum(1) + bias[targets]
        others = linear(hidden, weight[ids], bias[ids] - expected.to(hidden.dtype))
        others = others.masked_fill(targets[:, None] == ids[None, :], float("-inf"))
        scores = torch.cat([true[:, None], others], 1)
        return softmax_cross_entropy(scores, torch.zeros(len(scores), dtype=torch.int64))[0]


def log_uniform(size: int, samples: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Draw ids int64 [S] below `size`, and float64 [S] the logarithms of how often each is expected.

    The log-uniform distribution suits ids by falling frequency.
    """
    draws = torch.rand(samples, generator=generator, dtype=torch.float64)
    ids = (torch.exp(draws * math.log(size + 1)) - 1).long().clamp_max(size - 1)
    share = torch.log1p(1 / (ids.double() + 1)) / math.log(size + 1)
    return ids, torch.log(share * samples)


def detached(state: State) -> State:
    """The same numbers without their past."""
    return [tuple(part.detach() for part in layer) for layer in state]
