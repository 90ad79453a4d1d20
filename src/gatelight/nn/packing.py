"""Sequences of unequal length as time-major packed rows: no row is padding.

Knows lengths only, neither ids nor tensors nor cells.

Sequences are sorted by falling length (stable). Step t owns the rows first[t] : first[t] + alive[t], and
row k of step t continues row k of step t − 1. Sequences of length zero stand last and own no row.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatelight.compiled import compiled
from gatelight.errors import DataError

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Packing:
    """Where every real step of a batch lies; all arrays are int64 and owned by the packing."""

    order: Index  # [B] packed position k → original sequence
    lengths: Index  # [B] in packed order, falling
    alive: Index  # [T] sequences that have a step t
    first: Index  # [T] first row of step t
    rows: int  # N = sum of the lengths
    of: tuple[Index, int, int] | None = (
        None  # of a part: `first` of the whole, where it begins, every how many
    )

    @property
    def sequences(self) -> int:
        """B, sequences of length zero included."""
        return len(self.lengths)

    @property
    def steps(self) -> int:
        """T, the longest length."""
        return len(self.alive)

    @property
    def uniform(self) -> bool:
        """Whether all sequences are equally long, so that packed rows are simply [T, B]."""
        return self.rows == self.steps * self.sequences

    @property
    def starts(self) -> Index:
        """Where each sequence, in packed order, begins in the flat, sequence-after-sequence order."""
        given = np.empty_like(self.lengths)
        given[self.order] = self.lengths
        starts: Index = (np.cumsum(given) - given)[self.order]
        return starts

    def part(self, begin: int, every: int) -> Packing:
        """Return the rows of the sequences at packed positions begin, begin + every, …

        `order` still numbers the sequences of the whole, so what is of all original sequences it lacks.
        """
        if every == 1:
            return self
        alive = np.maximum(0, -((begin - self.alive) // every))
        alive = alive[alive > 0]
        order, lengths = (np.ascontiguousarray(of[begin::every]) for of in (self.order, self.lengths))
        return _planned(order, lengths, alive, (self.first, begin, every))

    @cached_property
    def row_numbers(self) -> Index:
        """Which row [N] of the whole each row is."""
        if self.of is None:
            return np.arange(self.rows)
        position = np.arange(self.rows) - np.repeat(self.first, self.alive)
        first, begin, every = self.of
        numbers: Index = np.repeat(first[: self.steps], self.alive) + begin + every * position
        return numbers

    @cached_property
    def sequence_numbers(self) -> Index:
        """Which packed position [B] of the whole each sequence has."""
        _, begin, every = self.of or (None, 0, 1)
        return np.arange(self.sequences) * every + begin

    @cached_property
    def sequence_rows(self) -> Index:
        """Place [N] of every packed row in the flat, sequence-after-sequence, original order."""
        return self.gathered(np.arange(self.rows))

    def gathered(self, flat: NDArray[Any], starts: Index | None = None) -> NDArray[Any]:
        """flat [M], where the sequence at packed position k begins at starts[k] → packed rows [N], a copy.

        Without starts one sequence follows the other in the original order.
        """
        if starts is None and len(flat) < self.rows:
            raise IndexError(f"{self.rows} steps are packed, but only {len(flat)} were given")
        packed = np.empty(self.rows, flat.dtype)
        _gather(flat, self.starts if starts is None else starts, self.first, self.alive, packed)
        return packed

    @cached_property
    def positions(self) -> Index:
        """Packed position [B] of every original sequence: the inverse of `order`."""
        positions = np.empty(len(self.order), np.int64)
        positions[self.order] = np.arange(len(self.order))
        return positions

    def sequence(self, index: int) -> Index:
        """Packed rows [length] of one original sequence, in time order; IndexError when there is none."""
        position = int(self.positions[index])
        return self.first[: self.lengths[position]] + position

    def padded_rows(self, steps: int, batch_first: bool = False) -> Index:
        """Place [N] of every packed row in padded [steps, B], or [B, steps], taken as one list of rows."""
        step = np.repeat(np.arange(self.steps), self.alive)
        sequence = self.order[np.arange(self.rows) - self.first[step]]
        at: Index = sequence * steps + step if batch_first else step * self.sequences + sequence
        return at


def pack(lengths: ArrayLike) -> Packing:
    """Plan the packed rows of sequences of these lengths (integers [B], zero allowed).

    Raises DataError when `lengths` is not one list of whole numbers, none of them negative.
    """
    given = np.asarray(lengths)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise DataError(
            f"lengths came as {given.dtype} of shape {given.shape}; expected one list of whole numbers, "
            "one for each sequence"
        )
    given = given.astype(np.int64, copy=False)
    if given.size and given.min() < 0:
        raise DataError(f"lengths hold {given.min()}; a sequence has zero or more steps")
    order = np.argsort(-given, kind="stable")
    falling = given[order]
    alive = np.searchsorted(-falling, -np.arange(falling[0] if len(falling) else 0))
    return _planned(order, falling, alive)


def pack_alive(alive: ArrayLike, order: ArrayLike | None = None) -> Packing:
    """Plan rows packed already: `alive` [T] a PackedSequence's batch_sizes, `order` [B] its sorted_indices.

    Raises DataError when `alive` rises or holds a step without a row.
    """
    counts = np.array(alive, dtype=np.int64)
    if counts.ndim != 1 or (np.diff(counts) > 0).any() or (counts < 1).any():
        raise DataError("batch sizes of packed rows must be one falling list of numbers above zero")
    sequences = int(counts[0]) if len(counts) else 0
    falling = len(counts) - np.searchsorted(counts[::-1], np.arange(sequences), side="right")
    original = np.arange(sequences) if order is None else np.array(order, dtype=np.int64)
    return _planned(original, falling, counts)


def _planned(order: Index, falling: Index, alive: Index, of: tuple[Index, int, int] | None = None) -> Packing:
    ends = np.cumsum(alive)
    return Packing(order, falling, alive, ends - alive, int(ends[-1]) if len(ends) else 0, of)


@compiled
def _gather(flat: Any, starts: Index, first: Index, alive: Index, packed: Any) -> None:
    steps = len(alive)
    for begin in range(0, steps, 16):  # as many as a cache line has: each is read once
        for k in range(alive[begin]):
            t = begin
            while t < min(begin + 16, steps) and k < alive[t]:
                packed[first[t] + k] = flat[starts[k] + t]
                t += 1


def check_index(index: NDArray[Any], rows: int) -> None:
    """Raise IndexError unless every number of `index` is one of so many rows."""
    if index.size and not (index.min() >= 0 and index.max() < rows):
        raise IndexError(
            f"index holds row numbers from {index.min()} to {index.max()}; there are {rows} rows, "
            "numbered from 0"
        )
