"""Rows of an array put together, and summed, by their numbers."""

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
def _sums_part(rows: Any, number: Any, out: Any, parts: int, k: int) -> None:
    """Those of every so many numbers: threads that write to one line of a cache would wait for each other."""
    width = rows.shape[1]
    out[k::parts] = 0
    for row in range(len(rows)):
        if number[row] % parts == k:
            add_row(rows, row * width, out, number[row] * width, width)


@compiled
def _all_sums(rows: Any, number: Any, out: Any, pool: Any, helpers: int) -> int:
    return int(parallel_for(_sums_part, (rows, number, out, helpers + 1), pool, helpers, helpers + 1))
