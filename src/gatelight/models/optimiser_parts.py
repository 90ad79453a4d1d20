"""The optimisers' steps shared among threads: rows of a table, and dense parameters by their addresses.

Knows arrays, the kernels and threads; neither models nor torch.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import carray
from numba.core import types
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.models.optimiser_kernels import adam_rows, coast_rows, rmsprop_rows, sgd_rows
from gatelight.nn.kernels.parallel import parallel_for

Array = NDArray[Any]

CHUNK = 1 << 15
"""Elements of a part that a thread takes: fixed, so that sums do not depend on how many threads there are."""

PART = 1 << 16
"""Elements of a dense parameter that a thread takes at once."""

TASKS = 4
"""Of each thread, where rows of a table are shared."""


class Sgd(NamedTuple):
    """By which compiled code knows `sgd_rows`, as by the next ones the others: it compiles what it needs."""

    of: int = 0


class RMSprop(NamedTuple):
    """`rmsprop_rows`."""

    of: int = 0


class Adam(NamedTuple):
    """`adam_rows`."""

    of: int = 0


@intrinsic  # type: ignore[untyped-decorator]
def _pointer(typingctx: Any, address: Any, like: Any) -> Any:
    """The address as a pointer to elements of `like`'s type."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(types.int64, like), codegen  # type: ignore[attr-defined]


@compiled
def _parts(sizes: Array, part: int) -> Array:
    """Which array, and from which element on, of each part of arrays of these sizes: int64 [·, 2]."""
    count, n = 0, 0
    for k in range(len(sizes)):
        count += (sizes[k] + part - 1) // part
    found = np.empty((count, 2), np.int64)
    for k in range(len(sizes)):
        for begin in range(0, sizes[k], part):
            found[n, 0], found[n, 1] = k, begin
            n += 1
    return found


@compiled(fastmath={"reassoc", "contract"})
def _sum_of_squares(like: Array, places: Array, sizes: Array, parts: Array, sums: Array, part: int) -> None:
    k, begin = parts[part]
    # Of a slice the compiler knows that no index is negative: four times as fast.
    values = carray(_pointer(places[k, -1], like), sizes[k])[begin : begin + CHUNK]
    total = 0.0
    for n in range(len(values)):
        value = np.float64(values[n])
        total += value * value
    sums[part] = total


@compiled
def all_sums_of_squares(
    like: Array, places: Array, sizes: Array, sums: Array, pool: Any, helpers: int
) -> int:
    """The sum of the squares of each CHUNK, of arrays of `like`'s type, in sums float64.

    places int64 [P, ·] are the arrays' addresses, in the last column, sizes int64 [P] their elements.
    """
    parts = _parts(sizes, CHUNK)
    return int(parallel_for(_sum_of_squares, (like, places, sizes, parts, sums), pool, helpers, len(parts)))


def _step_rows(
    kind: Any, table: Array, first: Array, second: Array, rows: Array, gradient: Array, n: Array
) -> None:
    """A step of `kind` with its numbers n, in the order in which its function takes them."""
    _stepper(type(kind))(kind, table, first, second, rows, gradient, n)


@overload(_step_rows)
def _step_of_kind(kind, table, first, second, rows, gradient, n):  # type: ignore[no-untyped-def]
    # Without annotations, as those that it returns: Numba compares them.
    return _stepper(kind.instance_class)


def _stepper(kind: type[Any]) -> Any:
    if kind is Sgd:
        return lambda kind, table, first, second, rows, gradient, n: sgd_rows(
            table, first, rows, gradient, n[0], n[1], n[2]
        )
    if kind is RMSprop:
        return lambda kind, table, first, second, rows, gradient, n: rmsprop_rows(
            table, first, rows, gradient, n[0], n[1], n[2], n[3]
        )
    return lambda kind, table, first, second, rows, gradient, n: adam_rows(
        table, first, second, rows, gradient, n[0], n[1], n[2], n[3], n[4], n[5], n[6]
    )


@compiled
def _dense_part(kind: Any, places: Array, sizes: Array, numbers: Array, parts: Array, part: int) -> None:
    k, begin = parts[part]
    size, at = min(PART, sizes[k] - begin), places[k] + begin * numbers.itemsize
    # Each is taken as a table of one row.
    weight = carray(_pointer(at[0], numbers), (1, size))
    first, second = carray(_pointer(at[1], numbers), (1, size)), carray(_pointer(at[2], numbers), (1, size))
    gradient = carray(_pointer(at[3], numbers), (1, size))
    _step_rows(kind, weight, first, second, np.zeros(1, np.int64), gradient, numbers[k])


@compiled
def all_dense(kind: Any, places: Array, sizes: Array, numbers: Array, pool: Any, helpers: int) -> int:
    """A step on dense parameters of the type of numbers [P, ·], which are each one's.

    places int64 [P, 4] are the addresses of weight, state, second state (or the first again) and gradient,
    sizes int64 [P] how many elements these have.
    """
    parts = _parts(sizes, PART)
    return int(parallel_for(_dense_part, (kind, places, sizes, numbers, parts), pool, helpers, len(parts)))


@compiled
def _rows_part(
    kind: Any, table: Array, first: Array, second: Array, rows: Array, gradient: Array, numbers: Array,
    parts: int, k: int,
) -> None:  # fmt: skip
    begin, end = len(rows) * k // parts, len(rows) * (k + 1) // parts
    _step_rows(kind, table, first, second, rows[begin:end], gradient[begin:end], numbers)


@compiled
def all_rows(
    kind: Any, table: Array, first: Array, second: Array, rows: Array, gradient: Array, numbers: Array,
    pool: Any, helpers: int,
) -> int:  # fmt: skip
    """A step on rows of a table; where there is no second state it is the first again."""
    parts = TASKS * (helpers + 1)
    given = kind, table, first, second, rows, gradient, numbers, parts
    return int(parallel_for(_rows_part, given, pool, helpers, parts))


@compiled
def _coast_part(
    table: Array, mean: Array, square: Array, last: Array, rows: Array, rates: Array, steps: int, keep: float,
    keep_square: float, epsilon: Any, parts: int, k: int,
) -> None:  # fmt: skip
    some = rows[len(rows) * k // parts : len(rows) * (k + 1) // parts]
    coast_rows(table, mean, square, last, some, rates, steps, keep, keep_square, epsilon)


@compiled
def all_coasting(
    table: Array, mean: Array, square: Array, last: Array, rows: Array, rates: Array, steps: int, keep: float,
    keep_square: float, epsilon: Any, pool: Any, helpers: int,
) -> int:  # fmt: skip
    """`coast_rows`, shared among threads."""
    parts = TASKS * (helpers + 1)
    given = table, mean, square, last, rows, rates, steps, keep, keep_square, epsilon, parts
    return int(parallel_for(_coast_part, given, pool, helpers, parts))
