"""Matrix products whose rows have the same bits in any batch and at any thread count; knows nothing of cells.

BLAS may round one row differently when it is multiplied together with others, and it runs threads of its
own. Here every element of a product is summed over k = 0, 1, 2, … with one fused multiply-add each, whatever
the number of rows, so a row's bits never depend on its company. For the small matrices of recurrent networks
it is also faster than BLAS. All arrays are C-contiguous and of one dtype, float32 or float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba.core import types
from numba.extending import intrinsic

from gatelight.compiled import called_by_name, compiled
from gatelight.nn import threads
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.parallel import parallel_for
from gatelight.nn.kernels.simd import (
    INDEX,
    VECTOR_BYTES,
    Vectors,
    add_row,
    copy_row,
    going_round,
    loop,
    opaque,
)

Array = np.ndarray[Any, np.dtype[Any]]

NUMBERS = "a a_row a_k b b_k start start_row out out_row rows depth columns"
"""What a product is given: addresses, and elements from one row to the next."""

FEW = {4: 3, 2: 5, 1: 8}  # where there are 16 registers
MANY = {8: 3, 4: 5, 2: 8, 1: 8}
SHAPES = MANY if VECTOR_BYTES == 64 or "neon" in llvm.get_host_cpu_features() else FEW
"""Height of a tile (rows) to its width (registers).

rows x width sums, one row of b and a repeated element of a must all fit into the registers: 32 of them with
AVX-512 and on ARM, 16 with AVX and SSE.
"""

WIDE = SHAPES[max(SHAPES)] * VECTOR_BYTES
"""Bytes of a row of the tile that is computed most: the tallest."""

CHUNK = 160
"""Rows that are summed at a time: what is read of them stays in a near cache."""

BLOCK = 256
"""Rows that pass by a panel of a weight which a task has in its cache."""

MOST_SUMMED = 512
"""Columns that a task sums at most: what it sums must not leave its cache between some rows and the next."""


def _write_tile(
    vectors: Vectors, args: dict[str, Any], rows: int, width: int, row: Any, column: Any, mask: Any = None
) -> None:
    """Write code for `rows` rows and `width` registers of columns from `column` on, the last one masked.

    out[r, j] = start[r, j] + sum over k of a[r, k] * b[k, j].
    """
    builder, lanes = vectors.builder, vectors.lanes

    def place(name: str, offset: Any, register: int) -> Any:
        offset = builder.add(builder.add(offset, column), INDEX(register * lanes))
        return builder.gep(args[name], [offset])

    masks = [*[None] * (width - 1), mask]

    def row_offset(name: str, r: int) -> Any:
        return builder.mul(args[f"{name}_row"], builder.add(row, INDEX(r)))

    cells = [(r, register) for r in range(rows) for register in range(width)]
    totals = [
        vectors.load(place("start", row_offset("start", r), register), masks[register])
        for r, register in cells
    ]
    # Else the compiler adds up each row's address from the last one's: seven more instructions each.
    a_rows = [opaque(builder, builder.gep(args["a"], [row_offset("a", r)])) for r in range(rows)]

    def more(k: Any, sums: list[Any]) -> list[Any]:
        b_row, a_column = builder.mul(k, args["b_k"]), builder.mul(k, args["a_k"])
        b_vectors = [vectors.load(place("b", b_row, register), masks[register]) for register in range(width)]
        factors = [vectors.repeat(builder.load(builder.gep(a_row, [a_column]))) for a_row in a_rows]
        return [
            vectors.fma(factors[r], b_vectors[register], total)
            for (r, register), total in zip(cells, sums, strict=True)
        ]

    totals = going_round(builder, args["depth"], totals, more)
    for (r, register), total in zip(cells, totals, strict=True):
        vectors.store(total, place("out", row_offset("out", r), register), masks[register])


def _write_rows(vectors: Vectors, args: dict[str, Any], height: int, row: Any) -> None:
    """Write code that covers `height` rows from `row` with tiles, from the first column to the last."""
    builder, lanes, widest = vectors.builder, vectors.lanes, SHAPES[height]
    wide = INDEX(widest * lanes)
    but_one = builder.sub(args["columns"], INDEX(1))  # so that something is left for the last tile
    loop(
        builder, but_one, lambda column: _write_tile(vectors, args, height, widest, row, column),
        widest * lanes,
    )  # fmt: skip
    column = builder.mul(builder.sdiv(but_one, wide), wide)
    left = builder.sub(args["columns"], column)
    registers = builder.sdiv(builder.add(left, INDEX(lanes - 1)), INDEX(lanes))
    mask = vectors.mask(builder.sub(left, builder.mul(builder.sub(registers, INDEX(1)), INDEX(lanes))))
    write = partial(_write_tile, vectors, args, height, row=row, column=column, mask=mask)
    _choose(builder, registers, {width: partial(write, width=width) for width in range(1, widest + 1)})


def _choose(builder: Any, number: Any, cases: dict[int, Callable[[], None]]) -> None:
    """Write code that does what stands under `number`, or nothing."""
    done = builder.append_basic_block("choice.done")
    choice = builder.switch(number, done)
    for key, write in cases.items():
        block = builder.append_basic_block(f"choice.{key}")
        choice.add_case(INDEX(key), block)
        builder.position_at_end(block)
        write()
        builder.branch(done)
    builder.position_at_end(done)


@intrinsic  # type: ignore[untyped-decorator]
def _write_product(
    typingctx: Any, like: Any, a: Any, a_row: Any, a_k: Any, b: Any, b_k: Any, start: Any, start_row: Any,
    out: Any, out_row: Any, rows: Any, depth: Any, columns: Any,
) -> Any:  # fmt: skip
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        args = dict(zip(NUMBERS.split(), values[1:], strict=True))
        element = context.get_data_type(like)
        for name in ("a", "b", "start", "out"):
            args[name] = builder.inttoptr(args[name], element.as_pointer())
        vectors = Vectors(builder, element)
        done: Any = INDEX(0)
        for height in sorted(SHAPES, reverse=True):

            def cover(row: Any, height: int = height, done: Any = done) -> None:
                _write_rows(vectors, args, height, builder.add(done, row))

            left = builder.sub(args["rows"], done)
            loop(builder, left, cover, height)
            done = builder.add(done, builder.mul(builder.sdiv(left, INDEX(height)), INDEX(height)))
        return context.get_dummy_value()

    return _types(like), codegen


def _types(like: Any) -> Any:
    return types.void(like, *(types.int64 for _ in NUMBERS.split()))


@compiled
def _product(
    like: Any, a: int, a_row: int, a_k: int, b: int, b_k: int, start: int, start_row: int, out: int,
    out_row: int, rows: int, depth: int, columns: int,
) -> None:  # fmt: skip
    _write_product(like, a, a_row, a_k, b, b_k, start, start_row, out, out_row, rows, depth, columns)


@intrinsic  # type: ignore[untyped-decorator]
def multiply(
    typingctx: Any, a: Any, a_at: Any, a_row: Any, a_k: Any, b: Any, b_at: Any, b_k: Any, start: Any,
    start_at: Any, start_row: Any, out: Any, out_at: Any, out_row: Any, rows: Any, depth: Any, columns: Any,
) -> Any:  # fmt: skip
    """out[r, j] = start[r, j] + sum over k of a[r, k] * b[k, j], for compiled callers; nothing is checked.

    a, b, start, out: C-contiguous arrays of one dtype, float32 or float64; x_at: index of the first
    element in the flat array; a_row, a_k: elements from one row and one k to the next (so a may be
    read transposed); b_k, start_row, out_row likewise; a stride of 0 repeats a row. start may be out.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        left, numbers = list(zip(signature.args, values, strict=True)), []
        while left:
            kind, value = left.pop(0)
            if isinstance(kind, types.Array):  # its place follows it
                data = context.make_array(kind)(context, builder, value=value).data
                value = builder.ptrtoint(builder.gep(data, [left.pop(0)[1]]), INDEX)
            numbers.append(value)
        # As a part of all that multiplies the many tiles took a minute of compiling for one cell.
        kinds = _types(a.dtype).args
        product = called_by_name(context, builder, _product, kinds)
        given = [context.get_constant(a.dtype, 0), *numbers]
        context.call_conv.call_function(builder, product, types.none, kinds, given)
        return context.get_dummy_value()

    n = [types.int64] * 5
    return types.void(a, *n[:3], b, *n[:2], start, *n[:2], out, *n), codegen


def panels(b: Array, columns: int | None = None) -> Array:
    """b [K, N], of any strides → [panels, K, columns], the last one filled up with zeros.

    A panel is as many columns as the tallest tile, whose rows stand one after the other: a product reads it
    from end to end.
    """
    wide = columns or WIDE // b.itemsize
    depth, size = b.shape
    whole = size // wide
    out = buffers.empty((-(-size // wide), depth, wide), b.dtype)
    out[:whole] = b[:, : whole * wide].reshape(depth, whole, wide).swapaxes(0, 1)
    if len(out) > whole:
        out[whole] = 0
        out[whole, :, : size - whole * wide] = b[:, whole * wide :]
    return out


def lined(parts: Sequence[Array]) -> Array:
    """One or two matrices [M, K] of any strides → [1 or 2, M, ≥ K], rows that begin at cache lines."""
    out = buffers.lined((len(parts), *parts[0].shape), parts[0].dtype)
    for place, part in zip(out, parts, strict=True):
        place[:, : part.shape[1]] = part
    return out


def rows_times(a: Array, b: Array, start: Array) -> Array:
    """Return start + a @ b for a [M, K], start [N] and b [K, N] in panels, as a new array [M, N]."""
    out = buffers.empty((len(a), len(start)), a.dtype)
    threads.run_compiled(_all_rows, (a, b, start, out), a.size * len(start))
    return out


@compiled
def _all_rows(a: Any, b: Any, start: Any, out: Any, pool: Any, helpers: int) -> int:
    tasks = len(b) * ((len(a) + BLOCK - 1) // BLOCK)
    return int(parallel_for(_rows_part, (a, b, start, out), pool, helpers, tasks))


@compiled
def _rows_part(a: Any, b: Any, start: Any, out: Any, k: int) -> None:
    (count, depth, wide), row = b.shape, k // len(b) * BLOCK
    panel, columns = k % count, out.shape[1]
    at = panel * wide
    multiply(
        a, row * depth, depth, 1, b, panel * depth * wide, wide, start, at, 0, out, row * columns + at,
        columns, min(BLOCK, len(a) - row), depth, min(wide, columns - at),
    )  # fmt: skip


def transposed_times(a: Array, b: Array) -> tuple[Array, Array]:
    """a [N, G] and b [N, D] → a.T @ b [G, D] and the sums of a's columns [G], row after row.

    So a weight and its bias have their gradients from that of what they gave.
    """
    out, sums = np.empty((a.shape[1], b.shape[1]), a.dtype), np.empty(a.shape[1], a.dtype)
    threads.run_compiled(_all_sums, (a, b, out, sums), a.size * b.shape[1])
    return out, sums


@compiled
def _all_sums(a: Any, b: Any, out: Any, sums: Any, pool: Any, helpers: int) -> int:
    each = min(MOST_SUMMED, (len(out) + helpers) // (helpers + 1))
    each += -each % 8  # so that no tile is cut
    tasks = (len(out) + each - 1) // max(1, each)
    return int(parallel_for(_sums_part, (a, b, out, sums, each), pool, helpers, tasks))


@compiled
def _sums_part(a: Any, b: Any, out: Any, sums: Any, each: int, k: int) -> None:
    (rows, width), size, begin = a.shape, b.shape[1], k * each
    columns = min(each, width - begin)
    # In a copy the rows lie so that all columns of some find places in a cache.
    some, total = np.empty((CHUNK, row_length(columns, a.itemsize)), a.dtype), np.zeros(columns, a.dtype)
    out[begin : begin + columns] = 0
    for first in range(0, rows, CHUNK):
        count, length = min(CHUNK, rows - first), some.shape[1]
        for row in range(count):
            copy_row(a, (first + row) * width + begin, some, row * length, columns)
            add_row(some, row * length, total, 0, columns)
        multiply(
            some, 0, 1, length, b, first * size, size, out, begin * size, size, out, begin * size, size,
            columns, count, size,
        )  # fmt: skip
    sums[begin : begin + columns] = total


@compiled
def row_length(size: int, itemsize: int) -> int:
    """How many elements long rows of so many are in `buffers.lined`."""
    per_line = buffers.LINE // itemsize
    return int(((size + per_line - 1) // per_line | 1) * per_line)
