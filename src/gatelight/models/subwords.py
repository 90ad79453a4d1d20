"""Ids to rows of a table, once per distinct id of a batch, or as the mean of several rows: subword n-grams.

Knows arrays only, no torch and no words.
Legend: N packed rows, V vocabulary, K subwords, U distinct ids of a batch, L rows of all lists together,
D row size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError

PAD = 0
UNKNOWN = 1

Ids = NDArray[np.int32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Subwords:
    """The id `first` + k is the mean of the rows rows[starts[k] : starts[k + 1]].

    starts int64 [W + 1] from 0 up, rows int32 numbers of subwords from 0 to K − 1. Raises DataError when they
    do not fit each other.
    """

    first: int
    starts: Ints
    rows: Ids

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

    def lists(self, ids: Ints) -> tuple[Ints, Ids]:
        """Ids int64 [S], of `first` to `stop` − 1 → (counts int64 [S], their rows end to end int32 [L])."""
        begin = self.starts[ids - self.first]
        counts = self.starts[ids - self.first + 1] - begin
        places = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        return counts, self.rows[np.repeat(begin, counts) + places]


class Lists:
    """Lists of row numbers, of which the means are wanted: counts int64 [S], numbers int32 [L]."""

    def __init__(self, counts: Ints, numbers: Ids, rows: int) -> None:
        self.counts, self.numbers, self.rows = counts, numbers, rows

    def means(self, rows: NDArray[Any]) -> NDArray[Any]:
        """rows [R, D] → [S, D], each summed in its list's own order, so the same bits whatever the others."""
        found: NDArray[Any] = (self._sums(rows.dtype) @ rows) * self._fractions(rows.dtype)
        return found

    def means_backward(self, d_means: NDArray[Any]) -> NDArray[Any]:
        """The gradient [R, D] of the rows, from that of their means."""
        found: NDArray[Any] = self._sums(d_means.dtype).T @ (d_means * self._fractions(d_means.dtype))
        return found

    def _sums(self, dtype: Any) -> Any:
        from scipy.sparse import csr_array

        starts = np.concatenate([[0], np.cumsum(self.counts)])
        shape = len(self.counts), self.rows
        return csr_array((np.ones(len(self.numbers), dtype), self.numbers, starts), shape)

    def _fractions(self, dtype: Any) -> NDArray[Any]:
        return (1.0 / np.maximum(self.counts, 1)).astype(dtype)[:, None]


def lists_of_rows(
    distinct: Ints, subwords: Subwords | None, size: int, buckets: int
) -> tuple[Ints, Ints, Lists]:
    """Distinct ids [U] → (known, parts, lists): the mean of which rows each of them is read as.

    The rows are those of the table [size + buckets, D] at `known`, then at `parts`; the list of an id below
    `size` is its own row alone. Raises DataError for an id that is neither such a one nor one of `subwords`.
    """
    own = distinct < size
    known, others = distinct[own], distinct[~own]
    counts = np.ones(len(distinct), np.int64)
    parts, used = np.zeros(0, np.int64), np.zeros(0, np.int32)
    if subwords is not None and len(others):
        if others.min() < subwords.first:
            raise DataError(
                f"id {others.min()} is neither one of the vocabulary nor one of the subwords, "
                f"{subwords.first} to {subwords.stop - 1}"
            )
        counts[~own], lists = subwords.lists(others)
        parts, used = distinct_ids(lists, buckets)
        parts += size
    numbers = np.empty(int(counts.sum()), np.int32)
    of_known = np.repeat(own, counts)
    numbers[of_known] = np.arange(len(known))
    numbers[~of_known] = used + len(known)
    return known, parts, Lists(counts, numbers, len(known) + len(parts))


def distinct_ids(ids: NDArray[Any], stop: int) -> tuple[Ints, Ids]:
    """ids integers [N] → (distinct int64 [U], rising, number int32 [N]) with ids == distinct[number].

    Raises DataError for an id that is negative, or not below `stop`.
    """
    check_ids(ids, stop)
    there = np.zeros(stop, np.bool_)
    there[ids] = True
    distinct = np.flatnonzero(there)
    number = np.empty(stop, np.int32)  # written and read where an id is there
    number[distinct] = np.arange(len(distinct))
    return distinct, number[ids]


def check_ids(ids: NDArray[Any], stop: int) -> None:
    """Raise DataError for an id that is negative, or not below `stop`."""
    if ids.size and not (ids.min() >= 0 and ids.max() < stop):
        wrong = ids[(ids < 0) | (ids >= stop)][0]
        raise DataError(
            f"id {int(wrong)} is outside of the vocabulary: expected 0 to {stop - 1}; encode "
            "the texts with the vocabulary of this model"
        )
