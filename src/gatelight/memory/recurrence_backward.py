"""The computation behind the gradient of `gatelight::recurrence`: back through the kernels, then the sums.

Arrays are C-contiguous and of one dtype, float32 or float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.memory import buffers, kernels, product, threads, way_back
from gatelight.memory.crew import share
from gatelight.memory.recurrence_forward import cell_weights, tasks_of, token_rows
from gatelight.memory.rows import add_row
from gatelight.memory.steps import BLOCKS
from gatelight.memory.transposing import MOVE_WORK, transpose_rows

Array = np.ndarray[Any, np.dtype[Any]]

IN_CACHE = 1 << 12
"""Elements up to which what a group sums stays in the first-level cache from step to step."""

SUMMED = 1 << 16
"""Elements of a larger weight up to which it and its gradient stay in the second-level cache."""

PARTS, ROWS = 8, 128
"""Parts, of at least so many rows, in which such a weight's gradient is summed on the way."""

FEW = 4
"""Tasks below which they might not occupy two threads all the way, as a product after it does."""

TASKS = 4
"""Tasks of each thread that sum the gradient of a table by token."""

STRIP = 16
"""Rows of the parts of a weight's gradient that a task adds up."""


@compiled
def _all_parts(
    cell: Any, first: Any, lengths: Any, weight: Any, h_0: Any, c_0: Any, saved: Any, cells: Any, hidden: Any,
    d_hidden: Any, d_h_n: Any, d_c_n: Any, token: Any, keep: bool, d_gates: Any, d_h_0: Any, d_c_0: Any,
    d_table: Any, d_weight: Any, d_bias: Any, d_peephole: Any, together: int, crew: Any,
    helpers: int,
) -> int:  # fmt: skip
    size, tasks, spread = tasks_of(h_0.shape[0], lengths, weight, helpers, together)
    given = (
        cell, first, lengths, weight, h_0, c_0, saved, cells, hidden, d_hidden, d_h_n, d_c_n, token, keep,
        d_gates, d_h_0, d_c_0, d_table, d_weight, d_bias, d_peephole, together, size, helpers + 1, crew,
        spread,
    )  # fmt: skip
    return int(share(way_back.backward, given, crew, 0 if spread else helpers, tasks))


@compiled
def _before_part(hidden: Any, numbers: Any, h_0: Any, states: Any, parts: int, k: int) -> None:
    directions, rows, size = h_0.shape[0], hidden.shape[0], h_0.shape[2]
    for d in range(directions):
        for n in range(rows * k // parts, rows * (k + 1) // parts):
            row = numbers[d, n]
            if row >= 0:
                for j in range(size):
                    states[d, n, j] = hidden[row, d * size + j]
            else:
                for j in range(size):
                    states[d, n, j] = h_0[d, -1 - row, j]


@compiled
def _sum_part(
    d_gates: Any, hidden: Any, states: Any, h_0: Any, by_token: Any, starts: Any, tokens: Any, d_table: Any,
    sums: Any, cuts: Any, k: int,
) -> None:  # fmt: skip
    _, directions, G, H = sums.shape
    K = d_gates.shape[1] // directions
    if k < len(tokens) - 1:
        product.sum_by_token(d_gates, directions, by_token, starts, d_table, tokens[k], tokens[k + 1])
        return
    d, part, begin, end, source, column, columns = cuts[k - len(tokens) + 1]
    rows, sequences, width = hidden.shape[0], h_0.shape[1], hidden.shape[1]
    at, to = d * K + source, ((part * directions + d) * G + column) * H
    sums[part, d, column : column + columns] = 0
    if states.shape[0] > 0:
        length = states.shape[2]
        product.add_transposed_times(
            d_gates, at, states, d * rows * length, length, begin, end, sums, to, columns, H
        )  # fmt: skip
        return
    # All are equally long: the states before stand in a row, first or last the initial ones.
    if d == 0:
        product.add_transposed_times(
            d_gates, at, h_0, 0, H, begin, min(end, sequences), sums, to, columns, H
        )  # fmt: skip
        product.add_transposed_times(
            d_gates, at, hidden, -sequences * width, width, max(begin, sequences), end, sums, to, columns, H
        )  # fmt: skip
    else:
        last = rows - sequences
        product.add_transposed_times(
            d_gates, at, hidden, sequences * width + H, width, begin, min(end, last), sums, to, columns, H
        )  # fmt: skip
        product.add_transposed_times(
            d_gates, at, h_0, (2 * sequences - rows) * H, H, max(begin, last), end, sums, to, columns, H
        )  # fmt: skip


@compiled
def _cuts_of_weight(blocks: Any, sums: Any, rows: int, helpers: int) -> Any:
    """The tasks that sum weight gradients: direction, part, first row, last + 1, column, its place, columns.

    Parts of `sums` in which nobody will sum a block become zeros.
    """
    directions, H = sums.shape[1], sums.shape[3]
    found = np.empty((directions * (sums.shape[0] * len(blocks) + sums.shape[2]), 7), np.int64)
    n = 0
    for at, begin, end, each in blocks:
        parts = max(1, (rows + each - 1) // each)
        wide = end - begin if parts > 1 else product.columns_of_part(end - begin, rows * H, helpers)
        for d in range(directions):
            for part in range(parts):
                for column in range(begin, end, wide):
                    last = min(rows, (part + 1) * each)
                    place, columns = at + column - begin, min(wide, end - column)
                    found[n] = d, part, part * each, last, place, column, columns
                    n += 1
        sums[parts:, :, begin:end] = 0
    return found[:n]


@compiled
def _cuts_of_tokens(starts: Any, tasks: int) -> Any:
    """Where each task's tokens begin, and where the last one's end: about as many rows each."""
    cuts, distinct = np.empty(tasks + 1, np.int64), len(starts) - 1
    token = 0
    for k in range(tasks):
        while token < distinct and starts[token] < starts[distinct] * k // tasks:
            token += 1
        cuts[k] = token
    cuts[tasks] = distinct
    return cuts


@compiled
def _all_sums(
    d_gates: Any, hidden: Any, first: Any, lengths: Any, h_0: Any, token: Any, d_table: Any, sums: Any,
    blocks: Any, states: Any, crew: Any, helpers: int,
) -> int:  # fmt: skip
    failed = 0
    if states.shape[0] > 0:
        numbers = np.empty(states.shape[:2], np.int32)
        for d in range(states.shape[0]):
            kernels.rows_before(d, first, lengths, numbers[d])
        parts = helpers + 1
        failed = share(_before_part, (hidden, numbers, h_0, states, parts), crew, helpers, parts)
    cuts = _cuts_of_weight(blocks, sums, len(hidden), helpers)
    by_token, starts = product.rows_by_token(token[: len(token) if len(d_table) else 0], len(d_table))
    tokens = _cuts_of_tokens(starts, min(len(d_table), TASKS * (helpers + 1) if helpers else 1))
    given = d_gates, hidden, states, h_0, by_token, starts, tokens, d_table, sums, cuts
    return int(failed | share(_sum_part, given, crew, helpers, len(tokens) - 1 + len(cuts)))


def recurrence_backward(
    cell: str, d_hidden: Array, d_h_n: Array, d_c_n: Array, distinct: int, token: Array | None, starts: Array,
    sizes: Array, weight: Array, peephole: Array | None, h_0: Array, c_0: Array, hidden: Array, gates: Array,
    cells: Array, need_bias: bool, overwrite: bool = False, wide: bool = False,
) -> tuple[Array, Array, Array, Array, Array, Array]:  # fmt: skip
    """Return the gradients of table [U, ·], weight_hh, bias_hh, peephole, h_0 and c_0, unused ones empty.

    starts [T] and sizes [B] are a packing's `first` and `lengths`; weight [directions, G, H]; the others as
    in `operators.recurrence`, d_x the gradient of its result x. With `overwrite` gates are lost. With `wide`
    that of a table whose rows are tokens each is as steps leave it, [N, directions·K·H]: in each direction
    what GRU's has beside the table's follows it.
    """
    directions, size, hidden_size = weight.shape
    rows, dtype = len(hidden), d_hidden.dtype
    width, groups = directions * BLOCKS[cell] * hidden_size, -(-len(sizes) // kernels.GROUP)
    # Where each row is its own token there is nothing to sum.
    own = token is None and (wide or width == directions * size)
    parts = parts_of(directions, groups, hidden_size * size, rows)
    together = -(-groups // parts) if parts else 1
    # Whether each group's sums stay in the cache, and are small beside what is summed.
    table_at_once = bool(parts) and not own and distinct * directions * size <= IN_CACHE
    table_at_once = table_at_once and groups * distinct <= rows
    if overwrite and not table_at_once and gates.shape == (rows, width):
        d_gates = gates  # each is written where those that it is made of were read
    else:
        d_gates = buffers.empty((0 if table_at_once else rows, width), dtype)
    d_h_0, d_c_0 = np.empty(d_h_n.shape, dtype), np.empty(c_0.shape, dtype)
    of_table = np.empty((groups, distinct if table_at_once else 0, directions * size), dtype)
    of_weight = buffers.empty((parts, directions, hidden_size, size), dtype)
    of_bias = np.empty((groups, directions, width // directions if need_bias else 0), dtype)
    of_peephole = np.empty((groups, directions, 3, hidden_size if peephole is not None else 0), dtype)
    forward, from_above = (h_0, c_0, gates, cells, hidden), (d_hidden, d_h_n, d_c_n)
    step_cell, tokens = cell_weights(cell, peephole, dtype), token_rows(token, rows)

    work = rows * weight.size
    given = (
        step_cell, starts, sizes, buffers.in_lines(weight), *forward, *from_above, tokens, not table_at_once,
        d_gates, d_h_0, d_c_0, of_table, of_weight, of_bias, of_peephole, together,
    )  # fmt: skip
    threads.share(_all_parts, given, work)

    d_table, sum_of_bias, d_peephole = map(_sum, (of_table, of_bias, of_peephole))
    by_token = np.empty((0, 0), dtype)
    if own:
        d_table = d_gates
    elif not table_at_once:
        d_table = by_token = buffers.empty((distinct, directions * size), dtype)
    blocks = _recurrent_blocks(cell, hidden_size)
    d_bias = np.empty((directions, size if need_bias else 0), dtype)
    for at, begin, end in blocks if need_bias else []:
        d_bias[:, begin:end] = sum_of_bias[:, at : at + end - begin]
    if parts:
        cuts, total = [], np.empty((1, *weight.shape), dtype)
        threads.share(_all_added, (of_weight, total[0]), of_weight.size * MOVE_WORK)
    else:
        cuts = [(*block, product.rows_of_part(hidden_size, block[2] - block[1], rows)) for block in blocks]
        most = max(1, *(-(-rows // each) for *_, each in cuts))
        total = np.empty((most, *weight.shape), dtype)
    if cuts or by_token.size:
        # A product reads the states before each step several times: those of unequal sequences, which do not
        # stand in a row, are put in one first.
        apart = bool(cuts) and rows != len(starts) * len(sizes)
        states = buffers.lined((directions if apart else 0, rows, hidden_size), dtype)
        blocks_of = np.array(cuts, np.int64).reshape(-1, 4)
        to_sum = d_gates, hidden, starts, sizes, h_0, tokens, by_token, total, blocks_of, states
        threads.share(_all_sums, to_sum, work)
    return d_table, _sum(total), d_bias, d_peephole, d_h_0, d_c_0


@compiled
def _added_part(parts: Any, out: Any, k: int) -> None:
    number, directions, H, G = parts.shape
    each = (H + STRIP - 1) // STRIP
    d, begin = k // each, k % each * STRIP
    end = min(H, begin + STRIP)
    if number == 1:
        transpose_rows(parts[0, d : d + 1], out[d : d + 1], 0, begin, end)
        return
    sums = np.zeros((1, end - begin, G), parts.dtype)
    for part in range(number):
        for j in range(begin, end):
            add_row(parts, ((part * directions + d) * H + j) * G, sums, (j - begin) * G, G)
    transpose_rows(sums, out[d : d + 1], begin, 0, end - begin)


@compiled
def _all_added(parts: Any, out: Any, crew: Any, helpers: int) -> int:
    tasks = parts.shape[1] * ((parts.shape[2] + STRIP - 1) // STRIP)
    return int(share(_added_part, (parts, out), crew, helpers, tasks))


def parts_of(directions: int, groups: int, size: int, rows: int) -> int:
    """In how many parts the gradient of a recurrent weight is summed on the way; 0: in a product after it.

    Groups of a part follow each other on one thread. The weight and its gradient must stay in a cache.
    """
    if size <= IN_CACHE:
        return groups
    most = min(PARTS, groups, rows // ROWS)
    if size > SUMMED or directions * most < FEW:
        return 0
    return -(-groups // -(-groups // most))


def _sum(parts: Array) -> Array:
    """The sum of each group's part, of which there may be none; NumPy takes its time for nothing, too."""
    total: Array = parts.sum(0) if len(parts) != 1 and (parts.size or not len(parts)) else parts[0]
    return total


def _recurrent_blocks(cell: str, hidden_size: int) -> list[tuple[int, int, int]]:
    """Where the gradient of u stands in a step's gradient: (column, first gate row, last + 1)."""
    if cell == "gru":  # the candidate's recurrent part is scaled by the reset gate, so it stands apart
        return [(0, 0, 2 * hidden_size), (3 * hidden_size, 2 * hidden_size, 3 * hidden_size)]
    return [(0, 0, BLOCKS[cell] * hidden_size)]
