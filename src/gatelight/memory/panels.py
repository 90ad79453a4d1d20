"""Products summed over many rows, whose factors stand in panels so that they are read in a row.

A panel is as many columns as the widest tile; all its rows stand one after the other. For compiled callers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from gatelight.compiled import compiled
from gatelight.memory.buffers import LINE
from gatelight.memory.lanes import INDEX, VECTOR_BYTES, Vectors, loop, over_lanes
from gatelight.memory.tiles import WIDEST, multiply

CHUNK = 160
"""Rows summed at a time: those of a panel stay in the first-level cache."""


@compiled
def panel_columns(like: Any) -> int:
    """Return how many columns of an array of this type make a panel."""
    return int(WIDEST * (VECTOR_BYTES // like.itemsize))


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
    for column in range(0, size, wide):
        for row in range(0, columns, wide):
            multiply(
                left, row * CHUNK, 1, wide, right, column * CHUNK, wide,
                start, start_at + row * start_row + column, start_row,
                out, out_at + row * out_row + column, out_row,
                min(wide, columns - row), rows, min(wide, size - column),
            )  # fmt: skip
