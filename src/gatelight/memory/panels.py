"""Products whose factors stand in panels, so that they are read in a row: large weights, and sums over rows.

A panel is as many columns as the tallest tile; all its rows stand one after the other. For compiled callers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from gatelight.compiled import compiled
from gatelight.memory import buffers
from gatelight.memory.buffers import LINE, line_up
from gatelight.memory.lanes import INDEX, VECTOR_BYTES, Vectors, loop, over_lanes
from gatelight.memory.rows import copy_row
from gatelight.memory.tiles import MASKS, WIDEST, multiply, multiply_ahead

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK = 160
"""Rows summed at a time: those of a panel stay in the first-level cache."""

PASSING = 16
"""Rows that pass by some panels before the next ones do."""

LEAST = 1 << 17
"""Elements of a weight from which on it, too, stands in panels: what is read in a row the processor fetches
in time, also from beyond the second-level cache."""


def shape_of(depth: int, columns: int, dtype: Any, in_panels: bool = True) -> tuple[int, int]:
    """How a weight [depth, columns] is laid out: in panels one after the other, or with lengthened rows.

    The first only of a large one, and with AVX-512: elsewhere nobody has measured it.
    """
    if in_panels and MASKS and depth * columns >= LEAST:
        wide = WIDEST * (VECTOR_BYTES // dtype.itemsize)
        return -(-columns // wide) * depth, wide
    return depth, line_up(columns, dtype)


def laid_out(weight: Array) -> Array:
    """A copy of weight [directions, depth, columns] as kernels read it: each direction's in that shape."""
    directions, depth, columns = weight.shape
    rows, wide = shape_of(depth, columns, weight.dtype)
    out = buffers.empty((directions, rows, wide), weight.dtype)
    for panel, first in enumerate(range(0, columns, wide)):
        part = weight[:, :, first : first + wide]
        out[:, panel * depth : (panel + 1) * depth, : part.shape[2]] = part
    return out


@compiled
def panel_columns(like: Any) -> int:
    """Return how many columns of an array of this type make a panel."""
    return int(WIDEST * (VECTOR_BYTES // like.itemsize))


@compiled
def panel_size(b: Any, depth: int) -> int:
    """Return the elements of a panel of weights b [·, ·, ·] of this depth, or 0 where they stand in rows."""
    return int(depth * b.shape[2] if b.shape[1] > depth else 0)


@compiled
def some_columns(
    a: Any, a_at: int, a_row: int, b: Any, b_at: int, b_k: int, apart: int, start: Any, start_at: int,
    start_row: int, out: Any, out_at: int, out_row: int, rows: int, depth: int, columns: int, wide: int,
    ahead: Any, last: int, k: int,
) -> None:  # fmt: skip
    """The k-th part, `wide` columns, of a product; the first, mostly of who goes on with it, also fetches.

    Where `apart` is not 0, b stands in panels of b_k columns, so many elements apart, and some rows pass by
    those of a part before the next ones do.
    """
    end, fetched = min(columns, (k + 1) * wide), 0
    some, some_rows = (b_k, PASSING) if apart > 0 else (wide, max(1, rows))
    for row in range(0, rows, some_rows):
        for at in range(k * wide, end, some):
            multiply_ahead(
                a, a_at + row * a_row, a_row, 1, b, b_at + (at // b_k * apart if apart > 0 else at), b_k,
                start, start_at + row * start_row + at, start_row, out, out_at + row * out_row + at, out_row,
                min(some_rows, rows - row), depth, min(some, end - at),
                ahead[fetched:], last - fetched if k == 0 else -1,
            )  # fmt: skip
            fetched = min(fetched + depth, last + 1)


@compiled
def lay_out_row(given: Any, row: int, out: Any, part: int) -> None:
    """Copy a row of a weight [depth, columns] to where it stands in out[part], of the form of `shape_of`."""
    depth, columns = given.shape
    across = out.shape[2] if panel_size(out, depth) > 0 else max(1, columns)
    for column in range(0, columns, across):
        to = (part * out.shape[1] + column // across * depth + row) * out.shape[2]
        copy_row(given, row * columns + column, out, to, min(across, columns - column))


@compiled
def panels(like: Any, first: int, second: int, third: int) -> tuple[Any, Any, Any]:
    """Return room for panels of CHUNK rows of so many columns each, beginning at cache lines; for 0 none."""
    wide = panel_columns(like)
    sizes = [(columns + wide - 1) // wide * wide * CHUNK for columns in (first, second, third)]
    needed = sum(sizes)
    if needed == 0:
        none = np.empty(0, like.dtype)
        return none, none, none
    a = np.empty(needed + LINE, like.dtype)
    a = a[-a.ctypes.data % LINE // a.itemsize :]
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
            place = builder.mul(first, INDEX(CHUNK))
            for k in range(0, wide, lanes):
                copy(vectors, builder.add(first, INDEX(k)), builder.add(place, INDEX(k)))

        loop(builder, size, panel, wide)
        left = builder.srem(size, INDEX(wide))
        column = builder.sub(size, left)
        place = builder.mul(column, INDEX(CHUNK))
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
                left, row * CHUNK, 1, wide, right, column * CHUNK, wide,
                start, start_at + row * start_row + column, start_row,
                out, out_at + row * out_row + column, out_row,
                min(wide, columns - row), rows, min(wide, size - column),
            )  # fmt: skip
