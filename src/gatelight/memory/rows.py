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
