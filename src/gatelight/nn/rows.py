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

from gatelight.nn.activations import exp
from gatelight.nn.buffers import LINE
from gatelight.nn.lanes import (
    INDEX,
    INT,
    VECTOR_BYTES,
    Lanes,
    Vectors,
    apart,
    fetch_line,
    loop,
    over_lanes,
)

NOTED = 8
"""Lines that are noted at a time, and for which a list needs room beyond what is noted in it."""


@intrinsic  # type: ignore[untyped-decorator]
def fetch(
    typingctx: Any, source: Any, row: Any, rows: Any, column: Any, size: Any, ahead: Any, count: Any
) -> Any:
    """Have `size` columns of rows brought into the cache, for work to come; not all need to exist.

    The processor looks ahead by itself only where memory is read from end to end. Where the list `ahead`,
    int64, has room, their lines are noted in it from `count` on, for `multiply_ahead`, else it begins now.
    How many are noted then.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given, row, rows, column, size, room, count = values
        array = context.make_array(source)(context, builder, value=given)
        room = context.make_array(ahead)(context, builder, value=room)
        [length] = cgutils.unpack_tuple(builder, room.shape, 1)
        width = cgutils.unpack_tuple(builder, array.shape, 2)[1]
        item, noted = INDEX(source.dtype.bitwidth // 8), cgutils.alloca_once_value(builder, count)
        begin = builder.ptrtoint(array.data, INDEX)
        begin = builder.add(begin, builder.mul(builder.add(builder.mul(row, width), column), item))
        whole = builder.icmp_signed("==", size, width)  # rows of which all is wanted are one
        size = builder.mul(builder.select(whole, builder.mul(size, rows), size), item)
        rows, apart = builder.select(whole, INDEX(1), rows), builder.mul(width, item)

        def lines(do: Callable[[Any, Any], None], several_at_once: int) -> None:
            def of_row(k: Any) -> None:
                start = builder.add(begin, builder.mul(k, apart))
                first = builder.and_(start, INDEX(-LINE))
                several = builder.add(builder.sub(builder.add(start, size), first), INDEX(LINE - 1))
                before, more = builder.load(noted), INDEX((several_at_once - 1) * LINE)
                loop(
                    builder, builder.add(several, more),
                    lambda at: do(builder.add(before, builder.udiv(at, INDEX(LINE))), builder.add(first, at)),
                    several_at_once * LINE,
                )  # fmt: skip
                builder.store(builder.add(before, builder.udiv(several, INDEX(LINE))), noted)

            loop(builder, rows, of_row)

        def note(k: Any, place: Any) -> None:
            numbers = Vectors(builder, INDEX, NOTED)
            next_ones = ir.Constant(numbers.type, [LINE * one for one in range(NOTED)])
            numbers.store(builder.add(numbers.repeat(place), next_ones), builder.gep(room.data, [k]))

        with builder.if_else(builder.icmp_signed(">", length, INDEX(0))) as (later, now):
            with later:
                lines(note, NOTED)
            with now:
                lines(lambda k, place: fetch_line(builder, place, 1), 1)
                builder.store(count, noted)
        return builder.load(noted)

    n = [types.int64] * 4
    return types.int64(source, *n, ahead, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def copy_row(typingctx: Any, source: Any, source_at: Any, target: Any, target_at: Any, size: Any) -> Any:
    """target = source, for `size` elements."""
    return _writes(lambda vectors, old, new: new, source, target)


@intrinsic  # type: ignore[untyped-decorator]
def add_row(typingctx: Any, source: Any, source_at: Any, target: Any, target_at: Any, size: Any) -> Any:
    """target += source, for `size` elements."""
    return _writes(lambda vectors, old, new: vectors.builder.fadd(old, new), source, target)


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
def add_products(
    typingctx: Any, source: Any, source_at: Any, factors: Any, at: Any, target: Any, target_at: Any,
    apart: Any, size: Any, rows: Any,
) -> Any:  # fmt: skip
    """target += source · factors for rows of `size` elements end to end, and targets `apart` elements.

    Products are rounded too, as NumPy's are.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given, factor, result = begins(context, builder, signature, values)
        apart, size, rows = values[-3:]

        def some(vectors: Vectors, first: Any) -> None:
            by = vectors.load(builder.gep(factor, [first]))

            def of_row(k: Any) -> None:
                one = vectors.load(builder.gep(given, [builder.add(builder.mul(k, size), first)]))
                place = builder.gep(result, [builder.add(builder.mul(k, apart), first)])
                vectors.store(builder.fadd(vectors.load(place), builder.fmul(one, by)), place)

            loop(builder, rows, of_row)

        over_lanes(Vectors(builder, context.get_data_type(source.dtype)), size, some)
        return context.get_dummy_value()

    n = types.int64
    return types.void(source, n, factors, n, target, n, n, n, n), codegen


@intrinsic  # type: ignore[untyped-decorator]
def scale_row(typingctx: Any, target: Any, target_at: Any, factor: Any, size: Any) -> Any:
    """target *= factor, for `size` elements."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        target, at, factor, size = values

        def scaled(vectors: Vectors, old: Any) -> Any:
            return builder.fmul(old, vectors.repeat(factor))

        arrays = signature.return_type(signature.args[0], types.int64, types.int64)
        _write(context, builder, arrays, [target, at, size], scaled)
        return context.get_dummy_value()

    return types.void(target, types.int64, target.dtype, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def highest(typingctx: Any, source: Any, source_at: Any, size: Any) -> Any:
    """The largest of `size` elements, 1 or more; what is not a number is passed over."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array, at, size = values
        data = builder.gep(context.make_array(source)(context, builder, value=array).data, [at])

        def larger(one: Any, other: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", one, other), one, other)

        def value(vectors: Vectors, first: Any) -> Any:
            return vectors.load(builder.gep(data, [first]))

        return _folded(
            Vectors(builder, context.get_data_type(source.dtype)), size, float("-inf"), value, larger
        )

    return source.dtype(source, types.int64, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator]
def exp_row(typingctx: Any, row: Any, at: Any, less: Any, size: Any) -> Any:
    """row = exp(row - less), for `size` elements; their sum."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array, at, less, size = values
        data = builder.gep(context.make_array(row)(context, builder, value=array).data, [at])

        def value(vectors: Vectors, first: Any) -> Any:
            place = builder.gep(data, [first])
            found = exp(Lanes(vectors, vectors.load(place)) - Lanes(vectors, vectors.repeat(less))).value
            vectors.store(found, place)
            return found

        return _folded(Vectors(builder, context.get_data_type(row.dtype)), size, 0.0, value, builder.fadd)

    return row.dtype(row, types.int64, row.dtype, types.int64), codegen


def begins(context: Any, builder: Any, signature: Any, values: Any) -> list[Any]:
    """Addresses in the arrays among the values, each of which is followed by its place in them."""
    return [
        builder.gep(context.make_array(kind)(context, builder, value=values[k]).data, [values[k + 1]])
        for k, kind in enumerate(signature.args)
        if isinstance(kind, types.Array)
    ]


def _folded(vectors: Vectors, size: Any, start: float, value: Any, combine: Any) -> Any:
    """`value(vectors, first)` over all of 0 … size - 1, combined lane by lane, then the lanes in halves."""
    builder, lanes = vectors.builder, vectors.lanes
    one = cgutils.alloca_once_value(builder, ir.Constant(vectors.element, start))
    several = cgutils.alloca_once_value(builder, vectors.number(start))

    def to_one(found: Any, count: int) -> None:
        while count > 1:
            count //= 2
            low, high = apart(builder, found, 2)
            found = combine(high, low)
        builder.store(combine(builder.extract_element(found, INT(0)), builder.load(one)), one)

    def some(part: Vectors, first: Any) -> None:
        found = value(part, first)
        if part.lanes == lanes:
            builder.store(combine(found, builder.load(several)), several)
        else:
            to_one(found, part.lanes)

    over_lanes(vectors, size, some)
    to_one(builder.load(several), lanes)
    return builder.load(one)


def _writes(formula: Any, *arrays: Any) -> Any:
    """An intrinsic that writes the formula of these arrays into the last one, as `_write` does."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _write(context, builder, signature, values, formula)
        return context.get_dummy_value()

    placed = (kind for array in arrays for kind in (array, types.int64))
    return types.void(*placed, types.int64), codegen


def _write(context: Any, builder: Any, signature: Any, values: Any, formula: Any) -> None:
    """Write `formula(vectors, old, …)` of the last array's and the others' elements into the last array.

    Each array among the values is followed by where it is read from; the last value is how many elements.
    """
    places = begins(context, builder, signature, values)

    def some(vectors: Vectors, first: Any) -> None:
        *given, old = (builder.gep(place, [first]) for place in places)
        vectors.store(formula(vectors, *(vectors.load(place) for place in (old, *given))), old)

    dtype = signature.args[0].dtype
    lanes = VECTOR_BYTES // (dtype.bitwidth // 8)
    over_lanes(Vectors(builder, context.get_data_type(dtype), lanes), values[-1], some)
