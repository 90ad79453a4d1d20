"""Elementwise work on rows in vector registers, for compiled callers; knows nothing of what the rows are.

Loops over slices of arrays would spend more on looking whether they overlap than on a row of a small network.
Arrays are C-contiguous and of one dtype, float32 or float64; x_at is the index of the first element in the
flat array x. Nothing is checked.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from gatelight.memory.buffers import LINE
from gatelight.memory.lanes import INDEX, INT, VECTOR_BYTES, Vectors, loop, over_lanes


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

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def added(vectors: Vectors, old: Any, new: Any) -> Any:
            return builder.fadd(old, new)

        _write(context, builder, signature, values, added)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def add_scaled_row(
    typingctx: Any, source: Any, source_at: Any, factor: Any, target: Any, target_at: Any, size: Any
) -> Any:
    """target += factor · source, for `size` elements, each rounded once."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        factor = values[2]

        def added(vectors: Vectors, old: Any, new: Any) -> Any:
            return vectors.fma(vectors.repeat(factor), new, old)

        _write(context, builder, signature, values, added)
        return context.get_dummy_value()

    return types.void(source, types.int64, source.dtype, target, types.int64, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def add_product_row(
    typingctx: Any, a: Any, a_at: Any, b: Any, b_at: Any, target: Any, target_at: Any, size: Any
) -> Any:
    """target += a · b, element by element, for `size` of them; products are rounded too, as NumPy's are."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        def added(vectors: Vectors, old: Any, one: Any, other: Any) -> Any:
            return builder.fadd(old, builder.fmul(one, other))

        _write(context, builder, signature, values, added)
        return context.get_dummy_value()

    return types.void(a, types.int64, b, types.int64, target, types.int64, types.int64), codegen


def _write(context: Any, builder: Any, signature: Any, values: Any, formula: Any) -> None:
    """Write `formula(vectors, old, …)` of the last array's and the others' elements into the last array.

    Each array among the values is followed by where it is read from; the last value is how many elements.
    """
    places = [
        builder.gep(context.make_array(kind)(context, builder, value=values[k]).data, [values[k + 1]])
        for k, kind in enumerate(signature.args)
        if isinstance(kind, types.Array)
    ]

    def some(vectors: Vectors, first: Any) -> None:
        *given, old = (builder.gep(place, [first]) for place in places)
        vectors.store(formula(vectors, *(vectors.load(place) for place in (old, *given))), old)

    dtype = signature.args[0].dtype
    lanes = VECTOR_BYTES // (dtype.bitwidth // 8)
    over_lanes(Vectors(builder, context.get_data_type(dtype), lanes), values[-1], some)
