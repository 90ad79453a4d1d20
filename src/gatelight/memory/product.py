"""Matrix products whose rows have the same bits in any batch and at any thread count; knows nothing of cells.

See tiles.py for why this is not BLAS. All arrays are C-contiguous and of one dtype, float32 or float64.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.memory import buffers, threads
from gatelight.memory.rows import add_row
from gatelight.memory.tiles import multiply
from gatelight.memory.transposing import transpose

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK = 256
"""Rows summed at a time in a transposed product: they stay in the second-level cache."""

SMALL, PARTS = 1 << 16, 4
"""Elements up to which a transposed product is summed in parts, one after the other's rows; how many."""


@compiled
def _rows_times(a: Any, b: Any, start: Any, out: Any, begin: int, end: int) -> None:
    depth, columns = b.shape
    multiply(
        a, begin * depth, depth, 1, b, 0, columns, start, 0, 0,
        out, begin * columns, columns, end - begin, depth, columns,
    )  # fmt: skip


def rows_times(a: Array, b: Array, start: Array | None = None) -> Array:
    """Return start + a @ b for a [M, K], b [K, G] and start [G] or None (zeros) as a new array [M, G]."""
    out = buffers.empty((len(a), b.shape[1]), a.dtype)
    if start is None:
        start = np.zeros(b.shape[1], a.dtype)
    cuts = _cuts(len(a), b.size)
    threads.run(
        [partial(_rows_times, a, b, start, out, begin, end) for begin, end in cuts], a.size * b.shape[1]
    )
    return out


@compiled
def _transposed_times(a: Any, b: Any, out: Any, begin: int, end: int) -> None:
    size = b.shape[1]
    out[begin:end] = 0
    for first in range(0, a.shape[0], CHUNK):
        depth = min(CHUNK, a.shape[0] - first)
        multiply(
            a, first * a.shape[1] + begin, 1, a.shape[1], b, first * size, size,
            out, begin * size, size, out, begin * size, size, end - begin, depth, size,
        )  # fmt: skip


def transposed_times(a: Array, b: Array, out: Array) -> list[threads.Task]:
    """Return the tasks that write a.T @ b, of a [N, M] and b [N, G], into out [M, G], summed in order."""
    return [
        partial(_transposed_times, a, b, out, begin, end)
        for begin, end in _cuts(len(out), len(a) * out.shape[1])
    ]


def linear_back(
    d_out: Array, x: Array, weight: Array, need_x: bool, need_weight: bool, need_bias: bool
) -> tuple[Array, Array, Array]:
    """Return the gradients of x [M, D], weight [G, D] and bias [G] from that of x @ weight.T + bias [M, G].

    Those not needed are empty.
    """
    d_x = rows_times(d_out, weight) if need_x else np.empty((0, 0), d_out.dtype)
    d_weight = np.empty(weight.shape if need_weight else (0, 0), d_out.dtype)
    d_bias = np.empty(d_out.shape[1] if need_bias else 0, d_out.dtype)
    tasks: list[threads.Task] = [partial(_column_sums, d_out, 0, d_bias)]
    if need_weight:
        tasks += transposed_times(d_out, x, d_weight)
    threads.run(tasks, d_out.size * x.shape[1])
    return d_x, d_weight, d_bias


@compiled
def _chosen_times(
    a: Any,
    a_at: int,
    b: Any,
    b_at: int,
    chosen: Any,
    other: Any,
    begin: int,
    end: int,
    out: Any,
    column: int,
    last: int,
) -> None:
    size, columns = out.shape
    out[:, column:last] = 0
    rows = np.empty((CHUNK, size), b.dtype)
    for first in range(begin, end, CHUNK):
        depth = min(CHUNK, end - first)
        a_from = first * a.shape[1] + a_at + column
        if _in_a_row(chosen, first, depth):
            multiply(
                b, chosen[first] * b.shape[1] + b_at, 1, b.shape[1], a, a_from, a.shape[1],
                out, column, columns, out, column, columns, size, depth, last - column,
            )  # fmt: skip
            continue
        for k in range(depth):
            row = chosen[first + k]
            if row >= 0:
                for j in range(size):
                    rows[k, j] = b[row, b_at + j]
            else:
                for j in range(size):
                    rows[k, j] = other[-1 - row, j]
        multiply(
            rows, 0, 1, size, a, a_from, a.shape[1],
            out, column, columns, out, column, columns, size, depth, last - column,
        )  # fmt: skip


@compiled
def _in_a_row(chosen: Any, first: int, count: int) -> bool:
    """Whether `count` of the numbers follow one another, so that their rows need not be put together."""
    apart = chosen[first] < 0
    for k in range(1, count):
        apart |= chosen[first + k] != chosen[first] + k
    return not apart


def chosen_times(
    a: Array, a_at: int, b: Array, b_at: int, chosen: tuple[Array, Array], out: Array
) -> tuple[list[threads.Task], threads.Task]:
    """Return the tasks that compute a.T @ b's chosen rows, and the one that then writes it into out [M, G].

    a [N, ·] is read from column a_at on, b [N, ·] from column b_at on; chosen = (rows int32 [N], other
    [·, G]): b's n-th row is b[rows[n]] or, where that is negative, other[-1 - rows[n]]. Where the result is
    small the rows are cut, else the columns; which it is depends on the sizes alone.
    """
    shape = out.shape[1], out.shape[0]
    if out.size <= SMALL:
        size = -(-len(a) // (PARTS * CHUNK)) * CHUNK
        cuts = [(begin, min(len(a), begin + size)) for begin in range(0, len(a), size or 1)] or [(0, 0)]
        sums = np.empty((len(cuts), *shape), out.dtype)
        places = [(*cut, part, 0, len(out)) for cut, part in zip(cuts, sums, strict=True)]
    else:
        sums = np.empty((1, *shape), out.dtype)
        places = [(0, len(a), sums[0], *cut) for cut in _cuts(len(out), len(a) * out.shape[1])]

    def finish() -> None:
        transpose(sums[:1] if len(sums) == 1 else sums.sum(0, keepdims=True), out[None])

    return [partial(_chosen_times, a, a_at, b, b_at, *chosen, *place) for place in places], finish


@compiled
def _sum_by_token(d_gates: Any, begin: int, width: int, token: Any, d_table: Any, at: int) -> None:
    d_table[:, at : at + width] = 0
    for row in range(token.shape[0]):
        target = token[row] * d_table.shape[1] + at
        add_row(d_gates, row * d_gates.shape[1] + begin, d_table, target, width)


def sums_by_token(d_gates: Array, token: Array, d_table: Array, directions: int) -> list[threads.Task]:
    """Return the tasks that sum the rows of d_gates [N, directions·K] of a token into its row of d_table.

    token int32 [N] names rows of d_table [U, directions·G]; of each direction's K columns the first G count.
    """
    width, own = d_table.shape[1] // directions, d_gates.shape[1] // directions
    return [
        partial(_sum_by_token, d_gates, d * own, width, token, d_table, d * width) for d in range(directions)
    ]


@compiled
def _column_sums(a: Any, at: int, out: Any) -> None:
    out[:] = 0
    for row in range(a.shape[0]):
        add_row(a, row * a.shape[1] + at, out, 0, out.shape[0])


def _cuts(rows: int, work_per_row: int) -> list[tuple[int, int]]:
    """Cut `rows` rows into tasks, of a multiple of 8 rows each, so that no tile is cut."""
    tasks = min(rows * work_per_row // threads.SHARED_WORK, rows // 8)
    if tasks > 1:  # else nobody need ask how many threads there are
        tasks = min(tasks, 4 * threads.threads())
    if tasks <= 1 or threads.threads() == 1:
        return [(0, rows)]
    size = -(-rows // tasks)
    size += -size % 8
    return [(begin, min(rows, begin + size)) for begin in range(0, rows, size)]
