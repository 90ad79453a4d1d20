"""Padded tensors ↔ packed rows, and states ↔ packed order.

Knows shapes and lengths only, nothing of cells or parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatelight.nn.foreign_tools import transformed
from gatelight.nn.kernels.rows import copied_rows
from gatelight.nn.linear import array_of
from gatelight.nn.packing import Index, Packing, pack

State = Tensor | tuple[Tensor, Tensor]  # (h, c) for cells with a cell state, else h
Lengths = Tensor | np.ndarray[Any, Any] | list[int]


@dataclass(frozen=True, eq=False)
class EqualLengths:
    """The packing of B sequences of T steps while a compiler traces: sizes may be symbols."""

    sequences: int
    steps: int
    lengths: Tensor  # [B]
    uniform = True

    @property
    def rows(self) -> int:
        """N = B · T."""
        return self.sequences * self.steps

    @property
    def alive(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """[T] as `Packing.alive`; fixes both sizes."""
        return np.full(self.steps, self.sequences, np.int64)


AnyPacking = Packing | EqualLengths


def packing_of(lengths: Lengths | None, sequences: int, steps: int) -> AnyPacking:
    """The packing of B padded sequences of T steps; None: every step is real.

    Raises RuntimeError, as torch.nn does, when the lengths do not fit the input, and DataError when they are
    no lengths at all.
    """
    if lengths is None:
        if not steps:
            raise RuntimeError(
                "Expected sequence length to be larger than 0; for empty sequences pass lengths="
            )
        if torch.compiler.is_compiling():
            return EqualLengths(sequences, steps, torch.full((sequences,), steps))
        return _equal(sequences, steps)
    packing = pack(lengths.numpy(force=True) if isinstance(lengths, Tensor) else lengths)
    if packing.sequences != sequences:
        raise RuntimeError(
            f"Expected {sequences} lengths, one for each sequence of the input, got {packing.sequences}"
        )
    if packing.steps > steps:
        raise RuntimeError(f"The longest length is {packing.steps}, but the input has only {steps} steps")
    return packing


@lru_cache(maxsize=16)
def _equal(sequences: int, steps: int) -> Packing:
    return pack(np.full(sequences, steps, np.int64))


def packed_rows(padded: Tensor, packing: AnyPacking, batch_first: bool) -> Tensor:
    """The real steps [N, D] of padded [T, B, D], or [B, T, D]."""
    steps, features = padded.shape[1 if batch_first else 0], padded.shape[2]
    if isinstance(packing, EqualLengths) or (packing.uniform and packing.steps == steps):
        return (padded.transpose(0, 1) if batch_first else padded).reshape(-1, features)
    return _rows_at(padded.reshape(-1, features), *_places(packing, steps, batch_first))


def padded_steps(rows: Tensor, packing: AnyPacking, steps: int, batch_first: bool) -> Tensor:
    """Packed rows [N, D] laid out as [T, B, D], or [B, T, D]; steps that do not exist are zeros."""
    sequences, features = packing.sequences, rows.shape[1]
    if isinstance(packing, EqualLengths) or (packing.uniform and packing.steps == steps):
        uniform = rows.view(steps, sequences, features)
        return uniform.transpose(0, 1) if batch_first else uniform
    padded = _rows_at(rows, *_places(packing, steps, batch_first)[::-1])
    return padded.view((sequences, steps, features) if batch_first else (steps, sequences, features))


def _places(packing: Packing, steps: int, batch_first: bool) -> tuple[Index, Index]:
    """Where among all padded steps each packed row stands; and the inverse, -1 where there is none."""
    places = packing.padded_rows(steps, batch_first)
    rows = np.full(steps * packing.sequences, -1, np.int64)
    rows[places] = np.arange(packing.rows)
    return places, rows


def _rows_at(table: Tensor, numbers: Index, inverse: Index) -> Tensor:
    """table [V, D] → its rows of these numbers, zeros for -1; each is read once at most."""
    if table.dtype in (torch.float32, torch.float64) and table.is_cpu and not transformed():
        return _Rows.apply(table, numbers, inverse)  # type: ignore[no-any-return, no-untyped-call]
    wrapped = torch.from_numpy(numbers % (len(table) + 1)).to(table.device)
    return torch.cat((table, table.new_zeros(1, table.shape[1]))).index_select(0, wrapped)


class _Rows(torch.autograd.Function):
    """The same in one pass over memory both ways: torch adds up gradients row by row."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, numbers: Index, inverse: Index) -> Tensor:
        ctx.back = inverse, numbers
        return torch.from_numpy(copied_rows(array_of(table), numbers))

    @staticmethod
    def backward(ctx: Any, d_rows: Tensor) -> tuple[Tensor, None, None]:
        return _Rows.apply(d_rows, *ctx.back), None, None  # type: ignore[no-untyped-call]


def check_rows(x: Tensor, packing: AnyPacking, index: Tensor | None) -> None:
    """Raise RuntimeError unless x [N, D], or [U, D] with index int32 [N], are the rows of this packing."""
    if index is None:
        if x.shape[0] != packing.rows:
            raise RuntimeError(
                f"the packing has {packing.rows} rows, got {x.shape[0]}; pass index= to read from a table"
            )
    elif index.shape != (packing.rows,) or index.dtype != torch.int32:
        raise RuntimeError(
            f"index must be int32 of shape [{packing.rows}], one row number for each packed row; "
            f"got {index.dtype} of shape {list(index.shape)}"
        )


def reordered(state: State, order: Tensor | None) -> State:
    """The state [layers·dirs, B, H] with its sequences taken in this order (None: as they are)."""
    if order is None:
        return state
    if isinstance(state, Tensor):
        return state.index_select(1, order)
    return state[0].index_select(1, order), state[1].index_select(1, order)
