"""Ids to rows of a table, once per distinct id of the batch; knows no words and no reader of the rows.

Legend: N packed rows, V vocabulary, K pieces, U distinct ids of a batch, D row size. Nothing here takes time
or memory that grows with V per batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from gatelight.errors import DataError
from gatelight.memory import buffers, threads
from gatelight.models.dropout import dropout
from gatelight.models.pieces import Pieces, means

PAD = 0
UNKNOWN = 1
COPY_WORK = 8  # a number copied from memory takes about as long as so many multiply-adds
UNIFORM = 0.05  # Keras's `Embedding` starts uniform in ±0.05

Ids = NDArray[np.int32]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def number_distinct(ids: Ids, marker: Ids, distinct: NDArray[np.int64], number: Ids) -> int:
    """ids[N] → how many are distinct; fills distinct[: that] in order of appearance and number[N].

    marker[V] must be -1 throughout and is left so. An id not in 0 .. V - 1 returns -1 - its place.
    """
    found = 0
    wrong = 0
    for place in range(ids.shape[0]):
        token = ids[place]
        if token < 0 or token >= marker.shape[0]:
            wrong = -1 - place
            break
        if marker[token] < 0:
            marker[token] = found
            distinct[found] = token
            found += 1
        number[place] = marker[token]
    for place in range(found):
        marker[distinct[place]] = -1
    return wrong if wrong < 0 else found


class DistinctIds:
    """Finds the distinct ids of a batch with a scratch array of V that is touched at the batch's ids only."""

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size
        self._marker: Ids | None = None
        self._lock = threading.Lock()

    def __call__(self, ids: Ids, stop: int | None = None) -> tuple[NDArray[np.int64], Ids]:
        """ids int32 [N] → (distinct int64 [U], number int32 [N]) with ids == distinct[number].

        Raises DataError for an id that is negative, or not below `stop` (None: the vocabulary's size).
        """
        stop = self.vocabulary_size if stop is None else stop
        distinct = np.empty(min(len(ids), stop), np.int64)
        number = np.empty(len(ids), np.int32)
        with self._lock:
            if self._marker is None or len(self._marker) < stop:
                self._marker = np.full(stop, -1, np.int32)
            found = number_distinct(ids, self._marker[:stop], distinct, number)
        if found < 0:
            raise DataError(
                f"id {int(ids[-1 - found])} is outside of the vocabulary: expected 0 to {stop - 1}; encode "
                "the texts with the vocabulary of this model"
            )
        return distinct[:found], number

    def __getstate__(self) -> int:
        return self.vocabulary_size  # neither locks nor scratch are copied or pickled

    def __setstate__(self, vocabulary_size: int) -> None:
        DistinctIds.__init__(self, vocabulary_size)


class Embedding(nn.Module):
    """A table [V, D] whose row `PAD` is zeros, read and trained by the distinct ids of a batch.

    In training mode with `trained`, `touched` is (distinct int64 [U], rows [U, D]) after a forward pass, and
    `rows.grad` after the backward pass is the gradient of just these rows; `weight.grad` stays None.

    With K `buckets` the table is [V + K, D]: ids that `Pieces` know are means of its last K rows, which are
    trained always, and `touched` are the rows of the table that the batch's ids are made of.
    """

    def __init__(
        self,
        vocabulary_size: int,
        dim: int,
        *,
        vectors: NDArray[np.float32] | None = None,
        trained: bool = True,
        buckets: int = 0,
        dropout: float = 0.0,
        bound: float = UNIFORM,
        generator: torch.Generator | None = None,
        device: str | None = None,
    ) -> None:
        """`vectors` float32 [V, D] start the table; a frozen one is shared with the caller, not copied.

        Without vectors it starts uniform in ±`bound`.

        Raises DataError for vectors of another shape or with a row `PAD` that is not zeros.
        """
        super().__init__()
        self.dropout = dropout
        self.distinct = DistinctIds(vocabulary_size)
        self.touched: tuple[NDArray[np.int64], Tensor] | None = None
        # What training has put off for rows that were not read, it does here, before they are.
        self.before_reading: Callable[[NDArray[np.int64]], None] | None = None
        if vectors is None:
            weight = torch.empty(vocabulary_size, dim, device=device)
            if device != "meta":
                weight.uniform_(-bound, bound, generator=generator)
                weight[PAD] = 0
        else:
            weight = _checked(vectors, vocabulary_size, dim, copy=trained)
        self.trained, self.buckets, self.distinct_pieces = trained, buckets, DistinctIds(buckets)
        if buckets:
            rows = torch.empty(buckets, dim, device=device)
            if device != "meta":
                rows.uniform_(-bound, bound, generator=generator)
            weight = torch.cat([weight, rows])
        self.weight = nn.Parameter(weight, requires_grad=trained or buckets > 0)

    def forward(
        self, ids: Ids, generator: torch.Generator | None = None, pieces: Pieces | None = None
    ) -> tuple[Tensor, Ids]:
        """ids int32 [N] → (rows [U, D] of the distinct ids, number int32 [N] of the row of each id).

        Ids beyond the vocabulary are those of `pieces`. Raises DataError for any other id.
        """
        if self.buckets:
            rows, number = self._made_of_pieces(ids, pieces)
            return (dropout(rows, self.dropout, generator) if self.training else rows), number
        distinct, number = self.distinct(ids)
        if self.training and self.before_reading is not None:
            self.before_reading(distinct)
        rows = rows_of(self.weight.detach(), distinct)
        if self.training:
            if self.weight.requires_grad:
                rows.requires_grad_()
                self.touched = distinct, rows
            rows = dropout(rows, self.dropout, generator)
        return rows, number

    def _made_of_pieces(self, ids: Ids, pieces: Pieces | None) -> tuple[Tensor, Ids]:
        size = self.distinct.vocabulary_size
        distinct, number = self.distinct(ids, None if pieces is None else pieces.stop)
        own = distinct < size
        known, spelled = distinct[own], distinct[~own]
        counts = np.ones(len(distinct), np.int64)
        parts = np.zeros(0, np.int64)
        used = np.zeros(0, np.int32)
        if pieces is not None and len(spelled):
            if spelled.min() < pieces.first:
                raise DataError(
                    f"id {spelled.min()} is neither one of the vocabulary nor one of the pieces, "
                    f"{pieces.first} to {pieces.stop - 1}"
                )
            counts[~own], lists = pieces.lists(spelled)
            parts, used = self.distinct_pieces(lists)
            parts += size
        table, read = self.weight.detach(), np.concatenate([known, parts])
        if self.training and self.before_reading is not None:
            self.before_reading(read if self.trained else parts)
        if self.training and not self.trained:
            self.touched = parts, rows_of(table, parts).requires_grad_()
            rows = torch.cat([rows_of(table, known), self.touched[1]])
        else:
            rows = rows_of(table, read)
            if self.training:
                self.touched = read, rows.requires_grad_()
        # Each distinct id is a list of rows: a known one of its own row alone.
        numbers = np.empty(int(counts.sum()), np.int32)
        of_known = np.repeat(own, counts)
        numbers[of_known] = np.arange(len(known))
        numbers[~of_known] = used + len(known)
        return means(rows, counts, numbers), number

    def extra_repr(self) -> str:
        """Sizes, as torch prints them."""
        size, dim = self.weight.shape
        return f"{size}, {dim}, trained={self.weight.requires_grad}"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "touched": None, "before_reading": None}


def rows_of(table: Tensor, rows: NDArray[np.int64]) -> Tensor:
    """table [V, D] and rows int64 [U] → table[rows], on all threads and in memory that was used before."""
    if table.device.type != "cpu":
        return table[torch.from_numpy(rows)]
    source = table.numpy()
    out = buffers.empty((len(rows), source.shape[1]), source.dtype)
    tasks = [partial(_copy_rows, source, rows, out, *cut) for cut in threads.cuts(len(rows))]
    threads.run(tasks, out.size * COPY_WORK)
    return torch.from_numpy(out)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _copy_rows(table: Any, rows: Any, out: Any, begin: int, end: int) -> None:
    for k in range(begin, end):
        row = rows[k]
        for j in range(table.shape[1]):
            out[k, j] = table[row, j]


def _checked(vectors: NDArray[np.float32], vocabulary_size: int, dim: int, copy: bool) -> Tensor:
    if vectors.shape != (vocabulary_size, dim):
        raise DataError(
            f"the word vectors have shape {tuple(vectors.shape)}; expected ({vocabulary_size}, {dim}), "
            "a row for each word of the vocabulary"
        )
    if np.any(vectors[PAD]):
        raise DataError(f"row {PAD} of the word vectors stands for padding; expected zeros there")
    shareable = vectors.dtype == np.float32 and vectors.flags.c_contiguous and vectors.flags.writeable
    return torch.from_numpy(vectors if shareable and not copy else np.array(vectors, np.float32, order="C"))
