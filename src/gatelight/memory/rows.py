"""Elementwise work on rows in vector registers, for compiled callers; knows nothing of what the rows are.

Loops over slices of arrays would spend more on looking whether they overlap than on a row of a small network.
Arrays are C-contiguous and of one dtype, float32 or float64; x_at is the index of the first element in the
flat array x. Nothing is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from gatelight.memory.lanes import INDEX, INT, VECTOR_BYTES, Vectors, loop, over_lanes

LINE = 64
"""Bytes that come into the cache together."""


class _Row:
    """What the code for some elements of a row from `first` on is written with."""

    def __init__(self, vectors: Vectors, first: Any, given: dict[str, Any]) -> None:
        self.vectors, self.builder, self.first, self.given = vectors, vectors.builder, first, given

    def load(self, name: str) -> Any:
        return self.vectors.load(self.builder.gep(self.given[name], [self.first]))

    def store(self, value: Any, name: str) -> None:
        self.vectors.store(value, self.builder.gep(self.given[name], [self.first]))

    def every(self, name: str) -> Any:
        return self.vectors.repeat(self.given[name])


def _elementwise(names: str, given: tuple[Any, ...], write: Callable[[_Row], None]) -> Any:
    """Signature and code that does `write` for all elements; the last name is how many there are."""
    kinds = [g if isinstance(g, types.Array | types.Float) else types.int64 for g in given]
    element = next(g.dtype for g in given if isinstance(g, types.Array))

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        a = dict(zip(names.split(), values, strict=True))
        for name, kind in zip(names.split(), kinds, strict=True):
            if isinstance(kind, types.Array):
                data = context.make_array(kind)(context, builder, value=a[name]).data
                a[name] = builder.gep(data, [a[f"{name}_at"]])
        kind = context.get_data_type(element)
        vectors = Vectors(builder, kind, VECTOR_BYTES // (element.bitwidth // 8))
        over_lanes(vectors, a["size"], lambda vectors, first: write(_Row(vectors, first, a)))
        return context.get_dummy_value()

    return types.void(*kinds), codegen


@intrinsic  # type: ignore[untyped-decorator]
def fetch(typingctx: Any, source: Any, source_at: Any, size: Any) -> Any:
    """Begin to bring `size` elements into the cache, for work that is not so far yet; a place may not exist.

    The processor looks ahead by itself only where memory is read from end to end.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array, at, size = values
        data = context.make_array(source)(context, builder, value=array).data
        address = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [address, INT, INT, INT])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        line = LINE // (source.dtype.bitwidth // 8)

        def one(first: Any) -> None:
            where = builder.bitcast(builder.gep(data, [builder.add(at, first)]), address)
            builder.call(prefetch, [where, INT(0), INT(3), INT(1)])

        loop(builder, builder.add(size, INDEX(line - 1)), one, line)
        return context.get_dummy_value()

    return types.void(source, types.int64, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def add_row(typingctx: Any, source: Any, source_at: Any, target: Any, target_at: Any, size: Any) -> Any:
    """target += source, for `size` elements."""

    def write(row: _Row) -> None:
        row.store(row.builder.fadd(row.load("target"), row.load("source")), "target")

    given = (source, source_at, target, target_at, size)
    return _elementwise("source source_at target target_at size", given, write)


@intrinsic  # type: ignore[untyped-decorator]
def scale_row(
    typingctx: Any, factor: Any, source: Any, source_at: Any, target: Any, target_at: Any, size: Any
) -> Any:
    """target = factor * source."""

    def write(row: _Row) -> None:
        row.store(row.builder.fmul(row.every("factor"), row.load("source")), "target")

    given = (factor, source, source_at, target, target_at, size)
    return _elementwise("factor source source_at target target_at size", given, write)


@intrinsic  # type: ignore[untyped-decorator]
def add_scaled(
    typingctx: Any, factor: Any, source: Any, source_at: Any, target: Any, target_at: Any, size: Any
) -> Any:
    """target += factor * source, rounded twice."""

    def write(row: _Row) -> None:
        product = row.builder.fmul(row.every("factor"), row.load("source"))
        row.store(row.builder.fadd(row.load("target"), product), "target")

    given = (factor, source, source_at, target, target_at, size)
    return _elementwise("factor source source_at target target_at size", given, write)


@intrinsic  # type: ignore[untyped-decorator]
def add_product(
    typingctx: Any, a: Any, a_at: Any, b: Any, b_at: Any, target: Any, target_at: Any, size: Any
) -> Any:
    """target += a * b, rounded twice."""

    def write(row: _Row) -> None:
        product = row.builder.fmul(row.load("a"), row.load("b"))
        row.store(row.builder.fadd(row.load("target"), product), "target")

    return _elementwise(
        "a a_at b b_at target target_at size", (a, a_at, b, b_at, target, target_at, size), write
    )


@intrinsic  # type: ignore[untyped-decorator]
def drop(
    typingctx: Any, source: Any, source_at: Any, key: Any, limit: Any, scale: Any, target: Any,
    target_at: Any, size: Any,
) -> Any:  # fmt: skip
    """target = source * scale, or times 0 where the hash of key and column is below `limit` (32 bits)."""

    def write(row: _Row) -> None:
        builder, lanes = row.builder, row.vectors.lanes
        kind = ir.VectorType(INT, lanes)

        def number(value: int) -> Any:
            return ir.Constant(kind, [value] * lanes)

        def every(value: Any) -> Any:
            return row.vectors.repeat(builder.trunc(value, INT))

        columns = builder.add(every(row.first), ir.Constant(kind, list(range(lanes))))
        x = builder.add(every(row.given["key"]), builder.mul(columns, number(SPREAD)))
        # lowbias32 (C. Wellons, "Prospecting for hash functions", 2018).
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            x = builder.mul(builder.xor(x, builder.lshr(x, number(shift))), number(factor))
        x = builder.xor(x, builder.lshr(x, number(16)))
        value = row.load("source")
        row.store(
            builder.select(
                builder.icmp_unsigned(">=", x, every(row.given["limit"])),
                builder.fmul(value, row.every("scale")),
                builder.fmul(value, row.vectors.number(0.0)),
            ),
            "target",
        )

    given = (source, source_at, key, limit, scale, target, target_at, size)
    return _elementwise("source source_at key limit scale target target_at size", given, write)


SPREAD = 0x9E3779B9
"""What the hash of `drop` multiplies a column by: 2³² over the golden ratio."""
