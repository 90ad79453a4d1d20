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
        given, given_at, taken, taken_at, size = values
        begin, end = (
            builder.gep(context.make_array(kind)(context, builder, value=array).data, [at])
            for kind, array, at in ((source, given, given_at), (target, taken, taken_at))
        )

        def some(vectors: Vectors, first: Any) -> None:
            new, old = (builder.gep(place, [first]) for place in (begin, end))
            vectors.store(builder.fadd(vectors.load(old), vectors.load(new)), old)

        lanes = VECTOR_BYTES // (source.dtype.bitwidth // 8)
        over_lanes(Vectors(builder, context.get_data_type(source.dtype), lanes), size, some)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64, types.int64), codegen
