"""Sequences of unequal length kept as one flat array, and the batches for training and prediction.

Knows ids and lengths only: nothing of models, losses or texts. Everything here is a pure function of
its arguments; no global random state is read or changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gatelight.compiled import compiled
from gatelight.errors import DataError
from gatelight.nn.packing import Packing, pack

BATCH = 1024  # sequences predicted together
BATCH_ROWS = 1 << 15  # rows: what bounds the memory of such a batch, a single longer sequence aside
BATCH_BYTES = 1 << 23  # hidden states, narrow ones, that such a batch may have even if its rows are more
EVEN = 16  # a multiple of so many is taken by the kernels and by two threads without a rest
CHUNK = 50  # batches whose sequences are sorted by length together; fewer mix lengths, more lose randomness


@dataclass(frozen=True)
class Sequences:
    """B sequences end to end: `ids` int32 [N], `lengths` int64 [B] with sum N; a length may be zero."""

    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, ids: ArrayLike, lengths: ArrayLike) -> Sequences:
        """Check flat ids [N] and lengths [B] and take them over (uncopied if they fit); raises DataError."""
        flat, counts = np.asarray(ids), np.asarray(lengths)
        for name, array in (("ids", flat), ("lengths", counts)):
            if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
                raise DataError(
                    f"{name} came as {array.dtype} with shape {array.shape}; expected a flat array of "
                    "integers (all sequences end to end, and how long each is)"
                )
        if counts.size and counts.min() < 0:
            raise DataError(f"lengths contain {counts.min()}; a sequence has zero steps or more")
        if int(counts.sum()) != flat.size:
            raise DataError(
                f"lengths sum to {counts.sum()} but there are {flat.size} ids; they must be equal"
            )
        counts = np.ascontiguousarray(counts, dtype=np.int64)
        return cls(np.ascontiguousarray(flat, dtype=np.int32), counts, np.cumsum(counts) - counts)

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, index: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Sequences number `index` int64 [b], end to end in that order: ids int32 [n], lengths int64 [b]."""
        lengths = self.lengths[index]
        ids = np.empty(int(lengths.sum()), dtype=np.int32)
        _gather(self.ids, self.starts[index], lengths, ids)
        return ids, lengths

    def packed(
        self, index: NDArray[np.int64], part: tuple[int, int] = (0, 1)
    ) -> tuple[NDArray[np.int32], Packing]:
        """Sequences number `index` int64 [b] as packed ids int32 [n], and the plan of their rows.

        Or, as `part`, only those at packed positions begin, begin + every, …
        """
        packing = pack(self.lengths[index]).part(*part)
        return packing.gathered(self.ids, self.starts[index[packing.order]]), packing


def packed(ids: ArrayLike, lengths: ArrayLike) -> tuple[NDArray[np.int32], Packing]:
    """Flat ids as int32 [N] and the plan of their packed rows; DataError when the lengths do not fit them."""
    flat = np.ascontiguousarray(ids, dtype=np.int32)
    packing = pack(lengths)
    if flat.ndim != 1 or len(flat) != packing.rows:
        raise DataError(
            f"ids of shape {flat.shape} and lengths that add up to {packing.rows}; expected as many ids"
        )
    return flat, packing


def plan_batches(
    lengths: NDArray[np.int64], batch_size: int, *, seed: int, epoch: int, bucket: bool
) -> list[NDArray[np.int64]]:
    """Shuffle B sequences into ceil(B / batch_size) batches of sequence numbers, each sequence once.

    With `bucket`, batches hold sequences of like length: the shuffled sequences are cut into chunks of
    CHUNK batches, each chunk is sorted by length, and the batches are shuffled again. Without, plain
    shuffling. The plan depends on `seed` and `epoch` alone (and on the lengths).
    """
    if batch_size < 1:
        raise DataError(f"batch_size came as {batch_size}; it must be 1 or more")
    random = np.random.default_rng([seed, epoch])
    order = random.permutation(len(lengths)).astype(np.int64)
    if not bucket:
        return [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    batches = []
    for begin in range(0, len(order), CHUNK * batch_size):
        chunk = order[begin : begin + CHUNK * batch_size]
        chunk = chunk[np.argsort(lengths[chunk], kind="stable")]
        # The short batch, where there is one, is cut at a random end: cut always at the end
        # of the longest, long texts would be seen in smaller batches than the others.
        rest = len(chunk) % batch_size
        first = rest if rest and random.random() < 0.5 else batch_size
        cuts = [0, *range(first, len(chunk), batch_size), len(chunk)]
        batches += [chunk[a:b] for a, b in pairwise(cuts) if b > a]
    return [batches[k] for k in random.permutation(len(batches))]


def rows_at_once(row_bytes: int) -> int:
    """How many rows of hidden states, of so many bytes each, a batch may have: fewer batches take less."""
    return max(BATCH_ROWS, BATCH_BYTES // row_bytes)


def like_lengths(
    lengths: NDArray[np.int64], batch_size: int, rows: int | None = None
) -> Iterator[NDArray[np.int64]]:
    """Numbers of the sequences, longest first, at most `batch_size` and about `rows` rows at a time.

    These are BATCH_ROWS unless given.
    """
    rows = rows or BATCH_ROWS
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        longest = max(int(lengths[order[start]]), 1)
        size = max(1, min(batch_size, rows // longest))
        stop = start + (size - size % EVEN if size > EVEN else size)
        yield order[start:stop]
        start = stop


@compiled
def _gather(
    ids: NDArray[np.int32], starts: NDArray[np.int64], lengths: NDArray[np.int64], out: NDArray[np.int32]
) -> None:
    at = 0
    for k in range(len(starts)):
        begin = starts[k]
        for step in range(lengths[k]):
            out[at + step] = ids[begin + step]
        at += lengths[k]
