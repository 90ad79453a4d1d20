"""Rows of an array put together by their numbers, and where the packed rows of sequences stand."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.nn import threads
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.parallel import parallel_for
from gatelight.nn.kernels.simd import add_row, copy_row

COPY_WORK = 8  # a number copied from memory takes about as long as so many multiply-adds


def copied_rows(table: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """table [V, D] and rows int64 [U] → table[rows], zeros for -1, in memory that was used before."""
    out = buffers.empty((len(rows), table.shape[1]), table.dtype)
    threads.run_compiled(_all_parts, (table, rows, out), out.size * COPY_WORK)
    return out


@compiled
def _part(table: Any, rows: Any, out: Any, parts: int, k: int) -> None:
    width = table.shape[1]
    for to in range(len(rows) * k // parts, len(rows) * (k + 1) // parts):
        if rows[to] < 0:
            out[to] = 0
        else:
            copy_row(table, rows[to] * width, out, to * width, width)


@compiled
def _all_parts(table: Any, rows: Any, out: Any, pool: Any, helpers: int) -> int:
    return int(parallel_for(_part, (table, rows, out, helpers + 1), pool, helpers, helpers + 1))


def summed_rows(rows: NDArray[Any], number: NDArray[np.int32], count: int) -> NDArray[Any]:
    """rows [N, D] and number int32 [N] → [count, D]: the sum of all rows of each number, in their order."""
    out = buffers.empty((count, rows.shape[1]), rows.dtype)
    threads.run_compiled(_all_sums, (rows, number, out), (rows.size + out.size) * COPY_WORK)
    return out


@compiled
def _sums_part(rows: Any, number: Any, out: Any, each: int, k: int) -> None:
    width = rows.shape[1]
    begin, size = k * each, min(each, width - k * each)
    out[:, begin : begin + size] = 0
    for row in range(len(rows)):
        add_row(rows, row * width + begin, out, number[row] * width + begin, size)


@compiled
def _all_sums(rows: Any, number: Any, out: Any, pool: Any, helpers: int) -> int:
    each = max(1, (rows.shape[1] + helpers) // (helpers + 1))
    tasks = (rows.shape[1] + each - 1) // each
    return int(parallel_for(_sums_part, (rows, number, out, each), pool, helpers, tasks))


@compiled
def extent(lengths: Any) -> tuple[int, int, int]:
    """The least of lengths [B] and 0, the largest, and their sum."""
    least, most, total = 0, 0, 0
    for k in range(len(lengths)):
        least, most, total = min(least, lengths[k]), max(most, lengths[k]), total + lengths[k]
    return least, most, total


@compiled
def plan_rows(lengths: Any, order: Any, falling: Any, alive: Any, first: Any) -> None:
    """Fill order [B], falling [B], alive [T] and first [T] of a `Packing` of lengths [B] up to T."""
    steps = alive.shape[0]
    # How many are longer than t, which is also where those of length t begin among the falling ones.
    alive[:] = 0
    for k in range(len(lengths)):
        if lengths[k] > 0:
            alive[lengths[k] - 1] += 1
    for t in range(steps - 2, -1, -1):
        alive[t] += alive[t + 1]
    place = np.empty(steps + 1, np.int64)
    for t in range(steps + 1):
        place[t] = alive[t] if t < steps else 0
    for k in range(len(lengths)):
        length = lengths[k]
        order[place[length]] = k
        falling[place[length]] = length
        place[length] += 1
    row = 0
    for t in range(steps):
        first[t] = row
        row += alive[t]


@compiled
def gather_rows(flat: Any, starts: Any, alive: Any, out: Any) -> None:
    """Write the packed rows of sequences that begin at flat[starts[k]], k in packed order, into out [N]."""
    row = 0
    for t in range(alive.shape[0]):
        for k in range(alive[t]):
            out[row] = flat[starts[k] + t]
            row += 1
