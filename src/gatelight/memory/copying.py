"""Rows of an array put together by their numbers, on all threads; knows nothing of what they hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.memory import buffers, threads
from gatelight.memory.crew import share

COPY_WORK = 8  # a number copied from memory takes about as long as so many multiply-adds


def copied_rows(table: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """table [V, D] and rows int64 [U] → table[rows], zeros for -1, in memory that was used before."""
    out = buffers.empty((len(rows), table.shape[1]), table.dtype)
    threads.share(_all_parts, (table, rows, out), out.size * COPY_WORK)
    return out


@compiled
def _part(table: Any, rows: Any, out: Any, parts: int, k: int) -> None:
    copy_rows(table, rows, out, len(rows) * k // parts, len(rows) * (k + 1) // parts)


@compiled
def _all_parts(table: Any, rows: Any, out: Any, crew: Any, helpers: int) -> int:
    return int(share(_part, (table, rows, out, helpers + 1), crew, helpers, helpers + 1))


@compiled
def copy_rows(table: Any, rows: Any, out: Any, begin: int, end: int) -> None:
    """table[rows], zeros for -1 → rows begin to end of out."""
    for k in range(begin, end):
        row = rows[k]
        if row < 0:
            out[k] = 0
            continue
        for j in range(table.shape[1]):
            out[k, j] = table[row, j]
