"""Sequences abreast, each in a lane of its own, so that no register is half empty where H is small.

A step of as many sequences as a register has lanes, as LLVM code that Numba compiles; knows no equations.
Where kernels.py gives each sequence a row of H numbers, here all have the same unit side by side: [H, LANES].
Every number is computed by the same operations in the same order, so its bits are those of the rows. Nothing
is kept for a way back. Arrays are C-contiguous and float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from gatelight.compiled import compiled
from gatelight.nn.buffers import LINE
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.lanes import (
    INDEX,
    VECTOR_BYTES,
    Lanes,
    Vectors,
    apart,
    chosen,
    going_round,
    joined,
    loop,
)
from gatelight.nn.rows import begins
from gatelight.nn.steps import STEPS

LANES = VECTOR_BYTES // 4
"""Sequences side by side."""

SLIM = 24 if VECTOR_BYTES == 64 else 0
"""Most units for which this takes less time than rows, where that was measured."""

SUMS, TOGETHER = 16, 4
"""Registers in which a product is summed at a time, and of which the equations are computed side by side.

Else the next operation would wait for the one before.
"""


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """As many registers as they have lanes, their lanes exchanged with their numbers."""
    lanes, half = len(rows), len(rows) // 2
    while half:
        low = [j + lanes - half if j & half else j for j in range(lanes)]
        high = [j + lanes if j & half else j + half for j in range(lanes)]
        for k in range(lanes):
            if not k & half:
                a, b = rows[k], rows[k + half]
                rows[k], rows[k + half] = chosen(builder, a, b, low), chosen(builder, a, b, high)
        half //= 2
    return rows


@intrinsic  # type: ignore[untyped-decorator]
def _put_abreast(
    typingctx: Any, table: Any, at: Any, token: Any, row: Any, out: Any, out_at: Any, columns: Any
) -> Any:
    """out[j, k] = table[token[row + k], j] for LANES rows k and `columns` j, filled up to whole registers."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, tokens, result = begins(context, builder, signature, values)
        columns = values[-1]
        vectors = Vectors(builder, context.get_data_type(table.dtype))
        rows = [
            builder.mul(builder.sext(builder.load(builder.gep(tokens, [INDEX(k)])), INDEX), columns)
            for k in range(LANES)
        ]

        def some(first: Any, mask: Any = None) -> None:
            given = [vectors.load(builder.gep(source, [builder.add(row, first)]), mask) for row in rows]
            for k, value in enumerate(_transposed(builder, given)):
                place = builder.mul(builder.add(first, INDEX(k)), INDEX(LANES))
                vectors.store(value, builder.gep(result, [place]))

        loop(builder, columns, some, LANES)
        left = builder.srem(columns, INDEX(LANES))
        with builder.if_then(builder.icmp_signed("!=", left, INDEX(0))):
            some(builder.sub(columns, left), vectors.mask(left))
        return context.get_dummy_value()

    n = types.int64
    return types.void(table, n, token, n, out, n, n), codegen


@intrinsic  # type: ignore[untyped-decorator]
def _advance(
    typingctx: Any, cell: Any, wide: Any, weight: Any, at: Any, bias: Any, bias_at: Any, x: Any, x_at: Any,
    before: Any, before_at: Any, after: Any, after_at: Any, c: Any, c_at: Any, size: Any,
) -> Any:  # fmt: skip
    """Advance LANES sequences: h [size, LANES] from `before` to `after`, c in its place; rows of `wide`."""
    given = (
        cell, wide, weight, at, bias, bias_at, x, x_at, before, before_at, after, after_at, c, c_at, size
    )  # fmt: skip
    name, forward, _ = STEPS[cell.instance_class]
    equation = EQUATIONS[name]
    gates = len(equation.gates)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        wide, size = values[1], values[-1]
        arrays = types.void(*signature.args[2:])
        weight, bias, x, before, after, c = begins(context, builder, arrays, values[2:])
        own = context.make_array(cell.types[0])(context, builder, value=builder.extract_value(values[0], 0))
        vectors = Vectors(builder, context.get_data_type(signature.args[2].dtype))

        def column(gate: int, unit: Any) -> Any:
            return builder.add(builder.mul(size, INDEX(gate)), unit)

        def place_of(where: Any, unit: Any) -> Any:
            return builder.gep(where, [builder.mul(unit, INDEX(LANES))])

        def abreast(where: Any, unit: Any) -> Any:
            return vectors.load(place_of(where, unit))

        def repeated(where: Any, place: Any) -> Any:
            return vectors.repeat(builder.load(builder.gep(where, [place])))

        def some(first: Any, count: int) -> None:
            units = [builder.add(first, INDEX(k)) for k in range(count)]
            columns = [column(gate, unit) for unit in units for gate in range(gates)]

            def more(k: Any, sums: list[Any]) -> list[Any]:
                h, row = abreast(before, k), builder.mul(k, wide)
                return [
                    vectors.fma(h, repeated(weight, builder.add(row, place)), total)
                    for place, total in zip(columns, sums, strict=True)
                ]

            sums = going_round(builder, size, [repeated(bias, place) for place in columns], more)
            for k in range(0, count, TOGETHER):
                step(units[k : k + TOGETHER], sums[k * gates : (k + TOGETHER) * gates])

        def step(units: list[Any], sums: list[Any]) -> None:
            several = Vectors(builder, vectors.element, len(units) * LANES)

            def of_units(where: Any, block: int = 0, load: Callable[[Any, Any], Any] = abreast) -> Lanes:
                return Lanes(several, joined(builder, [load(where, column(block, unit)) for unit in units]))

            _, new, value = forward(
                [of_units(x, gate) for gate in range(gates)],
                [Lanes(several, joined(builder, sums[gate::gates])) for gate in range(gates)],
                of_units(c if equation.has_cell_state else before),
                [of_units(own.data, k, repeated) for k in range(len(equation.peepholes))],
            )
            for made, where in ((new, c), (value, after)):
                parts = [] if made is None else apart(builder, made.value, len(units))
                for unit, part in zip(units, parts, strict=False):
                    vectors.store(part, place_of(where, unit))

        count = SUMS // gates // TOGETHER * TOGETHER
        loop(builder, size, lambda first: some(first, count), count)
        left = builder.srem(size, INDEX(count))
        first = builder.sub(size, left)
        while count := count // 2:
            part = builder.and_(left, INDEX(count))
            with builder.if_then(builder.icmp_signed("!=", part, INDEX(0))):
                some(first, count)
            first = builder.add(first, part)
        return context.get_dummy_value()

    n = types.int64
    kinds = (kind if isinstance(kind, types.Array) or kind is cell else n for kind in given)
    return types.void(*kinds), codegen


def folds_abreast(formula: Callable[..., Any], *arrays: Any) -> Any:
    """An intrinsic for arrays and their places, then a number of units and of lanes that count.

    For each unit `formula(vectors, old, h, …)` replaces the last array's numbers [units, LANES]; the first is
    such an array, too, and those between have one number for each unit.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        h, *between, kept = begins(context, builder, signature, values)
        size, alive = values[-2:]
        vectors = Vectors(builder, context.get_data_type(arrays[0].dtype))
        counts = vectors.mask(alive)

        def of_unit(unit: Any) -> None:
            place = builder.mul(unit, INDEX(LANES))
            where = builder.gep(kept, [place])
            old = vectors.load(where)
            numbers = [vectors.repeat(builder.load(builder.gep(array, [unit]))) for array in between]
            new = formula(vectors, old, vectors.load(builder.gep(h, [place])), *numbers)
            vectors.store(builder.select(counts, new, old), where)

        loop(builder, size, of_unit)
        return context.get_dummy_value()

    placed = (kind for array in arrays for kind in (array, types.int64))
    return types.void(*placed, types.int64, types.int64), codegen


@compiled
def room_abreast(units: int, like: Any) -> Any:
    """Zeros [units, LANES] for so many units of LANES sequences, from the beginning of a cache line on."""
    room = np.zeros(units * LANES + LINE // like.itemsize, like.dtype)
    begin = -room.ctypes.data % LINE // room.itemsize
    return room[begin : begin + units * LANES].reshape(units, LANES)


@compiled(forceinline=True)  # see `panels.some_columns`
def advance_abreast(
    cell: Any, table: Any, token: Any, row: int, weight: Any, bias: Any, x: Any, h: Any, c: Any, t: int
) -> None:
    """Advance LANES sequences forward by step t, from row t % 2 of h [2, H, LANES] to the other one.

    The k-th reads its input product from row token[row + k] of table [U, G]. weight [1, H, ≥ G] is the
    recurrent weight, transposed; bias [1, G]; c [H, LANES], or [0, LANES] where there is no cell state; x is
    room for G rows of LANES, rounded up to a multiple of LANES.
    """
    size = h.shape[1]
    at = t % 2 * size * LANES
    _put_abreast(table, 0, token, row, x, 0, bias.shape[1])
    _advance(cell, weight.shape[2], weight, 0, bias, 0, x, 0, h, at, h, size * LANES - at, c, 0, size)
