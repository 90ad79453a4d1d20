"""Products whose factors stand in panels, so that they are read in a row: large weights, and sums over rows.

A panel is as many columns as the tallest tile; all its rows stand one after the other. For compiled callers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from gatelight.compiled import compiled
from gatelight.nn import buffers
from gatelight.nn.buffers import CACHED, LINE
from gatelight.nn.lanes import INDEX, VECTOR_BYTES, Vectors, loop, over_lanes
from gatelight.nn.rows import copy_row
from gatelight.nn.tiles import FETCHING, MASKS, WIDEST, multiply, multiply_ahead

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK, ROOM = 160, 240
"""Rows summed at a time, about: those of a panel stay in the first-level cache. A panel has room for more."""

PASSING = 16
"""Rows that pass by some panels before the next ones do."""

LEAST = 1 << 17
"""Elements of a weight from which on it, too, stands in panels: what is read in a row the processor fetches
in time, also from beyond the second-level cache."""

UNITS = 16
"""A thread's part of a recurrent weight is a multiple of so many units: whole cache lines."""


def units_of(hidden_size: int, columns: int, dtype: Any, threads: int, waits: bool = False) -> int:
    """Of how many units are the parts of such a recurrent weight, of which there are as many as threads.

    It is in one part where the second-level cache holds all of it, unless threads that take sequences each
    for itself would wait for each other. 0: it stands in rows.
    """
    if not MASKS or hidden_size * columns < LEAST:
        return 0
    if hidden_size * columns * dtype.itemsize < CACHED and not waits:
        return hidden_size
    each = -(-hidden_size // threads)
    return min(hidden_size, each + -each % UNITS)


def shape_in_parts(depth: int, blocks: int, hidden_size: int, units: int, dtype: Any) -> tuple[int, int]:
    """How one of as many columns as blocks of all units is laid out: each part in panels of its own.

    A part has the same `units` of each block, one block after the other; the last may have fewer.
    """
    wide = WIDEST * (VECTOR_BYTES // dtype.itemsize)
    return -(-hidden_size // units) * -(-blocks * units // wide) * depth, wide


def laid_out(weight: Array, units: int) -> Array:
    """A copy of recurrent weights [directions, H, G] as kernels read them: in parts, or in lined rows."""
    directions, depth, columns = weight.shape
    if not units:
        out = buffers.lined(weight.shape, weight.dtype)
        out[..., :columns] = weight
        return out
    rows, wide = shape_in_parts(depth, columns // depth, depth, units, weight.dtype)
    out, panel = buffers.zeros((directions, rows, wide), weight.dtype), 0
    blocks = weight.reshape(directions, depth, -1, depth)
    for begin in range(0, depth, units):
        part = blocks[..., begin : begin + units].reshape(directions, depth, -1)
        for first in range(0, columns // depth * units, wide):
            some = part[:, :, first : first + wide]
            out[:, panel * depth : (panel + 1) * depth, : some.shape[2]] = some
            panel += 1
    return out


@compiled
def panel_columns(like: Any) -> int:
    """Return how many columns of an array of this type make a panel."""
    return int(WIDEST * (VECTOR_BYTES // like.itemsize))


@compiled
def panel_size(b: Any, depth: int) -> int:
    """Return the elements of a panel of weights b [·, ·, ·] of this depth, or 0 where they stand in rows."""
    return int(depth * b.shape[2] if b.shape[1] > depth else 0)


@compiled(forceinline=True)  # a call with so many arrays takes as long as a step's product of 16 units
def some_columns(
    a: Any, a_at: int, a_row: int, b: Any, b_at: int, b_k: int, apart: int, start: Any, start_at: int,
    start_row: int, out: Any, out_at: int, out_row: int, rows: int, depth: int, begin: int, end: int,
    ahead: Any, last: int,
) -> None:  # fmt: skip
    """Columns begin to end of a product, which meanwhile fetches as `multiply_ahead` does.

    Where `apart` is not 0, b stands in panels of b_k columns, so many elements apart, and some rows pass by
    those columns before the next ones do.
    """
    fetched, some_rows = 0, PASSING if apart > 0 else max(1, rows)
    for row in range(0, rows, some_rows):
        at = begin
        while at < end:
            place, some = at, end - at
            if apart > 0:
                place, some = at // b_k * apart + at % b_k, min(b_k - at % b_k, some)
            multiply_ahead(
                a, a_at + row * a_row, a_row, 1, b, b_at + place, b_k,
                start, start_at + row * start_row + at, start_row, out, out_at + row * out_row + at, out_row,
                min(some_rows, rows - row), depth, some, ahead[fetched:], last - fetched,
            )  # fmt: skip
            if some == b_k:  # a tile of all columns and enough rows has fetched
                tiles = (min(some_rows, rows - row) + FETCHING - 2) // (2 * FETCHING - 2)
                fetched = min(fetched + depth * tiles, last + 1)
            at += some


@compiled
def size_of_part(b: Any, depth: int, columns: int) -> int:
    """Return the elements of a part of so many columns of weights b [·, ·, ·] that stand in parts."""
    return int((columns + b.shape[2] - 1) // b.shape[2] * b.shape[2] * depth)


@compiled
def lay_out_row(given: Any, row: int, out: Any, part: int, units: int) -> None:
    """Copy a row of a weight [depth, columns] to where it stands in out[part].

    That is in a row, or, with units, in the form of `shape_in_parts`.
    """
    depth, columns = given.shape
    across = out.shape[2] if panel_size(out, depth) > 0 else max(1, columns)
    of_part, panel = units if units > 0 else max(1, columns), 0
    for begin in range(0, columns, of_part):
        end = min(columns, begin + of_part)
        for column in range(begin, end, across):
            to = (part * out.shape[1] + panel * depth + row) * out.shape[2]
            copy_row(given, row * columns + column, out, to, min(across, end - column))
            panel += 1


@compiled
def lined_up(size: int, like: Any) -> Any:
    """Return room for so many elements, beginning at a cache line."""
    if size == 0:
        return np.empty(0, like.dtype)
    a = np.empty(size + LINE, like.dtype)
    begin = -a.ctypes.data % LINE // a.itemsize
    return a[begin : begin + size]


@compiled
def chunk_of(rows: int) -> int:
    """Return how many of so many rows are summed at a time: about CHUNK, and never a few at the end.

    For each chunk what is summed is read and written again.
    """
    count = max(1, (rows + CHUNK // 2) // CHUNK)
    return max(1, (rows + count - 1) // count)


@compiled
def panels(like: Any, first: int, second: int, third: int) -> tuple[Any, Any, Any]:
    """Return room for panels of ROOM rows of so many columns each, beginning at cache lines; for 0 none."""
    wide = panel_columns(like)
    sizes = [(columns + wide - 1) // wide * wide * ROOM for columns in (first, second, third)]
    a = lined_up(sum(sizes), like)
    return a[: sizes[0]], a[sizes[0] : sizes[0] + sizes[1]], a[sizes[0] + sizes[1] :]


@intrinsic  # type: ignore[untyped-decorator]
def into_panels(typingctx: Any, source: Any, at: Any, size: Any, to: Any, row: Any) -> Any:
    """Copy `size` elements from source[at] on into a row of panels."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given, at, size, taken, row = values
        begin, end = (
            context.make_array(kind)(context, builder, value=array).data
            for kind, array in ((source, given), (to, taken))
        )
        vectors = Vectors(builder, context.get_data_type(source.dtype))
        lanes, wide = vectors.lanes, WIDEST * vectors.lanes
        begin, end = builder.gep(begin, [at]), builder.gep(end, [builder.mul(row, INDEX(wide))])

        def copy(part: Vectors, column: Any, place: Any) -> None:
            part.store(part.load(builder.gep(begin, [column])), builder.gep(end, [place]))

        def panel(first: Any) -> None:
            place = builder.mul(first, INDEX(ROOM))
            for k in range(0, wide, lanes):
                copy(vectors, builder.add(first, INDEX(k)), builder.add(place, INDEX(k)))

        loop(builder, size, panel, wide)
        left = builder.srem(size, INDEX(wide))
        column = builder.sub(size, left)
        place = builder.mul(column, INDEX(ROOM))
        over_lanes(
            vectors, left,
            lambda part, first: copy(part, builder.add(column, first), builder.add(place, first)),
        )  # fmt: skip
        return context.get_dummy_value()

    return types.void(source, types.int64, types.int64, to, types.int64), codegen


@compiled
def product_of_panels(
    left: Any, right: Any, rows: int, start: Any, start_at: int, start_row: int, out: Any, out_at: int,
    out_row: int, columns: int, size: int,
) -> None:  # fmt: skip
    """start + left.T @ right, panels of so many rows: `columns` rows of `size` elements from out[out_at] on.

    These are `out_row` elements apart, those of start `start_row`, which may be 0; start may be out.
    """
    wide = panel_columns(left)
    for row in range(0, columns, wide):  # the result's rows are written one after the other
        for column in range(0, size, wide):
            multiply(
                left, row * ROOM, 1, wide, right, column * ROOM, wide,
                start, start_at + row * start_row + column, start_row,
                out, out_at + row * out_row + column, out_row,
                min(wide, columns - row), rows, min(wide, size - column),
            )  # fmt: skip
