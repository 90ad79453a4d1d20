"""Some ids drawn to stand for a large vocabulary in the loss, and the gradients of the output layer by them.

Bengio & Senécal 2008: the target's term of the softmax's sum is exact, that of all others is estimated by
importance sampling, here from the log-uniform distribution that suits ids by falling frequency. Knows arrays.
Legend: N rows, H hidden size, V vocabulary, S samples.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.models.loss_kernels import EXP_WORK, of_next_ids
from gatelight.nn import threads
from gatelight.nn.product import linear_back, rows_times_turned
from gatelight.nn.rows import add_row, add_scaled_row

Floats = NDArray[Any]
Ids = NDArray[np.int32]


class Drawn(NamedTuple):
    """`ids` int64 [S], each drawn by itself, and float64 [S] the logarithms of how often each is expected."""

    ids: NDArray[np.int64]
    expected: NDArray[np.float64]


def draw(size: int, samples: int, generator: torch.Generator | None) -> Drawn:
    """Draw S ids below V."""
    draws = torch.rand(samples, generator=generator, dtype=torch.float64).numpy()
    ids = np.minimum((np.exp(draws * math.log(size + 1)) - 1).astype(np.int64), size - 1)
    share = np.log1p(1 / (ids + 1.0)) / math.log(size + 1)
    return Drawn(ids, np.log(share * samples))


class SampledLoss:
    """The loss of hidden rows [N, H] before targets int32 [N], and the way back; weight [V, H], bias [V]."""

    def __init__(self, hidden: Floats, targets: Ids, weight: Floats, bias: Floats, drawn: Drawn) -> None:
        self._hidden, self._targets, self._weight, self._drawn = hidden, targets, weight, drawn
        # The first column is the target's, written over; as a column of the product it costs next to nothing.
        self._rows = np.concatenate([np.zeros_like(weight[:1]), weight[drawn.ids]])
        start = np.append(0.0, bias[drawn.ids] - drawn.expected).astype(weight.dtype)
        self._scores = rows_times_turned(hidden, [self._rows], start)
        tasks = [
            partial(_put_targets, hidden, targets, weight, bias, drawn.ids, self._scores, *cut)
            for cut in threads.cuts(len(hidden))
        ]
        threads.run(tasks, self._scores.size * EXP_WORK)
        self.loss, _ = of_next_ids(self._scores, np.zeros(len(hidden), np.int32))

    def back(self) -> tuple[Floats, Floats, Floats]:
        """The gradients of hidden, weight and bias."""
        d_hidden, d_rows, d_start = linear_back(self._scores, self._hidden, [self._rows], True, True, True)
        d_weight, d_bias = np.zeros_like(self._weight), np.zeros(len(self._weight), self._weight.dtype)
        _spread(
            self._scores, self._hidden, self._targets, self._weight, self._drawn.ids, d_rows, d_start,
            d_hidden, d_weight, d_bias,
        )  # fmt: skip
        return d_hidden, d_weight, d_bias


@compiled
def _put_targets(
    hidden: Any, targets: Any, weight: Any, bias: Any, drawn: Any, scores: Any, begin: int, end: int
) -> None:
    """Write each target's own score into the first column; a sample that is the target counts for nothing."""
    for row in range(begin, end):
        target = targets[row]
        total = bias[target]
        for j in range(hidden.shape[1]):
            total += hidden[row, j] * weight[target, j]
        scores[row, 0] = total
        for s in range(drawn.shape[0]):
            if drawn[s] == target:
                scores[row, 1 + s] = -np.inf


@compiled
def _spread(
    d_scores: Any, hidden: Any, targets: Any, weight: Any, drawn: Any, d_rows: Any, d_start: Any,
    d_hidden: Any, d_weight: Any, d_bias: Any,
) -> None:  # fmt: skip
    """Add the targets' part to d_hidden, and all parts to their rows of d_weight and d_bias."""
    size = hidden.shape[1]
    for row in range(hidden.shape[0]):
        target, own = targets[row], d_scores[row, 0]
        add_scaled_row(weight, target * size, own, d_hidden, row * size, size)
        add_scaled_row(hidden, row * size, own, d_weight, target * size, size)
        d_bias[target] += own
    for s in range(drawn.shape[0]):
        add_row(d_rows, (1 + s) * size, d_weight, drawn[s] * size, size)
        d_bias[drawn[s]] += d_start[1 + s]
