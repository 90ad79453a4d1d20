"""Words' rows made of their letters, once per distinct word of the batch; knows no text and no vocabulary.

Legend: U distinct ids, L letters of a word, A kinds of letters, C filters per width, D row size.
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gatelight.errors import DataError
from gatelight.memory import threads
from gatelight.memory.operators import linear
from gatelight.models.dropout import dropout
from gatelight.models.embedding import DistinctIds, Ids
from gatelight.models.pieces import Pieces, Rows

WIDTHS = 6  # filters see 1 to so many letters
PLACES = WIDTHS * (WIDTHS + 1) // 2  # of letters in filters, of all widths together


class Spelling(nn.Module):
    """Letters → filters of 1 to 6 letters → their maxima over the word → ReLU → dense layer: the word's row.

    As Kim et al. 2016 (arXiv:1508.06615) without their highway. A letter is one of A, so a filter's value at
    a place is a sum of rows of `weight` [PLACES · A, C], looked up: nothing is one-hot and no word is padded.
    A word shorter than a filter is seen by as much of it as fits. Ids without letters (UNK) give the row of
    the empty word, which has no filter's value.
    """

    def __init__(
        self,
        vocabulary_size: int,
        dim: int,
        *,
        letters: int,
        filters: int,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
        device: str | None = None,
    ) -> None:
        super().__init__()
        self.dropout, self.letters = dropout, letters
        self.distinct = DistinctIds(vocabulary_size)
        self.weight = nn.Parameter(torch.empty(PLACES * letters, filters, device=device))
        self.bias = nn.Parameter(torch.zeros(WIDTHS * filters, device=device))
        self.dense_weight = nn.Parameter(torch.empty(dim, WIDTHS * filters, device=device))
        self.dense_bias = nn.Parameter(torch.zeros(dim, device=device))
        if device != "meta":
            with torch.no_grad():
                # The sum of k places then has the variance 1/4 at every width k.
                for width, (begin, end) in enumerate(pairwise(place_bounds()), start=1):
                    bound = (3 / (4 * width)) ** 0.5
                    self.weight[begin * letters : end * letters].uniform_(-bound, bound, generator=generator)
            nn.init.xavier_uniform_(self.dense_weight, generator=generator)

    def forward(
        self, ids: Ids, generator: torch.Generator | None = None, pieces: Pieces | None = None
    ) -> tuple[Tensor, Ids]:
        """ids int32 [N] → (rows [U, D] of the distinct ids, number int32 [N] of the row of each id).

        `pieces` holds the letters of ids beyond the vocabulary. Raises DataError for an id that has none.
        """
        size = self.distinct.vocabulary_size
        distinct, number = self.distinct(ids, None if pieces is None else pieces.stop)
        counts = np.zeros(len(distinct), np.int64)
        spelled = np.zeros(0, np.int32)
        beyond = distinct >= size
        if pieces is not None and beyond.any():
            if distinct[beyond].min() < pieces.first or pieces.rows.max() >= self.letters:
                raise DataError(
                    f"ids from {distinct[beyond].min()} and letters up to {pieces.rows.max()} do not fit a "
                    f"model of {self.letters} letters whose words begin at {pieces.first}"
                )
            counts[beyond], spelled = pieces.lists(distinct[beyond])
        pooled = _Filters.apply(self.weight, self.bias, counts, spelled, self.letters)  # type: ignore[no-untyped-call]
        rows = linear(pooled, self.dense_weight, self.dense_bias)
        return (dropout(rows, self.dropout, generator) if self.training else rows), number


def spelling_weights(dim: int, letters: int, filters: int) -> int:
    """Return how many weights a `Spelling` of these sizes has."""
    return PLACES * letters * filters + WIDTHS * filters + dim * (WIDTHS * filters + 1)


def place_bounds() -> list[int]:
    """Where each width's places begin: 0, 1, 3, 6, …; width k has the k places up to the next."""
    return [width * (width - 1) // 2 for width in range(1, WIDTHS + 2)]


class _Filters(torch.autograd.Function):
    """weight [PLACES · A, C], bias [WIDTHS · C], counts [U], letters [sum of L] → ReLU of maxima [U, …]."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, bias: Tensor, counts: NDArray[np.int64], spelled: Rows, letters: int
    ) -> Tensor:
        table, bent = weight.detach().contiguous().numpy(), bias.detach().numpy()
        starts = np.cumsum([0, *counts], dtype=np.int64)
        out = weight.new_zeros(len(counts), len(bias))
        best = np.zeros(out.shape, np.int16)
        cuts = np.linspace(0, len(counts), 4 * threads.threads() + 1).astype(np.int64).tolist()
        tasks = [
            partial(_forward, table, bent, starts, spelled, letters, out.numpy(), best, begin, end)
            for begin, end in pairwise(cuts)
        ]
        threads.run(tasks, len(spelled) * PLACES * table.shape[1])
        ctx.save_for_backward(weight, out)
        ctx.spelled, ctx.starts, ctx.best, ctx.letters = spelled, starts, best, letters
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        weight, out = ctx.saved_tensors
        d_max = d_out * (out > 0)
        d_weight = torch.zeros_like(weight)
        given = d_max.contiguous().numpy()
        # Each width has rows of its own in the table, so the sums do not depend on the threads.
        tasks = [
            partial(_backward, given, ctx.starts, ctx.spelled, ctx.letters, ctx.best, d_weight.numpy(), width)
            for width in range(WIDTHS, 0, -1)
        ]
        threads.run(tasks, len(given) * PLACES * weight.shape[1])
        d_bias = weight.new_zeros(d_max.shape[1])
        _sum_rows(given, d_bias.numpy())
        return d_weight, d_bias, None, None, None


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _forward(
    table: Any, bias: Any, starts: Any, spelled: Any, letters: int, out: Any, best: Any, begin: int, end: int
) -> None:
    filters = table.shape[1]
    value = np.empty(filters, table.dtype)
    for word in range(begin, end):
        first, length = starts[word], starts[word + 1] - starts[word]
        if length == 0:
            continue
        for width in range(1, WIDTHS + 1):
            offset = width * (width - 1) // 2
            column = (width - 1) * filters
            seen = min(width, length)
            highest, where = out[word, column : column + filters], best[word, column : column + filters]
            for place in range(length - seen + 1):
                value[:] = 0
                for step in range(seen):
                    row = table[(offset + step) * letters + spelled[first + place + step]]
                    for f in range(filters):
                        value[f] += row[f]
                for f in range(filters):
                    if place == 0 or value[f] > highest[f]:
                        highest[f] = value[f]
                        where[f] = place
            for f in range(filters):
                highest[f] = max(highest[f] + bias[column + f], table.dtype.type(0))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _backward(
    d_max: Any, starts: Any, spelled: Any, letters: int, best: Any, d_table: Any, width: int
) -> None:
    filters = d_table.shape[1]
    offset = width * (width - 1) // 2
    column = (width - 1) * filters
    for word in range(d_max.shape[0]):
        first, length = starts[word], starts[word + 1] - starts[word]
        for step in range(min(width, length)):
            for f in range(filters):
                letter = spelled[first + best[word, column + f] + step]
                d_table[(offset + step) * letters + letter, f] += d_max[word, column + f]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sum_rows(rows: Any, total: Any) -> None:
    for k in range(rows.shape[0]):
        for f in range(rows.shape[1]):
            total[f] += rows[k, f]
