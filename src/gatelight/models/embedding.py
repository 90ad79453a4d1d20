"""The table of ids that is trained by the distinct ids of a batch; knows no words and no reader of its rows.

Legend: N packed rows, V vocabulary, K subwords, U distinct ids of a batch, D row size. Nothing here takes
time or memory that grows with V per batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gatelight.errors import DataError
from gatelight.models.dropout import dropout
from gatelight.models.rows import PAD, DistinctIds, Ids, lists_of_rows
from gatelight.models.subwords import Subwords, list_means, list_means_back
from gatelight.nn.kernels.rows import copied_rows
from gatelight.nn.linear import array_of

UNIFORM = 0.05  # Keras's `Embedding` starts uniform in ±0.05


class Embedding(nn.Module):
    """A table [V, D] whose row `PAD` is zeros, read and trained by the distinct ids of a batch.

    In training mode with `trained`, `touched` is (distinct int64 [U], rows [U, D]) after a forward pass, and
    `rows.grad` after the backward pass is the gradient of just these rows; `weight.grad` stays None.

    With K `buckets` the table is [V + K, D]: ids that `Subwords` know are means of its last K rows, which are
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
        self.trained, self.buckets, self.distinct_subwords = trained, buckets, DistinctIds(buckets)
        if buckets:
            rows = torch.empty(buckets, dim, device=device)
            if device != "meta":
                rows.uniform_(-bound, bound, generator=generator)
            weight = torch.cat([weight, rows])
        self.weight = nn.Parameter(weight, requires_grad=trained or buckets > 0)

    def forward(
        self,
        ids: Ids,
        generator: torch.Generator | None = None,
        subwords: Subwords | None = None,
    ) -> tuple[Tensor, Ids]:
        """ids int32 [N] → (rows [U, D] of the distinct ids, number int32 [N] of the row of each id).

        Ids beyond the vocabulary are those of `subwords`. Raises DataError for any other id.
        """
        if self.buckets:
            rows, number = self._made_of_subwords(ids, subwords)
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

    def _made_of_subwords(self, ids: Ids, subwords: Subwords | None) -> tuple[Tensor, Ids]:
        distinct, number = self.distinct(ids, None if subwords is None else subwords.stop)
        size = self.distinct.vocabulary_size
        known, parts, counts, numbers = lists_of_rows(distinct, subwords, size, self.distinct_subwords)
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
    return torch.from_numpy(copied_rows(table.numpy(), rows))


def means(rows: Tensor, counts: NDArray[np.int64], numbers: Ids) -> Tensor:
    """rows [R, D] → [S, D]: the mean of each list of rows, with its gradient; as `subwords.list_means`."""
    return _Means.apply(rows, counts, numbers)  # type: ignore[no-any-return, no-untyped-call]


class _Means(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, counts: NDArray[np.int64], numbers: Ids) -> Tensor:
        ctx.counts, ctx.numbers, ctx.rows = counts, numbers, len(rows)
        return torch.from_numpy(list_means(array_of(rows), counts, numbers))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor, None, None]:
        d_rows = list_means_back(array_of(d_out), ctx.counts, ctx.numbers, ctx.rows)
        return torch.from_numpy(d_rows), None, None


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
