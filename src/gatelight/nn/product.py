"""Matrix products whose rows have the same bits in any batch and at any thread count; knows nothing of cells.

See tiles.py for why this is not BLAS. All arrays are C-contiguous and of one dtype, float32 or float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.nn import buffers, threads
from gatelight.nn.buffers import CACHED
from gatelight.nn.crew import begin
from gatelight.nn.panels import (
    chunk_of,
    into_panels,
    lined_up,
    panel_columns,
    panels,
    product_of_panels,
)
from gatelight.nn.rows import add_row, copy_row
from gatelight.nn.threads import LITTLE_WORK
from gatelight.nn.tiles import multiply
from gatelight.nn.transposing import transpose_rows

Array = np.ndarray[Any, np.dtype[Any]]

LARGE = 1 << 14
"""Elements of a weight or its gradient from which on the columns of a product are cut, for panels that a
cache holds: so both factors are read in a row."""

BLOCK, FEWEST = 1 << 8, 1 << 6
"""Rows that pass by a panel of a weight which a task has put in its cache: about so many, and at least."""

WIDE = 1 << 9
"""Columns that a task sums at most: what it sums must not leave its cache between some rows and the next."""


@compiled
def _tasks(rows: int, size: int) -> int:
    return (rows + size - 1) // size


@compiled
def part_size(rows: int, work_per_row: int, helpers: int) -> int:
    """Return how many of so many rows a task should take: a multiple of 8, so that no tile is cut, or all.

    Several tasks for each thread, so that one that comes late finds some, but such that none is long alone.
    """
    tasks = min(rows * work_per_row // LITTLE_WORK, rows // 8)
    if helpers == 0 or tasks <= 1:
        return max(1, rows)
    blocks, threads = (rows + 7) // 8, helpers + 1
    best, least = blocks, blocks
    for each in range(min(4, max(1, tasks // threads)), 0, -1):
        size = (blocks + threads * each - 1) // (threads * each)
        parts = (blocks + size - 1) // size
        longest = (parts + threads - 1) // threads * size
        if longest < least:
            best, least = size, longest
    return 8 * best


@compiled
def columns_of_part(columns: int, work_per_column: int, helpers: int) -> int:
    """Return how many of so many columns a task should sum: a multiple of 8, so that no tile is cut, or all.

    Each task puts all rows of the other factor into panels for itself, so there are few; each thread has as
    many.
    """
    count, threads = _tasks(columns, WIDE), helpers + 1
    count = _tasks(count, threads) * threads
    size = _tasks(columns, max(1, min(count, columns * work_per_column // LITTLE_WORK)))
    return int(max(1, size + -size % 8))


@compiled
def _rows_times(a: Any, b: Any, start: Any, out: Any, size: int, k: int) -> None:
    depth, columns, begin = a.shape[1], out.shape[1], k * size
    some = _columns_at_once(b, depth, columns)
    for column in range(0, columns, some):
        multiply(
            a, begin * depth, depth, 1, b, column, b.shape[1], start, column, 0,
            out, begin * columns + column, columns, min(size, len(a) - begin), depth,
            min(some, columns - column),
        )  # fmt: skip


@compiled
def _columns_at_once(b: Any, depth: int, columns: int) -> int:
    """Of how many columns b takes a quarter of the second-level cache, in whole tiles, while rows pass by."""
    room, wide = CACHED // 4 // b.itemsize, panel_columns(b)
    return max(1, columns) if depth * columns <= room else max(wide, room // depth // wide * wide)


@compiled
def _all_rows(a: Any, b: Any, start: Any, out: Any, crew: Any, helpers: int) -> int:
    size = part_size(a.shape[0], b.size, helpers)
    return int(begin(_rows_times, (a, b, start, out, size), crew, helpers, _tasks(len(a), size)))


def rows_times(a: Array, b: Array, start: Array) -> Array:
    """Return start + a @ b for a [M, K], b [K, ≥ G] and start [G] as a new array [M, G].

    For a weight that stays; one that changes need not be transposed first: `rows_times_turned`.
    """
    out = buffers.empty((len(a), len(start)), a.dtype)
    threads.share(_all_rows, (a, b, start, out), a.size * len(start))
    return out


@compiled
def _turned_part(
    a: Any, weight: Any, other: Any, start: Any, out: Any, block: int, across: int, k: int
) -> None:
    (size, depth), parts = weight.shape, _tasks(len(weight), across)
    panels_of_row = len(start) // size * parts
    d, column = k % panels_of_row // parts, k % parts * across
    first, columns, row = k // panels_of_row * block, min(across, size - column), out.shape[1]
    given, panel = weight if d == 0 else other, lined_up(depth * across, a).reshape(1, depth, across)
    transpose_rows(given.reshape(1, size, -1), panel, -column, column, column + columns)
    multiply(
        a, first * depth, depth, 1, panel, 0, across, start, d * size + column, 0,
        out, first * row + d * (row // (len(start) // size)) + column, row,
        min(block, len(a) - first), depth, columns,
    )  # fmt: skip


@compiled
def _all_turned(a: Any, weight: Any, other: Any, start: Any, out: Any, crew: Any, helpers: int) -> int:
    across = _across(weight, len(weight))
    panels_of_row = len(start) // len(weight) * _tasks(len(weight), across)
    block = _block_of(weight, len(a), panels_of_row, helpers)
    given = a, weight, other, start, out, block, across
    return int(begin(_turned_part, given, crew, helpers, panels_of_row * _tasks(len(a), block)))


@compiled
def _across(weight: Any, columns: int) -> int:
    """How many columns a task has: rows pass by a small weight once, by a large one once for each panel."""
    wide = panel_columns(weight)
    return int(wide * max(1, _tasks(columns, wide)) if weight.size < LARGE else wide)


@compiled
def _block_of(weight: Any, rows: int, panels_of_row: int, helpers: int) -> int:
    """How many of the rows pass by a panel of a weight that a task has put in its cache: a multiple of 8."""
    some = BLOCK if weight.size >= LARGE else 4 * BLOCK  # who pass by all of it at once should be worth that
    count = max(1, (rows + some // 2) // some)
    if helpers > 0:  # one that comes late should find some tasks
        tasks = 2 * (helpers + 1)
        count = max(count, min((tasks + panels_of_row - 1) // max(1, panels_of_row), rows // FEWEST))
    size = max(1, (rows + count - 1) // count)
    return int(size + -size % 8)


def rows_times_turned(a: Array, weights: Sequence[Array], start: Array, each: int = 0) -> Array:
    """`rows_times` of one or two weights [G, K] that lie as layers hold them, to [M, G] or [M, 2·G].

    With `each` there are so many columns for each weight, of which the first G are written. Each task
    transposes those that it sums, which then never leave its cache.
    """
    out = buffers.empty((len(a), len(weights) * (each or len(weights[0]))), a.dtype)
    if len(start):
        threads.share(_all_turned, (a, weights[0], weights[-1], start, out), a.size * len(start))
    return out


@compiled
def add_transposed_times(
    a: Any, a_at: int, b: Any, b_at: int, b_row: int, begin: int, end: int, known: bool, out: Any,
    out_at: int, columns: int, size: int,
) -> None:  # fmt: skip
    """Add a.T @ b of rows begin to end to [columns, size] from out[out_at] on, for compiled callers.

    a [N, ·] is read at `columns` columns from a_at on; row n of b begins at b[b_at + n * b_row]; b and out
    are flat, so that one code serves all. What is not `known` yet counts as zeros: to write these first would
    wait for memory, which a product has time for.
    """
    start, start_at, start_row = out, out_at, size
    if not known:
        start, start_at, start_row = np.zeros(size, out.dtype), 0, 0
    large = columns * size >= LARGE
    left, right, _ = panels(a, columns if large else 0, size if large else 0, 0)
    some = chunk_of(end - begin)
    for first in range(begin, end, some):
        rows, a_first, b_first = min(some, end - first), first * a.shape[1] + a_at, b_at + first * b_row
        if not large:
            multiply(
                a, a_first, 1, a.shape[1], b, b_first, b_row,
                start, start_at, start_row, out, out_at, size, columns, rows, size,
            )  # fmt: skip
        else:
            for k in range(rows):
                into_panels(a, a_first + k * a.shape[1], columns, left, k)
                into_panels(b, b_first + k * b_row, size, right, k)
            product_of_panels(
                left, right, rows, start, start_at, start_row, out, out_at, size, columns, size
            )  # fmt: skip
        start, start_at, start_row = out, out_at, size


@compiled
def _back_part(
    d_out: Any, x: Any, weight: Any, other: Any, parts: int, d_x: Any, d_weight: Any, d_bias: Any,
    block: int, across: int, wide: int, k: int,
) -> None:  # fmt: skip
    (each, dim), apart, columns = weight.shape, d_out.shape[1] // parts, parts * len(weight)
    panels_of_x = _tasks(d_x.shape[1], across)
    tasks = _tasks(max(len(d_weight), len(d_bias)), wide)
    if k >= tasks:  # the short ones come last
        k -= tasks
        begin, column = k // panels_of_x * block, k % panels_of_x * across
        rows, some = min(block, len(d_x) - begin), min(across, dim - column)
        deep = min(each, max(1, CACHED // 4 // (across * d_x.itemsize)))
        panel, start, start_at, start_row = lined_up(deep * across, d_x), np.zeros(across, d_x.dtype), 0, 0
        for part in range(parts):
            given = weight if part == 0 else other
            for first in range(0, each, deep):
                depth = min(deep, each - first)
                for row in range(depth):
                    copy_row(given, (first + row) * dim + column, panel, row * across, some)
                multiply(
                    d_out, begin * d_out.shape[1] + part * apart + first, d_out.shape[1], 1, panel, 0, across,
                    start, start_at, start_row, d_x, begin * dim + column, dim, rows, depth, some,
                )  # fmt: skip
                start, start_at, start_row = d_x.reshape(-1), begin * dim + column, dim
        return
    begin, flat, sums = k * wide, x.reshape(-1), d_weight.reshape(-1)
    end = min(columns, begin + wide)
    if d_out.shape[0] == 0:
        d_weight[begin:end] = 0
    d_bias[begin:end] = 0
    for part in range(begin // each, (end + each - 1) // each):
        first, last = max(begin, part * each), min(end, (part + 1) * each)
        at, some = part * (apart - each) + first, last - first
        chunk = chunk_of(len(d_out))
        for row in range(0, len(d_out), chunk):
            to = min(row + chunk, len(d_out))
            for one in range(row, to if d_bias.shape[0] else row):
                add_row(d_out, one * d_out.shape[1] + at, d_bias, first, some)
            if d_weight.shape[0]:
                add_transposed_times(d_out, at, flat, 0, dim, row, to, row > 0, sums, first * dim, some, dim)


@compiled
def _all_back(
    d_out: Any, x: Any, weight: Any, other: Any, parts: int, d_x: Any, d_weight: Any, d_bias: Any, crew: Any,
    helpers: int,
) -> int:  # fmt: skip
    across = _across(weight, d_x.shape[1])
    panels_of_x = _tasks(d_x.shape[1], across)
    block = _block_of(weight, d_x.shape[0], panels_of_x, helpers)
    summed = max(len(d_weight), len(d_bias))
    wide = columns_of_part(summed, x.size, helpers)
    given = d_out, x, weight, other, parts, d_x, d_weight, d_bias, block, across, wide
    tasks = panels_of_x * _tasks(d_x.shape[0], block) + _tasks(summed, wide)
    return int(begin(_back_part, given, crew, helpers, tasks))


def linear_back(
    d_out: Array, x: Array, weights: Sequence[Array], need_x: bool, need_weight: bool, need_bias: bool
) -> tuple[Array, Array, Array]:
    """Return the gradients of x [M, D], weight [G, D] and bias [G] from that of x @ weight.T + bias [M, G].

    Those not needed are empty. The weight is given in one part or two, [G / parts, D] each. The gradient may
    be [M, parts·K] with K ≥ G / parts: of each part's columns the first G / parts count.
    """
    dtype, dim, parts = d_out.dtype, x.shape[1], len(weights)
    size = parts * len(weights[0])
    d_x = buffers.empty(x.shape, dtype) if need_x else np.empty((0, 0), dtype)
    d_weight = np.empty((size, dim) if need_weight else (0, 0), dtype)
    d_bias = np.empty(size if need_bias else 0, dtype)
    given = d_out, x, weights[0], weights[-1], parts, d_x, d_weight, d_bias
    threads.share(_all_back, given, x.size * size * (need_x + need_weight))
    return d_x, d_weight, d_bias
