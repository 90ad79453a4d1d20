"""One set of weights for every library's model, and how its results are told; knows no library."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class NoteWeights:
    """Frozen vectors [V, D], an LSTM in PyTorch's gate order, a dense layer over T steps of H to one logit.

    weight_ih [4H, D], weight_hh [4H, H], bias [4H] (the one that is trained), dense [T·H], dense_bias [1].
    """

    table: Array
    weight_ih: Array
    weight_hh: Array
    bias: Array
    dense: Array
    dense_bias: Array

    @property
    def hidden(self) -> int:
        """H."""
        return self.weight_hh.shape[1]

    @property
    def steps(self) -> int:
        """T."""
        return len(self.dense) // self.hidden


def random_weights(vocabulary: int, dim: int, hidden: int, steps: int, seed: int = 0) -> NoteWeights:
    """Random throughout, biases too: with zeros there a swapped gate would not show."""
    random = np.random.default_rng(seed)

    def normal(*shape: int, scale: float) -> Array:
        return scale * random.standard_normal(shape, np.float32)

    table = normal(vocabulary, dim, scale=0.15)  # about the spread of the usual pretrained vectors
    table[0] = 0.0
    return NoteWeights(
        table=table,
        weight_ih=normal(4 * hidden, dim, scale=0.08),
        weight_hh=normal(4 * hidden, hidden, scale=0.12),
        bias=normal(4 * hidden, scale=0.3),
        dense=normal(steps * hidden, scale=0.02),
        dense_bias=normal(1, scale=0.3),
    )


def results(
    logits: Array, weight_ih: Array, weight_hh: Array, bias: Array, dense: Array, dense_bias: Array
) -> dict[str, Array]:
    """Logits [B] and the gradients of the mean loss by name, in the shapes of `NoteWeights`."""
    return {
        "logits": logits.reshape(-1),
        "d weight_ih": weight_ih,
        "d weight_hh": weight_hh,
        "d bias": bias,
        "d dense": dense.reshape(-1),
        "d dense_bias": dense_bias.reshape(-1),
    }
