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
from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

INDEX = ir.IntType(64)
INT = ir.IntType(32)

PRODUCT_ARGUMENTS = (
    "a a_at a_row a_k b b_at b_k start start_at start_row out out_at out_row rows depth columns"
)


def _host() -> tuple[int, dict[int, int]]:
    """Bytes of a vector register, and for each height of a tile (rows) its width in registers.

    rows x width sums, one row of b and a repeated element of a must all fit into the registers:
    32 of them with AVX-512 and on ARM, 16 with AVX and SSE.
    """
    features = llvm.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, {8: 3, 4: 6, 2: 6, 1: 8}
    if features.get("avx"):
        return 32, {4: 3, 2: 5, 1: 8}
    if "neon" in features:
        return 16, {8: 3, 4: 5, 2: 8, 1: 8}
    return 16, {4: 3, 2: 5, 1: 8}


VECTOR_BYTES, SHAPES = _host()
"""Register width of this machine in bytes; height of a tile (rows) to its width (registers)."""


class _Operands:
    """Addresses and strides of one product while its code is written; strides count elements."""

    def __init__(self, builder: Any, element: ir.Type, args: dict[str, Any]) -> None:
        self.builder = builder
        self.element = element
        self.single = isinstance(element, ir.FloatType)
        self.lanes = VECTOR_BYTES // (4 if self.single else 8)
        self.vector = ir.VectorType(element, self.lanes)
        self.args = args

    def declare(self, name: str, result: ir.Type, *arguments: ir.Type) -> Any:
        return cgutils.get_or_insert_function(
            self.builder.module, ir.FunctionType(result, list(arguments)), f"llvm.{name}"
        )

    @property
    def suffix(self) -> str:
        return f"v{self.lanes}f{32 if self.single else 64}"

    def repeat(self, value: Any) -> Any:
        vector = ir.VectorType(value.type, self.lanes)
        unset = ir.Constant(vector, ir.Undefined)
        one = self.builder.insert_element(unset, value, INT(0))
        return self.builder.shuffle_vector(
            one, unset, ir.Constant(ir.VectorType(INT, self.lanes), [0] * self.lanes)
        )


def _write_tile(
    operands: _Operands, rows: int, width: int, left: Any, row: Any, column: Any, whole: bool = True
) -> None:
    """Write code for `rows` rows and `width` registers of columns, the last one in part unless `whole`.

    out[r, j] = start[r, j] + sum over k of a[r, k] * b[k, j]; `left` columns are left from `column`.
    """
    builder, args, lanes, vector = operands.builder, operands.args, operands.lanes, operands.vector
    align = 4 if operands.single else 8
    pointer = vector.as_pointer()
    if not whole:
        mask_type = ir.VectorType(ir.IntType(1), lanes)
        count = ir.Constant(ir.VectorType(INDEX, lanes), list(range(lanes)))
        inside = operands.repeat(builder.sub(left, INDEX((width - 1) * lanes)))
        mask = builder.icmp_signed("<", count, inside)
        named = f"{operands.suffix}.p0{operands.suffix}"
        masked_load = operands.declare(f"masked.load.{named}", vector, pointer, INT, mask_type, vector)
        masked_store = operands.declare(
            f"masked.store.{named}", ir.VoidType(), vector, pointer, INT, mask_type
        )

    def place(name: str, offset: Any, register: int) -> Any:
        offset = builder.add(builder.add(offset, column), INDEX(register * lanes))
        return builder.bitcast(builder.gep(args[name], [offset]), pointer)

    def load(name: str, offset: Any, register: int) -> Any:
        where = place(name, offset, register)
        if whole or register < width - 1:
            return builder.load(where, align=align)
        return builder.call(masked_load, [where, INT(align), mask, ir.Constant(vector, [0.0] * lanes)])

    def store(value: Any, name: str, offset: Any, register: int) -> None:
        where = place(name, offset, register)
        if whole or register < width - 1:
            builder.store(value, where, align=align)
        else:
            builder.call(masked_store, [value, where, INT(align), mask])

    def row_offset(name: str, r: int) -> Any:
        return builder.mul(args[f"{name}_row"], builder.add(row, INDEX(r)))

    cells = [(r, register) for r in range(rows) for register in range(width)]
    first = [load("start", row_offset("start", r), register) for r, register in cells]
    entry = builder.block
    head, body, done = (builder.append_basic_block(f"tile.{name}") for name in ("head", "body", "done"))
    builder.branch(head)

    builder.position_at_end(head)
    k = builder.phi(INDEX)
    k.add_incoming(INDEX(0), entry)
    sums = []
    for value in first:
        sums.append(builder.phi(vector))
        sums[-1].add_incoming(value, entry)
    builder.cbranch(builder.icmp_signed("<", k, args["depth"]), body, done)

    builder.position_at_end(body)
    fma = operands.declare(f"fma.{operands.suffix}", vector, vector, vector, vector)
    b_row = builder.mul(k, args["b_k"])
    b_vectors = [load("b", b_row, register) for register in range(width)]
    a_column = builder.gep(args["a"], [builder.mul(k, args["a_k"])])
    for r in range(rows):
        factor = operands.repeat(builder.load(builder.gep(a_column, [row_offset("a", r)])))
        for register in range(width):
            total = sums[r * width + register]
            total.add_incoming(builder.call(fma, [factor, b_vectors[register], total]), body)
    k.add_incoming(builder.add(k, INDEX(1)), body)
    builder.branch(head)

    builder.position_at_end(done)
    for (r, register), total in zip(cells, sums, strict=True):
        store(total, "out", row_offset("out", r), register)


def _while(builder: Any, test: Callable[[], Any], step: Callable[[], None]) -> None:
    head, body, done = (builder.append_basic_block(f"while.{name}") for name in ("head", "body", "done"))
    builder.branch(head)
    builder.position_at_end(head)
    builder.cbranch(test(), body, done)
    builder.position_at_end(body)
    step()
    builder.branch(head)
    builder.position_at_end(done)


def _write_rows(operands: _Operands, height: int, row: Any) -> None:
    """Write code that covers `height` rows from `row` with tiles, from the first column to the last."""
    builder, lanes, widest = operands.builder, operands.lanes, SHAPES[height]
    columns = operands.args["columns"]
    column_slot = cgutils.alloca_once_value(builder, INDEX(0))
    builder.store(INDEX(0), column_slot)

    def left() -> Any:
        return builder.sub(columns, builder.load(column_slot))

    def full_tile() -> None:
        column = builder.load(column_slot)
        _write_tile(operands, height, widest, None, row, column)
        builder.store(builder.add(column, INDEX(widest * lanes)), column_slot)

    _while(builder, lambda: builder.icmp_signed(">", left(), INDEX(widest * lanes)), full_tile)
    rest = left()
    registers = builder.sdiv(builder.add(rest, INDEX(lanes - 1)), INDEX(lanes))
    column = builder.load(column_slot)
    done = builder.append_basic_block("rows.done")
    choice = builder.switch(registers, done)
    for width in range(1, widest + 1):
        block = builder.append_basic_block(f"last.{width}")
        choice.add_case(INDEX(width), block)
        builder.position_at_end(block)
        _write_tile(operands, height, width, rest, row, column, whole=False)
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
        operands = _Operands(builder, context.get_data_type(a.dtype), args)
        row_slot = cgutils.alloca_once_value(builder, INDEX(0))
        builder.store(INDEX(0), row_slot)
        for height in sorted(SHAPES, reverse=True):

            def enough(height: int = height) -> Any:
                left = builder.sub(args["rows"], builder.load(row_slot))
                return builder.icmp_signed(">=", left, INDEX(height))

            def cover(height: int = height) -> None:
                row = builder.load(row_slot)
                _write_rows(operands, height, row)
                builder.store(builder.add(row, INDEX(height)), row_slot)

            _while(builder, enough, cover)
        return context.get_dummy_value()

    return signature, codegen


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def multiply(
    a: Any,
    a_at: int,
    a_row: int,
    a_k: int,
    b: Any,
    b_at: int,
    b_k: int,
    start: Any,
    start_at: int,
    start_row: int,
    out: Any,
    out_at: int,
    out_row: int,
    rows: int,
    depth: int,
    columns: int,
) -> None:
    """out[r, j] = start[r, j] + sum over k of a[r, k] * b[k, j], for compiled callers; nothing is checked.

    a, b, start, out: C-contiguous arrays of one dtype, float32 or float64; x_at: index of the first
    element in the flat array; a_row, a_k: elements from one row and one k to the next (so a may be
    read transposed); b_k, start_row, out_row likewise; a stride of 0 repeats a row. start may be out.
    """
    _write_product(
        a,
        a_at,
        a_row,
        a_k,
        b,
        b_at,
        b_k,
        start,
        start_at,
        start_row,
        out,
        out_at,
        out_row,
        rows,
        depth,
        columns,
    )
