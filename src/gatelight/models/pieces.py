"""Ids that have no row of their own but are the mean of several: a ragged table; knows no words.

Legend: S ids asked for, R rows given, L rows of all lists together, D row size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from gatelight.errors import DataError

Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Pieces:
    """The id `first` + k is the mean of the pieces rows[starts[k] : starts[k + 1]].

    starts int64 [W + 1] from 0 up, rows int32 numbers of pieces from 0 to K − 1. Raises DataError when they
    do not fit each other.
    """

    first: int
    starts: NDArray[np.int64]
    rows: Rows

    def __post_init__(self) -> None:
        fits = len(self.starts) > 0 and self.starts[0] == 0 and self.starts[-1] == len(self.rows)
        if not fits or (np.diff(self.starts) < 1).any() or (len(self.rows) and self.rows.min() < 0):
            raise DataError(
                f"pieces: {len(self.starts)} starts do not divide {len(self.rows)} rows; expected starts "
                "that rise from 0 to the number of rows, and no negative row"
            )

    @property
    def stop(self) -> int:
        """The first id that is none of these any more."""
        return self.first + len(self.starts) - 1

    def lists(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], Rows]:
        """Ids int64 [S], of `first` to `stop` − 1 → (counts int64 [S], their pieces end to end int32 [L])."""
        begin = self.starts[ids - self.first]
        counts = self.starts[ids - self.first + 1] - begin
        places = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        return counts, self.rows[np.repeat(begin, counts) + places]


def means(rows: Tensor, counts: NDArray[np.int64], numbers: Rows) -> Tensor:
    """rows [R, D] → [S, D]: the mean of each list of rows; numbers int32 [L], list after list, counts [S].

    A list's mean has the same bits whatever the other lists are: it is summed in the list's own order.
    """
    return _Means.apply(rows, counts, numbers)  # type: ignore[no-any-return, no-untyped-call]


class _Means(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: NDArray[np.int64], numbers: Rows) -> Tensor:
        ctx.counts, ctx.numbers, ctx.shape = counts, numbers, rows.shape
        out = rows.new_zeros(len(counts), rows.shape[1])
        _mean(rows.detach().contiguous().numpy(), counts, numbers, out.numpy())
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor, None, None]:
        d_rows = d_out.new_zeros(ctx.shape)
        _mean_backward(d_out.contiguous().numpy(), ctx.counts, ctx.numbers, d_rows.numpy())
        return d_rows, None, None


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mean(rows: Any, counts: Any, numbers: Any, out: Any) -> None:
    at = 0
    for k in range(len(counts)):
        for place in range(at, at + counts[k]):
            out[k] += rows[numbers[place]]
        if counts[k] > 1:
            out[k] *= out.dtype.type(1.0 / counts[k])
        at += counts[k]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mean_backward(d_out: Any, counts: Any, numbers: Any, d_rows: Any) -> None:
    at = 0
    for k in range(len(counts)):
        share = d_out.dtype.type(1.0 / counts[k]) if counts[k] else d_out.dtype.type(0)
        for place in range(at, at + counts[k]):
            d_rows[numbers[place]] += d_out[k] * share
        at += counts[k]
