"""A small matrix product in vector registers, as LLVM code that Numba compiles; knows nothing of cells.

BLAS may round one row differently when it is multiplied together with others, and it runs threads
of its own. Here every element of a product is summed over k = 0, 1, 2, … with one fused multiply-add
each, whatever the number of rows, so a row's bits never depend on its company. For the small
matrices of recurrent networks it is also faster than BLAS.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import llvmlite.binding as llvm
from numba.core import cgutils, types
from numba.extending import intrinsic

from gatelight.compiled import called_by_name, compiled
from gatelight.nn.lanes import (
    HALF_IS_HALF,
    INDEX,
    VECTOR_BYTES,
    Vectors,
    chosen,
    fetch_line,
    going_round,
    halves,
    loop,
    opaque,
)

NUMBERS = "a a_row a_k b b_k start start_row out out_row rows depth columns ahead last"
"""What a product is given: addresses and elements from one row to the next; what to fetch meanwhile."""

FEW = {4: 3, 3: 3, 2: 5, 1: 8}  # where there are 16 registers
SHAPES = {
    64: {8: 3, 7: 3, 6: 4, 5: 5, 4: 6, 3: 7, 2: 6, 1: 8},
    32: FEW,
    16: {8: 3, 7: 3, 6: 4, 5: 5, 4: 5, 3: 7, 2: 8, 1: 8} if "neon" in llvm.get_host_cpu_features() else FEW,
}[VECTOR_BYTES]
"""Height of a tile (rows) to its width (registers), each height: so that few rows, too, read b only once.

rows x width sums, one row of b and a repeated element of a must all fit into the registers: 32 of them with
AVX-512 and on ARM, 16 with AVX and SSE.
"""

WIDEST = SHAPES[max(SHAPES)]
"""Registers of the tile that is computed most: the tallest."""

FETCHING = max(SHAPES) // 2 + 1
"""Rows from which on a tile takes long enough to fetch something else meanwhile."""

MASKS = VECTOR_BYTES == 64
"""Whether a register of which a part is read or written takes no longer than a whole one: with AVX-512."""

TALL = 4
"""Rows from which on a tile one register wide has enough sums to keep the multipliers busy."""


def _write_tile(
    vectors: Vectors, args: dict[str, Any], rows: int, width: int, row: Any, column: Any, mask: Any = None,
    narrow: Vectors | None = None, fetches: bool = False,
) -> None:  # fmt: skip
    """Write code for `rows` rows and `width` registers of columns from `column` on, the last one masked.

    That one may be `narrow`. out[r, j] = start[r, j] + sum over k of a[r, k] * b[k, j]. Where it
    `fetches`, one line with each k: many at once would wait for each other, and what follows for them.
    """
    builder, lanes = vectors.builder, vectors.lanes

    def place(name: str, offset: Any, register: int) -> Any:
        offset = builder.add(builder.add(offset, column), INDEX(register * lanes))
        return builder.gep(args[name], [offset])

    kinds, masks = [*[vectors] * (width - 1), narrow or vectors], [*[None] * (width - 1), mask]

    def narrowed(value: Any, kind: Vectors) -> Any:
        return value if value.type == kind.type else chosen(builder, value, value, range(kind.lanes))

    def row_offset(name: str, r: int) -> Any:
        return builder.mul(args[f"{name}_row"], builder.add(row, INDEX(r)))

    cells = [(r, register) for r in range(rows) for register in range(width)]
    totals = [
        kinds[register].load(place("start", row_offset("start", r), register), masks[register])
        for r, register in cells
    ]

    def rounds(begin: Any, end: Any, sums: list[Any], lines: Any = None) -> list[Any]:
        """Add products of k = begin … end - 1, and fetch a line of these with each."""
        b_begin, of_a = builder.mul(begin, args["b_k"]), builder.mul(begin, args["a_k"])
        # Else the compiler adds up each row's address from the last one's: seven more instructions each.
        a_rows = [
            opaque(builder, builder.gep(args["a"], [builder.add(of_a, row_offset("a", r))]))
            for r in range(rows)
        ]

        def more(k: Any, sums: list[Any]) -> list[Any]:
            if lines is not None:
                fetch_line(builder, builder.load(builder.gep(lines, [k])), 2)
            b_row, a_column = builder.add(b_begin, builder.mul(k, args["b_k"])), builder.mul(k, args["a_k"])
            b_vectors = [
                kinds[register].load(place("b", b_row, register), masks[register])
                for register in range(width)
            ]
            factors = [kinds[0].repeat(builder.load(builder.gep(a_row, [a_column]))) for a_row in a_rows]
            return [
                kinds[register].fma(narrowed(factors[r], kinds[register]), b_vectors[register], total)
                for (r, register), total in zip(cells, sums, strict=True)
            ]

        return going_round(builder, builder.sub(end, begin), sums, more)

    begin: Any = INDEX(0)
    if fetches:
        reached = builder.load(args["reached"])
        left = builder.sub(builder.add(args["last"], INDEX(1)), reached)
        begin = builder.select(builder.icmp_signed("<", left, args["depth"]), left, args["depth"])
        totals = rounds(INDEX(0), begin, totals, builder.gep(args["ahead"], [reached]))
        builder.store(builder.add(reached, begin), args["reached"])
    totals = rounds(begin, args["depth"], totals)
    for (r, register), total in zip(cells, totals, strict=True):
        kinds[register].store(total, place("out", row_offset("out", r), register), masks[register])


def _write_rows(vectors: Vectors, args: dict[str, Any], height: int, row: Any) -> None:
    """Write code that covers `height` rows from `row` with tiles, from the first column to the last."""
    builder, lanes, widest = vectors.builder, vectors.lanes, SHAPES[height]
    wide = INDEX(widest * lanes)

    def write(width: int, column: Any, *ending: Any) -> None:
        _write_either(vectors, args, height, width, row, column, *ending)

    def choose(registers: Any, *ending: Any) -> None:
        _choose(builder, registers, {w: partial(write, w, column, *ending) for w in range(1, widest + 1)})

    columns = args["columns"]
    but_one = builder.sub(columns, INDEX(1))  # so that something is left for the last tile
    loop(builder, but_one, lambda column: write(widest, column), widest * lanes)
    column = builder.mul(builder.sdiv(but_one, wide), wide)
    left = builder.sub(columns, column)
    if height >= TALL and not MASKS:  # what is left beyond whole registers is done in halves and quarters
        registers = builder.sdiv(left, INDEX(lanes))
        choose(registers)
        column = builder.add(column, builder.mul(registers, INDEX(lanes)))
        halves(
            vectors,
            builder.sub(columns, column),
            lambda part, first: _write_tile(part, args, height, 1, row, builder.add(column, first)),
        )
        return
    registers = builder.sdiv(builder.add(left, INDEX(lanes - 1)), INDEX(lanes))
    of_last = builder.sub(left, builder.mul(builder.sub(registers, INDEX(1)), INDEX(lanes)))
    if not HALF_IS_HALF or height < max(SHAPES):  # lower tiles are fewer, and would be compiled, too
        choose(registers, vectors.mask(of_last))
        return
    half = Vectors(builder, vectors.element, lanes // 2)
    with builder.if_else(builder.icmp_signed("<=", of_last, INDEX(lanes // 2))) as (enough, too_few):
        with enough:
            choose(registers, half.mask(of_last), half)
        with too_few:
            choose(registers, vectors.mask(of_last))


def _write_either(
    vectors: Vectors, args: dict[str, Any], rows: int, width: int, row: Any, column: Any, mask: Any = None,
    narrow: Vectors | None = None,
) -> None:  # fmt: skip
    """Write code for a tile that, if it is one of the largest, fetches where there is something to fetch."""
    given = vectors, args, rows, width, row, column, mask, narrow
    if rows < FETCHING or width < SHAPES[rows] or narrow is not None:
        _write_tile(*given)
        return
    with vectors.builder.if_else(vectors.builder.icmp_signed(">=", args["last"], INDEX(0))) as (some, none):
        with some:
            _write_tile(*given, fetches=True)
        with none:
            _write_tile(*given)


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
    out: Any, out_row: Any, rows: Any, depth: Any, columns: Any, ahead: Any, last: Any,
) -> Any:  # fmt: skip
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        args = dict(zip(NUMBERS.split(), values[1:], strict=True))
        element = context.get_data_type(like)
        for name in ("a", "b", "start", "out"):
            args[name] = builder.inttoptr(args[name], element.as_pointer())
        args["ahead"] = builder.inttoptr(args["ahead"], INDEX.as_pointer())
        args["reached"] = cgutils.alloca_once_value(builder, INDEX(0))
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
    out_row: int, rows: int, depth: int, columns: int, ahead: int, last: int,
) -> None:  # fmt: skip
    _write_product(
        like, a, a_row, a_k, b, b_k, start, start_row, out, out_row, rows, depth, columns, ahead, last
    )


def _call(typed: Any, arrays: Any, ahead: bool) -> Any:
    """An intrinsic that calls the product of `arrays`' type; see `multiply`."""
    like = arrays[0].dtype

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        left, numbers = list(zip(signature.args, values, strict=True)), []
        while left:
            kind, value = left.pop(0)
            if isinstance(kind, types.Array):
                data = context.make_array(kind)(context, builder, value=value).data
                if kind in arrays:  # its place follows it
                    data = builder.gep(data, [left.pop(0)[1]])
                value = builder.ptrtoint(data, INDEX)
            numbers.append(value)
        if not ahead:
            numbers += [INDEX(0), INDEX(-1)]
        # As a part of all that multiplies the many tiles took a minute of compiling for one cell.
        kinds = _types(like).args
        product = called_by_name(context, builder, _product, kinds)
        given = [context.get_constant(like, 0), *numbers]
        context.call_conv.call_function(builder, product, types.none, kinds, given)
        return context.get_dummy_value()

    return typed, codegen


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
    n = [types.int64] * 5
    return _call(types.void(a, *n[:3], b, *n[:2], start, *n[:2], out, *n), (a, b, start, out), False)


@intrinsic  # type: ignore[untyped-decorator]
def multiply_ahead(
    typingctx: Any, a: Any, a_at: Any, a_row: Any, a_k: Any, b: Any, b_at: Any, b_k: Any, start: Any,
    start_at: Any, start_row: Any, out: Any, out_at: Any, out_row: Any, rows: Any, depth: Any, columns: Any,
    ahead: Any, last: Any,
) -> Any:  # fmt: skip
    """`multiply`, which meanwhile fetches the cache lines at the addresses ahead[0 … last], int64.

    One with each k of a large tile, as far as there are so many; none where `last` is below 0.
    """
    n = [types.int64] * 5
    return _call(
        types.void(a, *n[:3], b, *n[:2], start, *n[:2], out, *n, ahead, types.int64), (a, b, start, out), True
    )
