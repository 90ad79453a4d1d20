"""Rows of an array put together by their numbers, or by where sequences stand; knows not what they hold.

All threads take part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.nn import threads
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.parallel import parallel_for
from gatelight.nn.kernels.simd import copy_row

COPY_WORK = 8  # a number copied from memory takes about as long as so many multiply-adds
SEQUENCES = 4  # that a task copies

Plan = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""A packing's `first` [T], `lengths` [B] and `order` [B]."""


def copied_rows(table: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """table [V, D] and rows int64 [U] → table[rows], zeros for -1, in memory that was used before."""
    out = buffers.empty((len(rows), table.shape[1]), table.dtype)
    threads.share(_all_parts, (table, rows, out), out.size * COPY_WORK)
    return out


@compiled
def _part(table: Any, rows: Any, out: Any, parts: int, k: int) -> None:
    copy_rows(table, rows, out, len(rows) * k // parts, len(rows) * (k + 1) // parts)


@compiled
def _all_parts(table: Any, rows: Any, out: Any, pool: Any, helpers: int) -> int:
    return int(parallel_for(_part, (table, rows, out, helpers + 1), pool, helpers, helpers + 1))


@compiled
def copy_rows(table: Any, rows: Any, out: Any, begin: int, end: int) -> None:
    """table[rows], zeros for -1 → rows begin to end of out."""
    width = table.shape[1]
    for k in range(begin, end):
        row = rows[k]
        if row < 0:
            out[k] = 0
            continue
        copy_row(table, row * width, out, k * width, width)


def packed_of(padded: NDArray[Any], plan: Plan, rows: int, batch_first: bool) -> NDArray[Any]:
    """padded [B, S, D], or [S, B, D], C-contiguous → its packed rows [N, D], of which there are so many."""
    out = buffers.empty((rows, padded.shape[2]), padded.dtype)
    flat, strides = _flat(padded, batch_first)
    threads.share(_all_packed, (flat, *plan, *strides, out), out.size * COPY_WORK)
    return out


def padded_of(rows: NDArray[Any], plan: Plan, steps: int, batch_first: bool) -> NDArray[Any]:
    """Packed rows [N, D] → [B, S, D], or [S, B, D], of S steps; zeros where there is no row."""
    sequences = len(plan[1])
    shape = (sequences, steps) if batch_first else (steps, sequences)
    out = buffers.empty((*shape, rows.shape[1]), rows.dtype)
    flat, strides = _flat(out, batch_first)
    threads.share(_all_padded, (rows, *plan, *strides, steps, flat), out.size * COPY_WORK)
    return out


def _flat(padded: NDArray[Any], batch_first: bool) -> tuple[NDArray[Any], tuple[int, int]]:
    """Its rows as one list, and how far apart in it those of sequences and of steps are."""
    one, other, width = padded.shape
    return padded.reshape(one * other, width), (other, 1) if batch_first else (1, other)


@compiled
def _packed_part(
    flat: Any, first: Any, lengths: Any, order: Any, sequence: int, step: int, out: Any, k: int
) -> None:
    width = out.shape[1]
    for n in range(k * SEQUENCES, min((k + 1) * SEQUENCES, len(lengths))):
        for t in range(lengths[n]):
            row = order[n] * sequence + t * step
            copy_row(flat, row * width, out, (first[t] + n) * width, width)


@compiled
def _all_packed(
    flat: Any, first: Any, lengths: Any, order: Any, sequence: int, step: int, out: Any, pool: Any,
    helpers: int,
) -> int:  # fmt: skip
    given = flat, first, lengths, order, sequence, step, out
    return int(parallel_for(_packed_part, given, pool, helpers, (len(lengths) + SEQUENCES - 1) // SEQUENCES))


@compiled
def _padded_part(
    rows: Any, first: Any, lengths: Any, order: Any, sequence: int, step: int, steps: int, out: Any, k: int
) -> None:
    width = out.shape[1]
    for n in range(k * SEQUENCES, min((k + 1) * SEQUENCES, len(lengths))):
        for t in range(steps):
            row = order[n] * sequence + t * step
            if t >= lengths[n]:
                out[row] = 0
                continue
            copy_row(rows, (first[t] + n) * width, out, row * width, width)


@compiled
def _all_padded(
    rows: Any, first: Any, lengths: Any, order: Any, sequence: int, step: int, steps: int, out: Any,
    pool: Any, helpers: int,
) -> int:  # fmt: skip
    given = rows, first, lengths, order, sequence, step, steps, out
    return int(parallel_for(_padded_part, given, pool, helpers, (len(lengths) + SEQUENCES - 1) // SEQUENCES))
