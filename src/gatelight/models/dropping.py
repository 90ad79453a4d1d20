"""Values and word ids dropped at random by a formula of seed and place; knows arrays, and keeps no mask.

Whether an element is dropped is a hash of (seed, row, column), so the backward pass asks again instead of
remembering, and the same seed drops the same elements at any thread count.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.nn import threads
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.simd import INT, Vectors, begins, loop, over_lanes

DROP_WORK = 4  # an element takes about as long as so many multiply-adds


# lowbias32 (C. Wellons, "Prospecting for hash functions", 2018): shifts, and the factor after each.
_MIX = ((16, 0x7FEB352D), (15, 0x846CA68B), (16, None))
_GOLDEN = 0x9E3779B9


@compiled(inline="always")
def _mix(x: Any) -> Any:
    # The same for one number; Numba widens, so each step is cut back.
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@compiled
def row_key(seed: int, row: int) -> Any:
    """The part of the hash that all of a row shares."""
    low, high = np.uint32(seed & 0xFFFFFFFF), np.uint32((seed >> 32) & 0xFFFFFFFF)
    return _mix(np.uint32(_mix(np.uint32(_mix(np.uint32(row ^ low)) + high)) ^ np.uint32(row >> 32)))


def _factors(vectors: Vectors, first: Any, key: Any, limit: Any, scale: Any) -> Any:
    """What the elements of a row from the `first` on are multiplied by: 0 or `scale`."""
    builder, kind = vectors.builder, ir.VectorType(INT, vectors.lanes)

    def all_lanes(number: int) -> Any:
        return ir.Constant(kind, [number] * vectors.lanes)

    column = builder.add(
        vectors.repeat(builder.trunc(first, INT)), ir.Constant(kind, list(range(vectors.lanes)))
    )
    x = builder.add(vectors.repeat(key), builder.mul(column, all_lanes(_GOLDEN)))
    for shift, factor in _MIX:
        x = builder.xor(x, builder.lshr(x, all_lanes(shift)))
        x = x if factor is None else builder.mul(x, all_lanes(factor))
    stays = builder.icmp_unsigned(">=", x, vectors.repeat(limit))
    return builder.select(stays, vectors.repeat(scale), vectors.number(0.0))


@intrinsic  # type: ignore[untyped-decorator]
def drop_row(
    typingctx: Any, source: Any, source_at: Any, key: Any, limit: Any, scale: Any, target: Any,
    target_at: Any, size: Any,
) -> Any:  # fmt: skip
    """source → target, which may be the same: 0 where the hash is under `limit`, else by `scale`.

    For compiled callers, as `memory.rows` has it: `size` elements from source_at and target_at on.
    """

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given, result = begins(context, builder, signature, values)

        def some(vectors: Vectors, first: Any) -> None:
            value = vectors.load(builder.gep(given, [first]))
            factors = _factors(vectors, first, *values[2:5])
            vectors.store(builder.fmul(value, factors), builder.gep(result, [first]))

        over_lanes(Vectors(builder, context.get_data_type(source.dtype)), values[-1], some)
        return context.get_dummy_value()

    place = types.int64
    return types.void(source, place, types.uint32, types.uint32, source.dtype, target, place, place), codegen


@compiled
def row_keys(seed: int, row: int, keys: NDArray[np.uint32], count: int) -> None:
    """`row_key` of so many rows from `row` on → keys: several at once, in a register."""
    for k in range(count):
        keys[k] = row_key(seed, row + k)


def _over_rows_of_step(signature: Any, context: Any, builder: Any, values: Any, write: Any) -> Any:
    """Write `write(vectors, factors, addresses, rows)` for the lanes of all rows of a step.

    `rows` loops over the rows, and `factors(k)` are those of row k. Among the values each array is followed
    by where it is read from; the second are the keys, after them limit and scale; last are elements and rows.
    """
    arrays = begins(context, builder, signature, values)
    keys, (limit, scale) = arrays[1], values[4:6]
    size, rows = values[-2:]

    def some(vectors: Vectors, first: Any) -> None:
        def factors(k: Any) -> Any:
            return _factors(vectors, first, builder.load(builder.gep(keys, [k])), limit, scale)

        def address(place: int, k: Any = None) -> Any:
            at = first if k is None else builder.add(builder.mul(k, size), first)
            return builder.gep(arrays[place], [at])

        write(vectors, factors, address, lambda of_row: loop(builder, rows, of_row))

    over_lanes(Vectors(builder, context.get_data_type(signature.args[0].dtype)), size, some)
    return context.get_dummy_value()


@intrinsic  # type: ignore[untyped-decorator]
def add_products_of_dropped(
    typingctx: Any, source: Any, source_at: Any, keys: Any, keys_at: Any, limit: Any, scale: Any, weight: Any,
    weight_at: Any, target: Any, target_at: Any, size: Any, rows: Any,
) -> Any:  # fmt: skip
    """target += drop_row's result · weight, for rows end to end, by the same weight and each row's key."""

    def write(vectors: Vectors, factors: Any, at: Any, rows: Any) -> None:
        builder, weight = vectors.builder, vectors.load(at(2))

        def of_row(k: Any) -> None:
            dropped = builder.fmul(vectors.load(at(0, k)), factors(k))
            vectors.store(builder.fadd(vectors.load(at(3, k)), builder.fmul(dropped, weight)), at(3, k))

        rows(of_row)

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _over_rows_of_step(signature, context, builder, values, write)

    n = types.int64
    numbers = types.uint32, source.dtype
    return types.void(source, n, keys, n, *numbers, weight, n, target, n, n, n), codegen


@intrinsic  # type: ignore[untyped-decorator]
def products_of_dropped_back(
    typingctx: Any, source: Any, source_at: Any, keys: Any, keys_at: Any, limit: Any, scale: Any, weight: Any,
    weight_at: Any, gradient: Any, gradient_at: Any, d_source: Any, d_source_at: Any, d_weight: Any,
    d_weight_at: Any, size: Any, rows: Any,
) -> Any:  # fmt: skip
    """The way back of `add_products_of_dropped` from each sum's gradient: d_source set, d_weight added to."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        gradients = builder.gep(
            context.make_array(signature.args[8])(context, builder, value=values[8]).data, [values[9]]
        )

        def write(vectors: Vectors, factors: Any, at: Any, rows: Any) -> None:
            weight, sums = vectors.load(at(2)), cgutils.alloca_once_value(builder, vectors.load(at(5)))

            def of_row(k: Any) -> None:
                every, by = vectors.repeat(builder.load(builder.gep(gradients, [k]))), factors(k)
                d_dropped = vectors.fma(every, weight, vectors.number(0.0))
                vectors.store(builder.fmul(d_dropped, by), at(4, k))
                dropped = builder.fmul(vectors.load(at(0, k)), by)
                builder.store(vectors.fma(every, dropped, builder.load(sums)), sums)

            rows(of_row)
            vectors.store(builder.load(sums), at(5))

        return _over_rows_of_step(signature, context, builder, values, write)

    n = types.int64
    numbers = types.uint32, source.dtype
    arrays = gradient, n, d_source, n, d_weight, n
    return types.void(source, n, keys, n, *numbers, weight, n, *arrays, n, n), codegen


@compiled
def drop_values(
    values: NDArray[Any], seed: int, limit: Any, scale: Any, out: NDArray[Any], begin: int, end: int
) -> None:
    """Rows begin to end of values[N, F] → those of out[N, F], by `drop_row`."""
    columns = values.shape[1]
    for row in range(begin, end):
        at = row * columns
        drop_row(values, at, row_key(seed, row), limit, scale, out, at, columns)


@compiled
def drop_ids(ids: NDArray[np.int32], seed: int, limit: Any, unknown: int, out: NDArray[np.int32]) -> None:
    """ids[N] → out[N]: `unknown` where the hash is below `limit` (uint32), else the id."""
    for place in range(ids.shape[0]):
        out[place] = ids[place] if row_key(seed, place) >= limit else unknown


@compiled
def spell_ids(ids: NDArray[np.int32], seed: int, limit: Any, size: int, out: NDArray[np.int32]) -> None:
    """ids[N] → out[N]: id + `size` where the hash is below `limit` (uint32) and id < `size`, else the id."""
    for place in range(ids.shape[0]):
        spelled = ids[place] < size and row_key(seed, place) < limit
        out[place] = ids[place] + size if spelled else ids[place]


def limit_of(share: float) -> np.uint32:
    """The number that a hash stays under as often as `share` says."""
    return np.uint32(round(share * 2**32))


class Drop(NamedTuple):
    """What of rows [N, F] is dropped: with limit 0 nothing, and the rest stays as it is."""

    seed: int
    limit: np.uint32
    scale: Any  # of the rows' dtype

    @classmethod
    def of(cls, share: float, seed: int, dtype: Any) -> Drop:
        """The numbers of `seed` for a share of the values."""
        return cls(seed, limit_of(share), np.dtype(dtype).type(1.0 / (1.0 - share)))

    @classmethod
    @cache
    def nothing(cls, dtype: np.dtype[Any]) -> Drop:
        """Those by which all rows stay as they are."""
        return cls.of(0.0, 0, dtype)


def dropped(values: NDArray[Any], share: float, seed: int) -> NDArray[Any]:
    """values [N, F] with `share` of them zero and the rest scaled up; of a gradient it gives the gradient."""
    out = buffers.empty(values.shape, values.dtype)
    drop = Drop.of(share, seed, out.dtype)
    tasks = [partial(drop_values, values, *drop, out, *cut) for cut in threads.cuts(len(out))]
    threads.run(tasks, out.size * DROP_WORK)
    return out
