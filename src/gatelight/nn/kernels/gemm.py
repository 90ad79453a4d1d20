"""Matrix products whose rows have the same bits in any batch and at any thread count; knows nothing of cells.

BLAS may round one row differently when it is multiplied together with others, and it runs threads of its
own. Here every element of a product is summed over k = 0, 1, 2, … with one fused multiply-add each, whatever
the number of rows, so a row's bits never depend on its company. For the small matrices of recurrent networks
it is also faster than BLAS. Large factors are put into panels, so that they are read in a row: a panel is as
many columns as the tallest tile, and all its rows stand one after the other. All arrays are C-contiguous and
of one dtype, float32 or float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic

from gatelight.compiled import called_by_name, compiled
from gatelight.nn import threads
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.buffers import CACHED, LINE
from gatelight.nn.kernels.parallel import parallel_for
from gatelight.nn.kernels.simd import (
    INDEX,
    VECTOR_BYTES,
    Vectors,
    add_row,
    chosen,
    copy_row,
    fetch_line,
    going_round,
    halves,
    loop,
    opaque,
    over_lanes,
)
from gatelight.nn.threads import LITTLE_WORK

Array = np.ndarray[Any, np.dtype[Any]]

CHUNK, ROOM = 160, 240
"""Rows summed at a time, about: those of a panel stay in the first-level cache. A panel has room for more."""

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
    fetches: bool = False,
) -> None:  # fmt: skip
    """Write code for `rows` rows and `width` registers of columns from `column` on, the last one masked.

    out[r, j] = start[r, j] + sum over k of a[r, k] * b[k, j]. Where it
    `fetches`, one line with each k: many at once would wait for each other, and what follows for them.
    """
    builder, lanes = vectors.builder, vectors.lanes

    def place(name: str, offset: Any, register: int) -> Any:
        offset = builder.add(builder.add(offset, column), INDEX(register * lanes))
        return builder.gep(args[name], [offset])

    masks = [*[None] * (width - 1), mask]

    def row_offset(name: str, r: int) -> Any:
        return builder.mul(args[f"{name}_row"], builder.add(row, INDEX(r)))

    cells = [(r, register) for r in range(rows) for register in range(width)]
    totals = [
        vectors.load(place("start", row_offset("start", r), register), masks[register])
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
                vectors.load(place("b", b_row, register), masks[register]) for register in range(width)
            ]
            factors = [vectors.repeat(builder.load(builder.gep(a_row, [a_column]))) for a_row in a_rows]
            return [
                vectors.fma(factors[r], b_vectors[register], total)
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
        vectors.store(total, place("out", row_offset("out", r), register), masks[register])


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
    choose(registers, vectors.mask(of_last))


def _write_either(
    vectors: Vectors, args: dict[str, Any], rows: int, width: int, row: Any, column: Any, mask: Any = None
) -> None:
    """Write code for a tile that, if it is one of the largest, fetches where there is something to fetch."""
    given = vectors, args, rows, width, row, column, mask
    if rows < FETCHING or width < SHAPES[rows]:
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


@compiled
def panel_columns(like: Any) -> int:
    """Return how many columns of an array of this type make a panel."""
    return int(WIDEST * (VECTOR_BYTES // like.itemsize))


@compiled
def lined_up(size: int, like: Any) -> Any:
    """Return room for so many elements, beginning at a cache line."""
    if size == 0:
        return np.empty(0, like.dtype)
    a = np.empty(size + LINE, like.dtype)
    begin = -a.ctypes.data % LINE // a.itemsize
    return a[begin : begin + size]


@compiled
def chunk_of(rows: int) -> int:
    """Return how many of so many rows are summed at a time: about CHUNK, and never a few at the end.

    For each chunk what is summed is read and written again.
    """
    count = max(1, (rows + CHUNK // 2) // CHUNK)
    return max(1, (rows + count - 1) // count)


@compiled
def _panels(like: Any, columns: int) -> Any:
    """Return room for panels of ROOM rows of so many columns, beginning at a cache line; for 0 none."""
    wide = panel_columns(like)
    return lined_up((columns + wide - 1) // wide * wide * ROOM, like)


@intrinsic  # type: ignore[untyped-decorator]
def _into_panels(typingctx: Any, source: Any, at: Any, size: Any, to: Any, row: Any) -> Any:
    """Copy `size` elements from source[at] on into a row of panels."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given, at, size, taken, row = values
        begin, end = (
            context.make_array(kind)(context, builder, value=array).data
            for kind, array in ((source, given), (to, taken))
        )
        vectors = Vectors(builder, context.get_data_type(source.dtype))
        lanes, wide = vectors.lanes, WIDEST * vectors.lanes
        begin, end = builder.gep(begin, [at]), builder.gep(end, [builder.mul(row, INDEX(wide))])

        def copy(part: Vectors, column: Any, place: Any) -> None:
            part.store(part.load(builder.gep(begin, [column])), builder.gep(end, [place]))

        def panel(first: Any) -> None:
            place = builder.mul(first, INDEX(ROOM))
            for k in range(0, wide, lanes):
                copy(vectors, builder.add(first, INDEX(k)), builder.add(place, INDEX(k)))

        loop(builder, size, panel, wide)
        left = builder.srem(size, INDEX(wide))
        column = builder.sub(size, left)
        place = builder.mul(column, INDEX(ROOM))
        over_lanes(
            vectors, left,
            lambda part, first: copy(part, builder.add(column, first), builder.add(place, first)),
        )  # fmt: skip
        return context.get_dummy_value()

    return types.void(source, types.int64, types.int64, to, types.int64), codegen


MOVE_WORK = 16  # to put an element elsewhere takes about as long as so many multiply-adds
PART = 16  # rows of which a thread takes a multiple


@intrinsic  # type: ignore[untyped-decorator]
def _square(typingctx: Any, source: Any, at: Any, row: Any, target: Any, to: Any, column: Any) -> Any:
    """Write a square of a register's side, from source[at], rows `row` apart, transposed to target[to]."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given, at, row, taken, to, column = values
        begin, end = (
            builder.gep(context.make_array(kind)(context, builder, value=array).data, [place])
            for kind, array, place in ((source, given, at), (target, taken, to))
        )
        vectors = Vectors(builder, context.get_data_type(source.dtype))
        lanes = range(vectors.lanes)
        rows = [vectors.load(builder.gep(begin, [builder.mul(row, INDEX(k))])) for k in lanes]

        # Blocks of 1, 2, 4 … change places across the diagonal.
        apart = 1
        while apart < vectors.lanes:
            second = vectors.lanes  # where the elements of the other row are numbered from
            upper = [lane if not lane & apart else second + lane - apart for lane in lanes]
            lower = [lane + apart if not lane & apart else second + lane for lane in lanes]
            for k in lanes:
                if not k & apart:
                    a, b = rows[k], rows[k + apart]
                    rows[k], rows[k + apart] = chosen(builder, a, b, upper), chosen(builder, a, b, lower)
            apart *= 2
        for k in lanes:
            vectors.store(rows[k], builder.gep(end, [builder.mul(column, INDEX(k))]))
        return context.get_dummy_value()

    index = types.int64
    return types.void(source, index, index, target, index, index), codegen


@compiled
def transpose_rows(a: Any, out: Any, first: int, begin: int, end: int) -> None:
    """Write rows begin to end of each part of a [n, M, K] transposed to columns `first` + … of out [n, K, ·].

    For compiled callers.
    """
    parts, rows, columns = a.shape
    wide, side = out.shape[2], VECTOR_BYTES // a.itemsize
    whole_rows, whole_columns = end - (end - begin) % side, columns - columns % side
    for part in range(parts):
        for top in range(begin, whole_rows, side):
            for left in range(0, whole_columns, side):
                to = (part * columns + left) * wide + first + top
                _square(a, (part * rows + top) * columns + left, columns, out, to, wide)
        for j in range(columns):
            for i in range(whole_rows if j < whole_columns else begin, end):
                out[part, j, first + i] = a[part, i, j]


@compiled
def _transposed_part(weight: Any, other: Any, out: Any, each: int, k: int) -> None:
    G = len(weight)
    parts = (G + each - 1) // each
    d, begin = k // parts, k % parts * each
    given = weight if d == 0 else other
    transpose_rows(given.reshape(1, G, -1), out[d : d + 1], 0, begin, min(G, begin + each))


@compiled
def _all_transposed(weight: Any, other: Any, out: Any, pool: Any, helpers: int) -> int:
    G, parts = len(weight), helpers + 1
    each = max(1, (G + parts - 1) // parts)
    each += -each % PART
    tasks = len(out) * ((G + each - 1) // each)
    return int(parallel_for(_transposed_part, (weight, other, out, each), pool, helpers, tasks))


def transposed(weights: Sequence[Array]) -> Array:
    """One or two weights [G, H] → [directions, H, ≥ G], rows that begin at cache lines."""
    size, hidden_size = weights[0].shape
    out = buffers.lined((len(weights), hidden_size, size), weights[0].dtype)
    threads.share(_all_transposed, (weights[0], weights[-1], out), out.size * MOVE_WORK)
    return out


LARGE = 1 << 14
"""Elements of a weight or its gradient from which on the columns of a product are cut, for panels that a
cache holds: so both factors are read in a row."""

BLOCK, FEWEST = 1 << 8, 1 << 6
"""Rows that pass by a panel of a weight which a task has put in its cache: about so many, and at least."""

WIDE = 1 << 9
"""Columns that a task sums at most: what it sums must not leave its cache between some rows and the next."""


@compiled
def _tasks(rows: int, size: int) -> int:
    return (rows + size - 1) // size


@compiled
def columns_of_part(columns: int, work_per_column: int, helpers: int) -> int:
    """Return how many of so many columns a task should sum: a multiple of 8, so that no tile is cut, or all.

    Each task puts all rows of the other factor into panels for itself, so there are few; each thread has as
    many.
    """
    count, threads = _tasks(columns, WIDE), helpers + 1
    count = _tasks(count, threads) * threads
    size = _tasks(columns, max(1, min(count, columns * work_per_column // LITTLE_WORK)))
    return int(max(1, size + -size % 8))


@compiled
def _rows_part(
    a: Any, weight: Any, other: Any, start: Any, out: Any, block: int, across: int, k: int
) -> None:
    (size, depth), parts = weight.shape, _tasks(len(weight), across)
    panels_of_row = len(start) // size * parts
    d, column = k % panels_of_row // parts, k % parts * across
    first, columns, row = k // panels_of_row * block, min(across, size - column), out.shape[1]
    given, panel = weight if d == 0 else other, lined_up(depth * across, a).reshape(1, depth, across)
    transpose_rows(given.reshape(1, size, -1), panel, -column, column, column + columns)
    multiply(
        a, first * depth, depth, 1, panel, 0, across, start, d * size + column, 0,
        out, first * row + d * (row // (len(start) // size)) + column, row,
        min(block, len(a) - first), depth, columns,
    )  # fmt: skip


@compiled
def _all_rows(a: Any, weight: Any, other: Any, start: Any, out: Any, pool: Any, helpers: int) -> int:
    across = _across(weight, len(weight))
    panels_of_row = len(start) // len(weight) * _tasks(len(weight), across)
    block = _block_of(weight, len(a), panels_of_row, helpers)
    given = a, weight, other, start, out, block, across
    return int(parallel_for(_rows_part, given, pool, helpers, panels_of_row * _tasks(len(a), block)))


@compiled
def _across(weight: Any, columns: int) -> int:
    """How many columns a task has: rows pass by a small weight once, by a large one once for each panel."""
    wide = panel_columns(weight)
    return int(wide * max(1, _tasks(columns, wide)) if weight.size < LARGE else wide)


@compiled
def _block_of(weight: Any, rows: int, panels_of_row: int, helpers: int) -> int:
    """How many of the rows pass by a panel of a weight that a task has put in its cache: a multiple of 8."""
    some = BLOCK if weight.size >= LARGE else 4 * BLOCK  # who pass by all of it at once should be worth that
    count = max(1, (rows + some // 2) // some)
    if helpers > 0:  # one that comes late should find some tasks
        tasks = 2 * (helpers + 1)
        count = max(count, min((tasks + panels_of_row - 1) // max(1, panels_of_row), rows // FEWEST))
    size = max(1, (rows + count - 1) // count)
    return int(size + -size % 8)


def rows_times(a: Array, weights: Sequence[Array], start: Array, each: int = 0) -> Array:
    """Return start + a @ weight.T for a [M, K] and one or two weights [G, K], a new array [M, G] or [M, 2·G].

    With `each` there are so many columns for each weight, of which the first G are written. Each task
    transposes those that it sums, which then never leave its cache.
    """
    out = buffers.empty((len(a), len(weights) * (each or len(weights[0]))), a.dtype)
    if len(start):
        threads.share(_all_rows, (a, weights[0], weights[-1], start, out), a.size * len(start))
    return out


@compiled
def add_transposed_times(
    a: Any, a_at: int, b: Any, b_at: int, b_row: int, begin: int, end: int, known: bool, out: Any,
    out_at: int, columns: int, size: int,
) -> None:  # fmt: skip
    """Add a.T @ b of rows begin to end to [columns, size] from out[out_at] on, for compiled callers.

    a [N, ·] is read at `columns` columns from a_at on; row n of b begins at b[b_at + n * b_row]; b and out
    are flat, so that one code serves all. What is not `known` yet counts as zeros: to write these first would
    wait for memory, which a product has time for.
    """
    start, start_at, start_row = out, out_at, size
    if not known:
        start, start_at, start_row = np.zeros(size, out.dtype), 0, 0
    large, wide = columns * size >= LARGE, panel_columns(a)
    left, right = _panels(a, columns if large else 0), _panels(a, size if large else 0)
    some = chunk_of(end - begin)
    for first in range(begin, end, some):
        rows, a_first, b_first = min(some, end - first), first * a.shape[1] + a_at, b_at + first * b_row
        if not large:
            multiply(
                a, a_first, 1, a.shape[1], b, b_first, b_row,
                start, start_at, start_row, out, out_at, size, columns, rows, size,
            )  # fmt: skip
        else:
            for k in range(rows):
                _into_panels(a, a_first + k * a.shape[1], columns, left, k)
                _into_panels(b, b_first + k * b_row, size, right, k)
            for row in range(0, columns, wide):  # the result's rows are written one after the other
                for column in range(0, size, wide):
                    multiply(
                        left, row * ROOM, 1, wide, right, column * ROOM, wide,
                        start, start_at + row * start_row + column, start_row,
                        out, out_at + row * size + column, size,
                        min(wide, columns - row), rows, min(wide, size - column),
                    )  # fmt: skip
        start, start_at, start_row = out, out_at, size


@compiled
def _back_part(
    d_out: Any, x: Any, weight: Any, other: Any, parts: int, d_x: Any, d_weight: Any, d_bias: Any,
    block: int, across: int, wide: int, k: int,
) -> None:  # fmt: skip
    (each, dim), apart, columns = weight.shape, d_out.shape[1] // parts, parts * len(weight)
    panels_of_x = _tasks(d_x.shape[1], across)
    tasks = _tasks(max(len(d_weight), len(d_bias)), wide)
    if k >= tasks:  # the short ones come last
        k -= tasks
        begin, column = k // panels_of_x * block, k % panels_of_x * across
        rows, some = min(block, len(d_x) - begin), min(across, dim - column)
        deep = min(each, max(1, CACHED // 4 // (across * d_x.itemsize)))
        panel, start, start_at, start_row = lined_up(deep * across, d_x), np.zeros(across, d_x.dtype), 0, 0
        for part in range(parts):
            given = weight if part == 0 else other
            for first in range(0, each, deep):
                depth = min(deep, each - first)
                for row in range(depth):
                    copy_row(given, (first + row) * dim + column, panel, row * across, some)
                multiply(
                    d_out, begin * d_out.shape[1] + part * apart + first, d_out.shape[1], 1, panel, 0, across,
                    start, start_at, start_row, d_x, begin * dim + column, dim, rows, depth, some,
                )  # fmt: skip
                start, start_at, start_row = d_x.reshape(-1), begin * dim + column, dim
        return
    begin, flat, sums = k * wide, x.reshape(-1), d_weight.reshape(-1)
    end = min(columns, begin + wide)
    if d_out.shape[0] == 0:
        d_weight[begin:end] = 0
    d_bias[begin:end] = 0
    for part in range(begin // each, (end + each - 1) // each):
        first, last = max(begin, part * each), min(end, (part + 1) * each)
        at, some = part * (apart - each) + first, last - first
        chunk = chunk_of(len(d_out))
        for row in range(0, len(d_out), chunk):
            to = min(row + chunk, len(d_out))
            for one in range(row, to if d_bias.shape[0] else row):
                add_row(d_out, one * d_out.shape[1] + at, d_bias, first, some)
            if d_weight.shape[0]:
                add_transposed_times(d_out, at, flat, 0, dim, row, to, row > 0, sums, first * dim, some, dim)


@compiled
def _all_back(
    d_out: Any, x: Any, weight: Any, other: Any, parts: int, d_x: Any, d_weight: Any, d_bias: Any, pool: Any,
    helpers: int,
) -> int:  # fmt: skip
    across = _across(weight, d_x.shape[1])
    panels_of_x = _tasks(d_x.shape[1], across)
    block = _block_of(weight, d_x.shape[0], panels_of_x, helpers)
    summed = max(len(d_weight), len(d_bias))
    wide = columns_of_part(summed, x.size, helpers)
    given = d_out, x, weight, other, parts, d_x, d_weight, d_bias, block, across, wide
    tasks = panels_of_x * _tasks(d_x.shape[0], block) + _tasks(summed, wide)
    return int(parallel_for(_back_part, given, pool, helpers, tasks))


def linear_back(
    d_out: Array, x: Array, weights: Sequence[Array], need_x: bool, need_weight: bool, need_bias: bool
) -> tuple[Array, Array, Array]:
    """Return the gradients of x [M, D], weight [G, D] and bias [G] from that of x @ weight.T + bias [M, G].

    Those not needed are empty. The weight is given in one part or two, [G / parts, D] each. The gradient may
    be [M, parts·K] with K ≥ G / parts: of each part's columns the first G / parts count.
    """
    dtype, dim, parts = d_out.dtype, x.shape[1], len(weights)
    size = parts * len(weights[0])
    d_x = buffers.empty(x.shape, dtype) if need_x else np.empty((0, 0), dtype)
    d_weight = np.empty((size, dim) if need_weight else (0, 0), dtype)
    d_bias = np.empty(size if need_bias else 0, dtype)
    given = d_out, x, weights[0], weights[-1], parts, d_x, d_weight, d_bias
    threads.share(_all_back, given, x.size * size * (need_x + need_weight))
    return d_x, d_weight, d_bias
