"""Ids that have no row of their own but are the mean of several: a ragged table; knows arrays, and no words.

Legend: S ids asked for, R rows given, L rows of all lists together, D row size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.errors import DataError
from gatelight.nn import threads

Rows = NDArray[np.int32]


@dataclass(frozen=True)
class Subwords:
    """The id `first` + k is the mean of the subwords rows[starts[k] : starts[k + 1]].

    starts int64 [W + 1] from 0 up, rows int32 numbers of subwords from 0 to K − 1. Raises DataError when they
    do not fit each other.
    """

    first: int
    starts: NDArray[np.int64]
    rows: Rows

    def __post_init__(self) -> None:
        fits = len(self.starts) > 0 and self.starts[0] == 0 and self.starts[-1] == len(self.rows)
        if not fits or (np.diff(self.starts) < 1).any() or (len(self.rows) and self.rows.min() < 0):
            raise DataError(
                f"subwords: {len(self.starts)} starts do not divide {len(self.rows)} rows; expected starts "
                "that rise from 0 to the number of rows, and no negative row"
            )

    @property
    def stop(self) -> int:
        """The first id that is none of these any more."""
        return self.first + len(self.starts) - 1

    def lists(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], Rows]:
        """Ids int64 [S], of `first` to `stop` − 1 → (counts int64 [S], their rows end to end int32 [L])."""
        begin = self.starts[ids - self.first]
        counts = self.starts[ids - self.first + 1] - begin
        places = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        return counts, self.rows[np.repeat(begin, counts) + places]


def list_means(rows: NDArray[Any], counts: NDArray[np.int64], numbers: Rows) -> NDArray[Any]:
    """rows [R, D] → [S, D]: the mean of each list of rows; numbers int32 [L], list after list, counts [S].

    A list's mean has the same bits whatever the other lists are: it is summed in the list's own order.
    """
    starts = np.concatenate([[0], np.cumsum(counts)])
    out = np.zeros((len(counts), rows.shape[1]), rows.dtype)
    tasks = [partial(_mean, rows, starts, numbers, out, *cut) for cut in threads.cuts(len(counts))]
    threads.run(tasks, len(numbers) * rows.shape[1])
    return out


def list_means_back(d_out: NDArray[Any], counts: NDArray[np.int64], numbers: Rows, rows: int) -> NDArray[Any]:
    """The gradient [R, D] of `list_means`' R rows, from that of what it gave."""
    starts = np.concatenate([[0], np.cumsum(counts)])
    d_rows = np.zeros((rows, d_out.shape[1]), d_out.dtype)
    # Cut by columns: a row's sum is then made by one thread, always in the same order.
    cuts = threads.cuts(d_out.shape[1])
    tasks = [partial(_mean_backward, d_out, starts, numbers, d_rows, *cut) for cut in cuts]
    threads.run(tasks, len(numbers) * d_out.shape[1])
    return d_rows


@compiled
def _mean(rows: Any, starts: Any, numbers: Any, out: Any, begin: int, end: int) -> None:
    for k in range(begin, end):
        for place in range(starts[k], starts[k + 1]):
            row = numbers[place]
            for j in range(out.shape[1]):
                out[k, j] += rows[row, j]
        if starts[k + 1] - starts[k] > 1:
            share = out.dtype.type(1.0 / (starts[k + 1] - starts[k]))
            for j in range(out.shape[1]):
                out[k, j] *= share


@compiled
def _mean_backward(d_out: Any, starts: Any, numbers: Any, d_rows: Any, begin: int, end: int) -> None:
    for k in range(len(starts) - 1):
        if starts[k + 1] == starts[k]:
            continue
        share = d_out.dtype.type(1.0 / (starts[k + 1] - starts[k]))
        for place in range(starts[k], starts[k + 1]):
            row = numbers[place]
            for j in range(begin, end):
                d_rows[row, j] += d_out[k, j] * share
