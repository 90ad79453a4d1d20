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

from gatelight.nn.kernels.copying import packed_of, padded_of
from gatelight.nn.packing import Packing, pack

State = Tensor | tuple[Tensor, Tensor]  # (h, c) for cells with a cell state, else h
Array = np.ndarray[Any, np.dtype[Any]]
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


class Layout:
    """How sequences stand in a padded array [T, B, ·], or [B, T, ·], and where each packed row is."""

    def __init__(self, packing: Packing, steps: int, batch_first: bool) -> None:
        self.packing, self.steps, self.batch_first = packing, steps, batch_first
        self.uniform = packing.uniform
        self.full = self.uniform and packing.steps == steps
        self._plan = packing.first, packing.lengths, packing.order

    def packed(self, state: Array) -> Array:
        """A state [·, B, H] of the sequences in packed order."""
        return state.take(self.packing.order, axis=1)

    def rows(self, padded: Array) -> Array:
        """The packed rows [N, D] of padded [T, B, D], or [B, T, D]; a view if they lie there one by one."""
        if self.full:
            by_step = padded.transpose(1, 0, 2) if self.batch_first else padded
            if by_step.flags.c_contiguous:
                return by_step.reshape(-1, padded.shape[2])
        return packed_of(np.ascontiguousarray(padded), self._plan, self.packing.rows, self.batch_first)

    def padded(self, rows: Array, contiguous: bool = False) -> Array:
        """Packed rows [N, D] laid out; steps that do not exist are zeros. A view where all exist.

        With `contiguous` it is a copy where the view would not be so.
        """
        sequences = self.packing.sequences
        if self.full and not (contiguous and self.batch_first and min(self.steps, sequences) > 1):
            by_step: Array = rows.reshape(self.steps, sequences, rows.shape[1])
            return by_step.transpose(1, 0, 2) if self.batch_first else by_step
        return padded_of(rows, self._plan, self.steps, self.batch_first)


@lru_cache(maxsize=16)
def _equal_layout(sequences: int, steps: int, batch_first: bool) -> Layout:
    return Layout(_equal(sequences, steps), steps, batch_first)


def layout_of(packing: Packing, steps: int, batch_first: bool) -> Layout:
    """The layout of this packing's sequences in a padded tensor of so many steps."""
    if packing.uniform and packing.steps == steps and steps:
        return _equal_layout(packing.sequences, steps, batch_first)
    return Layout(packing, steps, batch_first)


def packed_rows(padded: Tensor, packing: AnyPacking, batch_first: bool) -> Tensor:
    """The real steps [N, D] of padded [T, B, D], or [B, T, D]."""
    steps, features = padded.shape[1 if batch_first else 0], padded.shape[2]
    if isinstance(packing, EqualLengths) or (packing.uniform and packing.steps == steps):
        return (padded.transpose(0, 1) if batch_first else padded).reshape(-1, features)
    at, flat = packing.padded_rows(steps, batch_first), padded.reshape(-1, features)
    return flat.index_select(0, torch.from_numpy(at).to(padded.device))


def padded_steps(rows: Tensor, packing: AnyPacking, steps: int, batch_first: bool) -> Tensor:
    """Packed rows [N, D] laid out as [T, B, D], or [B, T, D]; steps that do not exist are zeros."""
    sequences, features = packing.sequences, rows.shape[1]
    if isinstance(packing, EqualLengths) or (packing.uniform and packing.steps == steps):
        uniform = rows.view(steps, sequences, features)
        return uniform.transpose(0, 1) if batch_first else uniform
    places = torch.from_numpy(packing.padded_rows(steps, batch_first)).to(rows.device)
    padded = rows.new_zeros(steps * sequences, features).index_copy(0, places, rows)
    return padded.view((sequences, steps, features) if batch_first else (steps, sequences, features))


def check_rows(x: Tensor, packing: AnyPacking, token: Tensor | None) -> None:
    """Raise RuntimeError unless x [N, D], or [U, D] with token int32 [N], are the rows of this packing."""
    if token is None:
        if x.shape[0] != packing.rows:
            raise RuntimeError(
                f"the packing has {packing.rows} rows, got {x.shape[0]}; pass token= to read from a table"
            )
    elif token.shape != (packing.rows,) or token.dtype != torch.int32:
        raise RuntimeError(
            f"token must be int32 of shape [{packing.rows}], one row number for each packed row; "
            f"got {token.dtype} of shape {list(token.shape)}"
        )


def reordered(state: State, order: Tensor | None) -> State:
    """The state [layers·dirs, B, H] with its sequences taken in this order (None: as they are)."""
    if order is None:
        return state
    if isinstance(state, Tensor):
        return state.index_select(1, order)
    return state[0].index_select(1, order), state[1].index_select(1, order)
