"""A small matrix product in vector registers, as LLVM code that Numba compiles; knows nothing of cells.

BLAS may round one row differently when it is multiplied together with others, and it runs threads
of its own. Here every element of a product is summed over k = 0, 1, 2, … with one fused multiply-add
each, whatever the number of rows, so a row's bits never depend on its company. For the small
matrices of recurrent networks it is also faster than BLAS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from numba.core import types
from numba.extending import intrinsic

from gatelight.compiled import compiled
from gatelight.memory.lanes import INDEX, VECTOR_BYTES, Vectors, halves, loop

PRODUCT_ARGUMENTS = (
    "a a_at a_row a_k b b_at b_k start start_at start_row out out_at out_row rows depth columns"
)


SHAPES = {
    64: {8: 3, 4: 6, 2: 6, 1: 8},
    32: {4: 3, 2: 5, 1: 8},
    16: {8: 3, 4: 5, 2: 8, 1: 8} if "neon" in llvm.get_host_cpu_features() else {4: 3, 2: 5, 1: 8},
}[VECTOR_BYTES]
"""Height of a tile (rows) to its width (registers).

rows x width sums, one row of b and a repeated element of a must all fit into the registers: 32 of them with
AVX-512 and on ARM, 16 with AVX and SSE.
"""

TALL = 4
"""Rows from which on a tile one register wide has enough sums to keep the multipliers busy."""


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

    def mask_of(register: int) -> Any:
        return mask if register == width - 1 else None

    def row_offset(name: str, r: int) -> Any:
        return builder.mul(args[f"{name}_row"], builder.add(row, INDEX(r)))

    cells = [(r, register) for r in range(rows) for register in range(width)]
    first = [
        vectors.load(place("start", row_offset("start", r), register), mask_of(register))
        for r, register in cells
    ]
    entry = builder.block
    head, body, done = (builder.append_basic_block(f"tile.{name}") for name in ("head", "body", "done"))
    builder.branch(head)

    builder.position_at_end(head)
    k = builder.phi(INDEX)
    k.add_incoming(INDEX(0), entry)
    sums = []
    for value in first:
        sums.append(builder.phi(vectors.type))
        sums[-1].add_incoming(value, entry)
    builder.cbranch(builder.icmp_signed("<", k, args["depth"]), body, done)

    builder.position_at_end(body)
    b_row = builder.mul(k, args["b_k"])
    b_vectors = [vectors.load(place("b", b_row, register), mask_of(register)) for register in range(width)]
    a_column = builder.gep(args["a"], [builder.mul(k, args["a_k"])])
    for r in range(rows):
        factor = vectors.repeat(builder.load(builder.gep(a_column, [row_offset("a", r)])))
        for register in range(width):
            total = sums[r * width + register]
            total.add_incoming(vectors.fma(factor, b_vectors[register], total), body)
    k.add_incoming(builder.add(k, INDEX(1)), body)
    builder.branch(head)

    builder.position_at_end(done)
    for (r, register), total in zip(cells, sums, strict=True):
        vectors.store(total, place("out", row_offset("out", r), register), mask_of(register))


def _write_rows(vectors: Vectors, args: dict[str, Any], height: int, row: Any) -> None:
    """Write code that covers `height` rows from `row` with tiles, from the first column to the last."""
    builder, lanes, widest = vectors.builder, vectors.lanes, SHAPES[height]
    wide = INDEX(widest * lanes)
    loop(
        builder,
        builder.sub(args["columns"], INDEX(1)),  # so that something is left for the last tile
        lambda column: _write_tile(vectors, args, height, widest, row, column),
        widest * lanes,
    )
    columns = args["columns"]
    column = builder.mul(builder.sdiv(builder.sub(columns, INDEX(1)), wide), wide)
    left = builder.sub(columns, column)
    if height >= TALL:  # what is left beyond whole registers is done in halves and quarters of one
        whole = builder.sdiv(left, INDEX(lanes))
        _choose(
            builder, whole, {w: _tile_of(vectors, args, height, w, row, column) for w in range(1, widest + 1)}
        )
        column = builder.add(column, builder.mul(whole, INDEX(lanes)))
        halves(
            vectors,
            builder.sub(columns, column),
            lambda part, first: _write_tile(part, args, height, 1, row, builder.add(column, first)),
        )
        return
    registers = builder.sdiv(builder.add(left, INDEX(lanes - 1)), INDEX(lanes))
    mask = vectors.mask(builder.sub(left, builder.mul(builder.sub(registers, INDEX(1)), INDEX(lanes))))
    _choose(
        builder,
        registers,
        {w: _tile_of(vectors, args, height, w, row, column, mask) for w in range(1, widest + 1)},
    )


def _tile_of(*given: Any) -> Callable[[], None]:
    return lambda: _write_tile(*given)


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
    typingctx: Any,
    a: Any,
    a_at: Any,
    a_row: Any,
    a_k: Any,
    b: Any,
    b_at: Any,
    b_k: Any,
    start: Any,
    start_at: Any,
    start_row: Any,
    out: Any,
    out_at: Any,
    out_row: Any,
    rows: Any,
    depth: Any,
    columns: Any,
) -> Any:
    names = tuple(PRODUCT_ARGUMENTS.split())
    integer = types.int64
    given = {"a": a, "b": b, "start": start, "out": out}
    signature = types.void(*(given.get(name, integer) for name in names))

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        args = dict(zip(names, values, strict=True))
        for name in given:
            kind = signature.args[names.index(name)]
            data = context.make_array(kind)(context, builder, value=args[name]).data
            args[name] = builder.gep(data, [args[f"{name}_at"]])
        vectors = Vectors(builder, context.get_data_type(a.dtype))
        done: Any = INDEX(0)
        for height in sorted(SHAPES, reverse=True):

            def cover(row: Any, height: int = height, done: Any = done) -> None:
                _write_rows(vectors, args, height, builder.add(done, row))

            left = builder.sub(args["rows"], done)
            loop(builder, left, cover, height)
            done = builder.add(done, builder.mul(builder.sdiv(left, INDEX(height)), INDEX(height)))
        return context.get_dummy_value()

    return signature, codegen


@compiled
def multiply(
    a: Any, a_at: int, a_row: int, a_k: int, b: Any, b_at: int, b_k: int, start: Any, start_at: int,
    start_row: int, out: Any, out_at: int, out_row: int, rows: int, depth: int, columns: int,
) -> None:  # fmt: skip
    """out[r, j] = start[r, j] + sum over k of a[r, k] * b[k, j], for compiled callers; nothing is checked.

    a, b, start, out: C-contiguous arrays of one dtype, float32 or float64; x_at: index of the first
    element in the flat array; a_row, a_k: elements from one row and one k to the next (so a may be
    read transposed); b_k, start_row, out_row likewise; a stride of 0 repeats a row. start may be out.
    """
    _write_product(
        a, a_at, a_row, a_k, b, b_at, b_k, start, start_at, start_row, out, out_at, out_row, rows, depth,
        columns,
    )  # fmt: skip
