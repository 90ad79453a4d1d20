"""Matrix products whose rows have the same bits in any batch and at any thread count; knows nothing of cells.

See tiles.py for why this is not BLAS. All arrays are C-contiguous and of one dtype, float32 or float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.memory import buffers, threads
from gatelight.memory.buffers import CACHED
from gatelight.memory.crew import begin, even_part, share
from gatelight.memory.panels import (
    CHUNK,
    into_panels,
    lay_out_row,
    panel_columns,
    panel_size,
    panels,
    product_of_panels,
    shape_of,
    some_columns,
)
from gatelight.memory.rows import add_row
from gatelight.memory.threads import LITTLE_WORK
from gatelight.memory.tiles import multiply
from gatelight.memory.transposing import transpose_rows

Array = np.ndarray[Any, np.dtype[Any]]

LARGE = 1 << 14
"""Elements of its result from which on both factors are put into panels first: so they are read in a row."""

MANY = 1 << 9
"""Rows for which it is worth it to copy a weight, so that its rows begin at cache lines."""

PART = 256
"""Columns that a task sums at least, where there are many: so much of a row is read in one go."""


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
    """Return how many of so many columns a task should sum."""
    size = part_size(columns, work_per_column, helpers)
    return int(max(PART, size) if columns >= 2 * (helpers + 1) * PART else size)


@compiled
def _rows_times(a: Any, b: Any, start: Any, out: Any, blocks: int, size: int, k: int) -> None:
    depth, row, columns, wide = a.shape[1], out.shape[1], len(start) // blocks, b.shape[2]
    begin, some = k * size, _columns_at_once(b, depth, columns)
    end, apart = min(len(a), begin + size), panel_size(b, depth)
    none = np.empty(0, np.int64)
    for block in range(blocks):
        of_block = block * b.shape[1] * wide if apart > 0 else block * columns
        for part in range(_tasks(columns, some)):
            some_columns(
                a, begin * depth, depth, b, of_block, wide, apart, start, block * columns, 0, out,
                begin * row + block * (row // blocks), row, end - begin, depth,
                part * some, min(columns, (part + 1) * some), none, -1,
            )  # fmt: skip


@compiled
def _columns_at_once(b: Any, depth: int, columns: int) -> int:
    """Of how many columns b takes a quarter of the second-level cache, in whole tiles, while rows pass by."""
    room, wide = CACHED // 4 // b.itemsize, panel_columns(b)
    return max(1, columns) if depth * columns <= room else max(wide, room // depth // wide * wide)


@compiled
def _all_rows(a: Any, b: Any, start: Any, out: Any, blocks: int, crew: Any, helpers: int) -> int:
    size = part_size(a.shape[0], b.size, helpers)
    # Where nothing stands between them, the parts are one.
    blocks = 1 if out.shape[1] == len(start) and b.shape[0] == 1 else blocks
    return int(begin(_rows_times, (a, b, start, out, blocks, size), crew, helpers, _tasks(len(a), size)))


@compiled
def _tasks(rows: int, size: int) -> int:
    return (rows + size - 1) // size


def rows_times(
    a: Array, b: Array, start: Array | None = None, parts: int = 1, each: int | None = None
) -> Array:
    """Return start + a @ b for a [M, K], b [K, ≥ G] and start [G] or None (zeros) as a new array [M, G].

    With `each` it is [M, parts·each], and of each part's columns the first G / parts are written. b may be
    [1, K, ≥ G], or each part's in panels (`shape_of`), with start.
    """
    if start is None:
        start = np.zeros(b.shape[-1], a.dtype)
    b = b[None] if b.ndim == 2 else b
    out = buffers.empty((len(a), len(start) if each is None else parts * each), a.dtype)
    threads.share(_all_rows, (a, b, start, out, parts), a.size * len(start))
    return out


@compiled
def _turned_part(a: Any, weight: Any, other: Any, start: Any, out: Any, parts: int, k: int) -> None:
    (size, depth), d, wide = weight.shape, k // parts, panel_columns(a)
    given, begin = weight if d == 0 else other, k % parts * wide
    columns, some = min(wide, size - begin), np.empty((1, depth, wide), a.dtype)
    transpose_rows(given.reshape(1, size, -1), some, -begin, begin, begin + columns)
    each = out.shape[1] // (len(start) // size)
    multiply(
        a, 0, depth, 1, some, 0, wide, start, d * size + begin, 0,
        out, d * each + begin, out.shape[1], len(a), depth, columns,
    )  # fmt: skip


@compiled
def _all_turned(a: Any, weight: Any, other: Any, start: Any, out: Any, crew: Any, helpers: int) -> int:
    parts = _tasks(len(weight), panel_columns(a))
    given, tasks = (a, weight, other, start, out, parts), len(start) // len(weight) * parts
    return int(begin(_turned_part, given, crew, helpers, tasks))


def few_rows(a: Array, weights: Sequence[Array]) -> bool:
    """Whether it is better to pass by a [M, K] several times than by one or two large weights [G, K]."""
    rows, (size, depth), count = len(a), weights[0].shape, len(weights)
    large = count * size * depth * a.itemsize > CACHED // 4
    return large and rows < count * size and 2 * a.nbytes <= CACHED


def rows_times_turned(a: Array, weights: Sequence[Array], start: Array, each: int) -> Array:
    """`rows_times` of one or two weights [G, K] that lie as layers hold them, to [M, each] or [M, 2·each].

    Each task transposes the columns that it sums, so that these never leave its cache.
    """
    out = buffers.empty((len(a), len(weights) * each), a.dtype)
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
    for first in range(begin, end, CHUNK):
        rows, a_first, b_first = min(CHUNK, end - first), first * a.shape[1] + a_at, b_at + first * b_row
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
    d_out: Any, x: Any, weight: Any, columns: int, zeros: Any, d_x: Any, d_weight: Any, d_bias: Any,
    blocks: int, size: int, wide: int, k: int,
) -> None:  # fmt: skip
    dim, apart, each = x.shape[1], d_out.shape[1] // blocks, columns // blocks
    tasks, length = _tasks(d_x.shape[0], size), weight.shape[2]
    if k < tasks:
        begin, end = k * size, min(len(d_x), (k + 1) * size)
        start, start_at, start_row = zeros, 0, 0
        some, none = _columns_at_once(weight, each, dim), np.empty(0, np.int64)
        panel = panel_size(weight, each)
        for block in range(blocks):
            of_block = block * weight.shape[1] * length
            for part in range(_tasks(dim, some)):
                some_columns(
                    d_out, begin * d_out.shape[1] + block * apart, d_out.shape[1], weight, of_block, length,
                    panel, start, start_at, start_row, d_x, begin * dim, dim, end - begin, each,
                    part * some, min(dim, (part + 1) * some), none, -1,
                )  # fmt: skip
            start, start_at, start_row = d_x.reshape(-1), begin * dim, dim
        return
    begin, flat, sums = (k - tasks) * wide, x.reshape(-1), d_weight.reshape(-1)
    end = min(columns, begin + wide)
    if d_out.shape[0] == 0:
        d_weight[begin:end] = 0
    d_bias[begin:end] = 0
    for block in range(begin // each, (end + each - 1) // each):
        first, last = max(begin, block * each), min(end, (block + 1) * each)
        at, some = block * (apart - each) + first, last - first
        for row in range(0, d_out.shape[0], CHUNK):
            to = min(row + CHUNK, d_out.shape[0])
            for one in range(row, to if d_bias.shape[0] else row):
                add_row(d_out, one * d_out.shape[1] + at, d_bias, first, some)
            if d_weight.shape[0]:
                add_transposed_times(d_out, at, flat, 0, dim, row, to, row > 0, sums, first * dim, some, dim)


@compiled
def _lined_part(weight: Any, other: Any, lined: Any, size: int, k: int) -> None:
    each = len(weight)
    for row in range(k * size, min((k + 1) * size, len(lined) * each)):
        lay_out_row(weight if row < each else other, row % each, lined, row // each, 0)


@compiled
def _all_back(
    d_out: Any, x: Any, weight: Any, other: Any, lined: Any, zeros: Any, d_x: Any, d_weight: Any, d_bias: Any,
    parts: int, crew: Any, helpers: int,
) -> int:  # fmt: skip
    failed = 0
    if lined.ctypes.data != weight.ctypes.data:
        rows = parts * len(weight)
        each = even_part(rows, helpers, 1)
        failed = share(_lined_part, (weight, other, lined, each), crew, helpers, _tasks(rows, each))
    # Where nothing stands between them, the parts are one.
    blocks = 1 if d_out.shape[1] == parts * len(weight) and lined.shape[1] == len(weight) else parts
    size, summed = part_size(d_x.shape[0], parts * weight.size, helpers), max(len(d_weight), len(d_bias))
    wide = columns_of_part(summed, x.size, helpers)
    given = d_out, x, lined, parts * weight.shape[0], zeros, d_x, d_weight, d_bias, blocks, size, wide
    tasks = _tasks(d_x.shape[0], size) + _tasks(summed, wide)
    return int(failed or begin(_back_part, given, crew, helpers, tasks))


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
    many, large, each = len(x) >= MANY, weights[0].nbytes > CACHED, len(weights[0])
    form = shape_of(each, dim, dtype, many)
    copied = need_x and (
        parts > 1 or form[0] > each or (many and not buffers.begins_lines(weights[0], odd=large))
    )
    lined = buffers.empty((parts, *form), dtype) if copied else weights[0][None]
    zeros = buffers.nothing((dim,), dtype)
    given = d_out, x, weights[0], weights[-1], lined, zeros, d_x, d_weight, d_bias, parts
    threads.share(_all_back, given, x.size * size * (need_x + need_weight))
    return d_x, d_weight, d_bias
