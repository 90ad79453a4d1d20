"""Batches of sequences as packed rows and distinct ids, the next one made while the present one is learnt.

All that does not depend on the weights is done by threads that would be idle while Python goes from one
computation to the next. Knows ids, lengths and a table of rows: nothing of models or losses.
Legend: b sequences of a batch, N packed rows, T steps, U distinct ids, V vocabulary, D row size.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.models.batches import Sequences, like_lengths
from gatelight.models.rows import Ids, number_distinct
from gatelight.nn import buffers, threads
from gatelight.nn.copying import begin_copying
from gatelight.nn.crew import BEGUN
from gatelight.nn.crew import begin as begin_job
from gatelight.nn.packing import Packing, gather_rows, plan_rows

MOST_BYTES = 1 << 25
"""Rows of a table that could take more memory than this are not copied ahead."""

ID_WORK = 128
"""To find an id's place and its number takes about as long as so many multiply-adds."""

Floats = NDArray[Any]


class Words(NamedTuple):
    """The distinct ids of a batch int64 [U], the number int32 [N] of each packed id among them, and rows."""

    distinct: NDArray[np.int64]
    number: Ids
    rows: Floats | None  # [U, D] of a table that does not change


class Batch(NamedTuple):
    """Packed ids int32 [N], their plan, and what is known of their words."""

    ids: Ids
    packing: Packing
    words: Words | None


class Ahead:
    """The batches of some sequences. Whoever asks for another than was begun waits as long as ever."""

    def __init__(self, sequences: Sequences, vocabulary_size: int = 0, table: Floats | None = None) -> None:
        """With a `vocabulary_size` words are told apart; of a frozen `table` [V, D] their rows are copied."""
        self._sequences, self._table = sequences, table
        self._marker = np.full(vocabulary_size, -1, np.int32)
        self._begun: tuple[NDArray[np.int64], _Room] | None = None

    def begin(self, index: NDArray[np.int64]) -> None:
        """Begin to make the batch of sequences number `index` int64 [b], beside what goes on."""
        some = self._sequences
        room = _Room.of(some.lengths[index], len(self._marker), self._table)
        given = some.ids, some.starts, some.lengths, np.ascontiguousarray(index), self._marker, *room.plan
        self._begun = index, room
        threads.begin(_all_made, given, len(room.ids) * ID_WORK)

    def take(self, index: NDArray[np.int64]) -> Batch:
        """The batch of sequences number `index`; its words are None where they are not told apart.

        Rows of the table may not be there before the next work that threads share.
        """
        if self._begun is None or self._begun[0] is not index:
            self.begin(index)
        assert self._begun is not None
        threads.finish()
        batch = self._begun[1].batch()
        self._begun = None
        words = batch.words
        if self._table is not None and words is not None and words.rows is not None:
            # As late as that, for they are then read while they are in a cache.
            begin_copying(self._table, words.distinct, words.rows)
        return batch


def judged(
    ids: Ids,
    lengths: NDArray[np.int64],
    batch_size: int,
    outputs: int,
    judge: Callable[[Ids, Packing], NDArray[np.float32]],
    rows: int | None = None,
) -> NDArray[np.float32]:
    """What `judge` gives of packed ids and their plan, [B, outputs], batch by batch and put in order.

    Batches as `like_lengths` makes them.
    """
    sequences = Sequences.of(ids, lengths)
    result = np.empty((len(lengths), outputs), np.float32)
    plan = list(like_lengths(sequences.lengths, batch_size, rows))
    made = Ahead(sequences)
    try:
        for batch, upcoming in zip_longest(plan, plan[1:]):
            packed, packing, _ = made.take(batch)
            if upcoming is not None:
                made.begin(upcoming)
            result[batch] = judge(packed, packing)
    finally:
        threads.finish()
    return result


_NO_ROWS = np.zeros((0, 0), np.float32)


class _Room(NamedTuple):
    """What is to be filled."""

    order: NDArray[np.int64]
    falling: NDArray[np.int64]
    alive: NDArray[np.int64]
    first: NDArray[np.int64]
    ids: Ids
    distinct: NDArray[np.int64]
    number: Ids
    found: NDArray[np.int64]
    rows: Floats

    @property
    def plan(self) -> tuple[NDArray[Any], ...]:
        """All but rows."""
        return self[:-1]

    @classmethod
    def of(cls, lengths: NDArray[np.int64], vocabulary_size: int, table: Floats | None) -> _Room:
        """Room for a batch of these lengths."""
        rows, steps = int(lengths.sum()), int(lengths.max(initial=0))
        most = min(rows, vocabulary_size)
        copied = table is not None and most * table.shape[1] * table.itemsize <= MOST_BYTES
        return cls(
            np.empty(len(lengths), np.int64),
            np.empty(len(lengths), np.int64),
            np.empty(steps, np.int64),
            np.empty(steps, np.int64),
            np.empty(rows, np.int32),
            np.empty(most, np.int64),
            np.empty(rows if vocabulary_size else 0, np.int32),
            np.zeros(1, np.int64),
            buffers.empty((most, table.shape[1]), table.dtype) if copied and table is not None else _NO_ROWS,
        )

    def batch(self) -> Batch:
        """What was filled."""
        packing = Packing(self.order, self.falling, self.alive, self.first, len(self.ids))
        found = int(self.found[0])
        if len(self.number) == 0 or found < 0:  # a wrong id is named by who reads it
            return Batch(self.ids, packing, None)
        rows = self.rows[:found] if self.rows.size else None
        return Batch(self.ids, packing, Words(self.distinct[:found], self.number, rows))


@compiled
def _make(
    flat: Any, starts: Any, lengths: Any, index: Any, marker: Any, order: Any, falling: Any, alive: Any,
    first: Any, ids: Any, distinct: Any, number: Any, found: Any, k: int,
) -> None:  # fmt: skip
    plan_rows(lengths[index], order, falling, alive, first)
    gather_rows(flat, starts[index[order]], alive, ids)
    if marker.shape[0] > 0:
        found[0] = number_distinct(ids, marker, distinct, number)


@compiled
def _all_made(
    flat: Any, starts: Any, lengths: Any, index: Any, marker: Any, order: Any, falling: Any, alive: Any,
    first: Any, ids: Any, distinct: Any, number: Any, found: Any, opened: Any, crew: Any, helpers: int,
) -> int:  # fmt: skip
    given = (
        flat, starts, lengths, index, marker, order, falling, alive, first, ids, distinct, number, found
    )  # fmt: skip
    state = begin_job(_make, given, crew, helpers, 1)
    opened[0] = state == BEGUN
    return int(state)
