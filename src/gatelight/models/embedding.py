"""The table of ids that is trained by the distinct ids of a batch.

Legend: N packed rows, V vocabulary, K subwords, U distinct ids of a batch, D row size.
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
from gatelight.models.subwords import PAD, Ids, Lists, Subwords, distinct_ids, lists_of_rows
from gatelight.nn.kernels.rows import copied_rows
from gatelight.nn.linear import array_of

UNIFORM = 0.05  # Keras's `Embedding` starts uniform in ±0.05


class Embedding(nn.Module):
    """A table [V, D], read and trained by the distinct ids of a batch; at the start row `PAD` is zeros.

    In training mode with `trained`, `touched` is (distinct int64 [U], rows [U, D]) after a forward pass, and
    `rows.grad` after the backward pass is the gradient of just these rows; `weight.grad` stays None, and
    nothing takes more than a byte of each of V. Unless `sparse`, `weight.grad` is that of all rows.

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
        sparse: bool = True,
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
        self.trained, self.sparse, self.buckets, self.dropout = trained, sparse, buckets, dropout
        self.touched: tuple[NDArray[np.int64], Tensor] | None = None
        # What training has put off for rows that were not read, it does here, before they are.
        self.before_reading: Callable[[NDArray[np.int64]], None] | None = None

        def uniform(rows: int) -> Tensor:
            made = torch.empty(rows, dim, device=device)
            return made if device == "meta" else made.uniform_(-bound, bound, generator=generator)

        if vectors is None:
            weight = uniform(vocabulary_size)
            weight[PAD] = 0
        else:
            weight = _checked(vectors, vocabulary_size, dim, copy=trained)
        if buckets:
            weight = torch.cat([weight, uniform(buckets)])
        self.weight = nn.Parameter(weight, requires_grad=trained or buckets > 0)

    def forward(
        self,
        ids: Ids,
        generator: torch.Generator | None = None,
        subwords: Subwords | None = None,
    ) -> tuple[Tensor, Ids]:
        """ids int32 [N] → (rows [U, D] of the distinct ids, number int32 [N] of the row of each id).

        Ids after the vocabulary are those of `subwords`. Raises DataError for any other id.
        """
        size = len(self.weight) - self.buckets
        stop = subwords.stop if self.buckets and subwords is not None else size
        distinct, number = distinct_ids(ids, stop)
        if not self.sparse:
            rows = self.weight.index_select(0, torch.from_numpy(distinct))
        elif self.buckets:
            known, parts, lists = lists_of_rows(distinct, subwords, size, self.buckets)
            rows = means(self._rows(known, parts), lists)
        else:
            rows = self._rows(distinct, distinct[:0])
        return (dropout(rows, self.dropout, generator, distinct) if self.training else rows), number

    def _rows(self, known: NDArray[np.int64], parts: NDArray[np.int64]) -> Tensor:
        """The table's rows at `known` and then at `parts`; those that are trained are `touched`."""
        table = self.weight.detach()
        trained = np.concatenate([known, parts]) if self.trained else parts
        if self.training and self.before_reading is not None:
            self.before_reading(trained)
        rows = rows_of(table, trained)
        if self.training and self.weight.requires_grad:
            self.touched = trained, rows.requires_grad_()
        return rows if self.trained else torch.cat([rows_of(table, known), rows])

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


def means(rows: Tensor, lists: Lists) -> Tensor:
    """rows [R, D] → [S, D]: the mean of each list of rows, with its gradient."""
    return _Means.apply(rows, lists)  # type: ignore[no-any-return, no-untyped-call]


class _Means(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, lists: Lists) -> Tensor:
        ctx.lists = lists
        return torch.from_numpy(lists.means(array_of(rows)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_means: Tensor) -> tuple[Tensor, None]:
        return torch.from_numpy(ctx.lists.means_backward(array_of(d_means))), None


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
