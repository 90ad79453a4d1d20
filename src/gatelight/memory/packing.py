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

    @cached_property
    def sequence_rows(self) -> Index:
        """Place [N] of every packed row in the flat, sequence-after-sequence, original order."""
        return self.gathered(np.arange(self.rows))

    def gathered(self, flat: NDArray[Any]) -> NDArray[Any]:
        """flat [N], sequence after sequence in original order → its packed rows [N], always a copy."""
        flat = np.require(flat, requirements=("C", "W"))  # compiled code tells arrays apart by these
        out = np.empty(self.rows, flat.dtype)
        gather_rows(flat, self.starts, self.alive, out)
        return out

    def positions(self) -> Index:
        """Packed position [B] of every original sequence: the inverse of `order`."""
        positions = np.empty_like(self.order)
        positions[self.order] = np.arange(len(self.order))
        return positions

    def sequence(self, index: int) -> Index:
        """Packed rows [length] of one original sequence, in time order; IndexError when there is none."""
        position = int(self.positions()[index])
        return self.first[: self.lengths[position]] + position

    def padded_rows(self, steps: int, batch_first: bool = False) -> Index:
        """Place [N] of every packed row in padded [steps, B], or [B, steps], taken as one list of rows."""
        at = np.empty(self.rows, np.int64)
        _padded_rows(self.alive, self.order, steps, batch_first, at)
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
    least = int(given[0]) if len(given) == 1 else given.min(initial=0)
    if least < 0:
        raise DataError(f"lengths hold {least}; a sequence has zero or more steps")
    if len(given) == 1:  # as below, for who reads one text at a time
        return Packing(np.zeros(1, np.int64), given, np.ones(least, np.int64), np.arange(least), least)
    order = np.argsort(-given, kind="stable")
    falling = given[order]
    steps = int(falling[0]) if len(falling) else 0
    alive = (len(given) - np.cumsum(np.bincount(given, minlength=steps)[:steps])).astype(np.int64, copy=False)
    return _packing(order, falling, alive)


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
    return _packing(original, falling, counts)


def _packing(order: Index, falling: Index, alive: Index) -> Packing:
    ends = np.cumsum(alive)
    return Packing(order, falling, alive, ends - alive, int(ends[-1]) if len(ends) else 0)


@compiled
def gather_rows(flat: Any, starts: Any, alive: Any, out: Any) -> None:
    """Write the packed rows of sequences that begin at flat[starts[k]], k in packed order, into out [N]."""
    row = 0
    for t in range(alive.shape[0]):
        for k in range(alive[t]):
            out[row] = flat[starts[k] + t]
            row += 1


@compiled
def _padded_rows(alive: Any, order: Any, steps: int, batch_first: bool, at: Any) -> None:
    row = 0
    for t in range(len(alive)):
        for k in range(alive[t]):
            at[row] = order[k] * steps + t if batch_first else t * len(order) + order[k]
            row += 1
