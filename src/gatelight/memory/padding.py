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

from gatelight.memory.copying import copied_rows
from gatelight.memory.linear import array_of
from gatelight.memory.packing import Index, Packing, pack
from gatelight.memory.registry import plain

State = Tensor | tuple[Tensor, Tensor]  # (h, c) for cells with a cell state, else h
Lengths = Tensor | np.ndarray[Any, Any] | list[int]


@dataclass(frozen=True, eq=False)
class EqualLengths:
    """The packing of B sequences of T steps while a compiler traces: sizes may be symbols."""

    sequences: int
    steps: int
    first: Tensor  # [T] as `Packing.first`
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
            return EqualLengths(
                sequences, steps, torch.arange(steps) * sequences, torch.full((sequences,), steps)
            )
        return _equal(sequences, steps)
    packing = pack(lengths.cpu().numpy() if isinstance(lengths, Tensor) else lengths)
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
    at, flat = packing.padded_rows(steps, batch_first), padded.reshape(-1, features)
    if _ours(flat):
        return _Take.apply(flat, at, _inverse(at, len(flat)))  # type: ignore[no-any-return, no-untyped-call]
    return flat.index_select(0, torch.from_numpy(at).to(padded.device))


def padded_steps(rows: Tensor, packing: AnyPacking, steps: int, batch_first: bool) -> Tensor:
    """Packed rows [N, D] laid out as [T, B, D], or [B, T, D]; steps that do not exist are zeros."""
    sequences, features = packing.sequences, rows.shape[1]
    if isinstance(packing, EqualLengths) or (packing.uniform and packing.steps == steps):
        uniform = rows.view(steps, sequences, features)
        return uniform.transpose(0, 1) if batch_first else uniform
    at, size = packing.padded_rows(steps, batch_first), steps * sequences
    if _ours(rows):
        padded: Tensor = _Take.apply(rows, _inverse(at, size), at)  # type: ignore[no-untyped-call]
    else:
        places = torch.from_numpy(at).to(rows.device)
        padded = rows.new_zeros(size, features).index_copy(0, places, rows)
    return padded.view((sequences, steps, features) if batch_first else (steps, sequences, features))


def _ours(rows: Tensor) -> bool:
    """Whether plain rows are copied here, on all threads; what traces a program meets torch's operators."""
    return (
        rows.dtype in (torch.float32, torch.float64) and not torch.compiler.is_compiling() and plain((rows,))
    )


def _inverse(at: Index, size: int) -> Index:
    """Where `at` [N] has each of 0 … size - 1, or -1."""
    places = np.full(size, -1, np.int64)
    places[at] = np.arange(len(at))
    return places


class _Take(torch.autograd.Function):
    """Rows of a tensor by an index, zeros where that is -1; the way back is the same by the other index."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Index, back: Index) -> Tensor:
        ctx.back = back, index
        return torch.from_numpy(copied_rows(array_of(rows), index))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Take.apply(gradient, *ctx.back), None, None  # type: ignore[no-untyped-call]


def reordered(state: State, order: Tensor | None) -> State:
    """The state [layers·dirs, B, H] with its sequences taken in this order (None: as they are)."""
    if order is None:
        return state
    if isinstance(state, Tensor):
        return state.index_select(1, order)
    return state[0].index_select(1, order), state[1].index_select(1, order)
