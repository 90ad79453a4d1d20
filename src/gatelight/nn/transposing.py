"""Arrays transposed in squares that fit into vector registers; knows nothing of what they hold."""

from __future__ import annotations

from typing import Any

from numba.core import types
from numba.extending import intrinsic

from gatelight.compiled import compiled
from gatelight.nn.lanes import INDEX, VECTOR_BYTES, Vectors, chosen

MOVE_WORK = 16  # to put an element elsewhere takes about as long as so many multiply-adds
PART = 16  # rows of which a thread takes a multiple


@intrinsic  # type: ignore[untyped-decorator]
def _square(typingctx: Any, source: Any, at: Any, row: Any, target: Any, to: Any, column: Any) -> Any:
    """Write a square of a register's side, from source[at], rows `row` apart, transposed to target[to]."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given, at, row, taken, to, column = values
        begin, end = (
            builder.gep(context.make_array(kind)(context, builder, value=array).data, [place])
            for kind, array, place in ((source, given, at), (target, taken, to))
        )
        vectors = Vectors(builder, context.get_data_type(source.dtype))
        lanes = range(vectors.lanes)
        rows = [vectors.load(builder.gep(begin, [builder.mul(row, INDEX(k))])) for k in lanes]

        # Blocks of 1, 2, 4 … change places across the diagonal.
        apart = 1
        while apart < vectors.lanes:
            second = vectors.lanes  # where the elements of the other row are numbered from
            upper = [lane if not lane & apart else second + lane - apart for lane in lanes]
            lower = [lane + apart if not lane & apart else second + lane for lane in lanes]
            for k in lanes:
                if not k & apart:
                    a, b = rows[k], rows[k + apart]
                    rows[k], rows[k + apart] = chosen(builder, a, b, upper), chosen(builder, a, b, lower)
            apart *= 2
        for k in lanes:
            vectors.store(rows[k], builder.gep(end, [builder.mul(column, INDEX(k))]))
        return context.get_dummy_value()

    index = types.int64
    return types.void(source, index, index, target, index, index), codegen


@compiled
def transpose_rows(a: Any, out: Any, first: int, begin: int, end: int) -> None:
    """Write rows begin to end of each part of a [n, M, K] transposed to columns `first` + … of out [n, K, ·].

    For compiled callers.
    """
    parts, rows, columns = a.shape
    wide, side = out.shape[2], VECTOR_BYTES // a.itemsize
    whole_rows, whole_columns = end - (end - begin) % side, columns - columns % side
    for part in range(parts):
        for top in range(begin, whole_rows, side):
            for left in range(0, whole_columns, side):
                to = (part * columns + left) * wide + first + top
                _square(a, (part * rows + top) * columns + left, columns, out, to, wide)
        for j in range(columns):
            for i in range(whole_rows if j < whole_columns else begin, end):
                out[part, j, first + i] = a[part, i, j]
