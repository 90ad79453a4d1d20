"""What the weights of a recurrence get, summed over rows and groups once the way back is gone.

For compiled callers. Arrays are C-contiguous and of one dtype, float32 or float64; names are those of
way_back.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.nn import kernels, product
from gatelight.nn.crew import share
from gatelight.nn.rows import add_row, copy_row, fetch
from gatelight.nn.transposing import transpose_rows

TASKS = 4
"""Tasks of each thread that sum the gradient of a table by token."""

SMALL, PARTS, FEWEST = 1 << 14, 4, 64
"""Elements below which a transposed product is summed in parts, each of some rows; how many, of how many."""

AT_ONCE = 1 << 10
"""Bytes that may be fetched at a time without waiting for each other."""

STRIP = 16
"""Rows of the parts of a weight's gradient that a task adds up."""


@compiled
def _before_part(hidden: Any, numbers: Any, h_0: Any, states: Any, parts: int, k: int) -> None:
    directions, sequences, size = h_0.shape
    rows, width, wide = hidden.shape[0], hidden.shape[1], states.shape[2]
    for d in range(directions):
        for n in range(rows * k // parts, rows * (k + 1) // parts):
            row = numbers[d, n]
            if row >= 0:
                copy_row(hidden, row * width + d * size, states, (d * rows + n) * wide, size)
            else:
                copy_row(h_0, (d * sequences - 1 - row) * size, states, (d * rows + n) * wide, size)


@compiled
def _rows_by_token(token: Any, distinct: int) -> tuple[Any, Any]:
    """The rows of each token in order, int32 [N], as token is, and where each one's begin, int64 [U + 1]."""
    starts, rows = np.empty(distinct + 1, np.int64), np.empty(len(token), np.int32)
    for k in range(distinct + 1):
        starts[k] = 0
    for row in range(len(token)):
        starts[token[row]] += 1
    end = 0
    for k in range(distinct):
        end += starts[k]
        starts[k] = end
    starts[distinct] = end
    for row in range(len(token) - 1, -1, -1):  # backwards, each token's places fill from their end
        place = starts[token[row]] - 1
        starts[token[row]] = place
        rows[place] = row
    return rows, starts


@compiled
def _sum_by_token(
    d_gates: Any, directions: int, rows: Any, starts: Any, d_table: Any, begin: int, end: int
) -> None:
    """Sum each token's rows of d_gates [N, ·], in their order, into its own, begin to end, of d_table [U, ·].

    Of each direction's columns of d_gates the first are those of d_table.
    """
    apart, size = d_gates.shape[1] // directions, d_table.shape[1] // directions
    d_table[begin:end] = 0
    none = np.empty(0, np.int64)
    soon = starts[end] if d_gates.shape[1] * d_gates.itemsize <= AT_ONCE else 0
    for k in range(begin, end):
        for place in range(starts[k], starts[k + 1]):
            if place + 1 < soon:
                fetch(d_gates, rows[place + 1], 1, 0, d_gates.shape[1], none, 0)
            for d in range(directions):
                at = rows[place] * d_gates.shape[1] + d * apart
                add_row(d_gates, at, d_table, k * d_table.shape[1] + d * size, size)


@compiled
def _sum_part(
    d_gates: Any, hidden: Any, states: Any, h_0: Any, by_token: Any, starts: Any, tokens: Any, d_table: Any,
    sums: Any, cuts: Any, k: int,
) -> None:  # fmt: skip
    _, directions, G, H = sums.shape
    K = d_gates.shape[1] // directions
    if k < len(tokens) - 1:
        _sum_by_token(d_gates, directions, by_token, starts, d_table, tokens[k], tokens[k + 1])
        return
    d, part, begin, end, source, column, columns = cuts[k - len(tokens) + 1]
    rows, sequences, width = hidden.shape[0], h_0.shape[1], hidden.shape[1]
    at, to, flat = d * K + source, ((part * directions + d) * G + column) * H, sums.reshape(-1)
    if begin >= end:
        sums[part, d, column : column + columns] = 0
    if states.shape[0] > 0:
        length = states.shape[2]
        product.add_transposed_times(
            d_gates, at, states.reshape(-1), d * rows * length, length, begin, end, False, flat, to,
            columns, H,
        )  # fmt: skip
        return
    # All are equally long: the states before stand in a row, first or last the initial ones.
    others, initial = hidden.reshape(-1), h_0.reshape(-1)
    if d == 0:
        product.add_transposed_times(
            d_gates, at, initial, 0, H, begin, min(end, sequences), False, flat, to, columns, H
        )  # fmt: skip
        product.add_transposed_times(
            d_gates, at, others, -sequences * width, width, max(begin, sequences), end, begin < sequences,
            flat, to, columns, H,
        )  # fmt: skip
    else:
        last = rows - sequences
        product.add_transposed_times(
            d_gates, at, others, sequences * width + H, width, begin, min(end, last), False,
            flat, to, columns, H,
        )  # fmt: skip
        product.add_transposed_times(
            d_gates, at, initial, (2 * sequences - rows) * H, H, max(begin, last), end, begin < last,
            flat, to, columns, H,
        )  # fmt: skip


@compiled
def _blocks_of(wide: int, G: int, H: int) -> Any:
    """Where the gradient of u stands in `wide` columns of a step's: column, first gate row, last + 1."""
    if wide > G:  # GRU: the candidate's recurrent part is scaled by the reset gate, so it stands apart
        return ((0, 0, G - H), (wide - H, G - H, G))
    return ((0, 0, G), (G, G, G))


@compiled
def _rows_of_part(rows: int, columns: int, depth: int) -> int:
    """Return over how many of `depth` rows a part of a product [rows, columns] is summed.

    Where the result is small the rows summed are cut, and the parts are to be added; else the columns should
    be, which changes no bit. Which it is depends on the sizes alone.
    """
    size = max(FEWEST, -(-depth // PARTS)) if rows * columns < SMALL else max(1, depth)
    return size + -size % 8


@compiled
def _parts_of(rows: int, columns: int, H: int) -> int:
    """In how many parts of the rows the gradient of so many gates is summed."""
    each = _rows_of_part(H, columns, rows)
    return max(1, (rows + each - 1) // each) if columns else 0


@compiled
def _cuts_of_weight(step_columns: int, sums: Any, rows: int, helpers: int) -> Any:
    """The tasks that sum weight gradients: direction, part, first row, last + 1, column, its place, columns.

    And how many parts they need; of these, those in which nobody will sum a block become zeros.
    """
    directions, G, H = sums.shape[1:]
    blocks = _blocks_of(step_columns, G, H)
    found = np.empty((directions * (sums.shape[0] * len(blocks) + G), 7), np.int64)
    n, most = 0, 0
    for _, begin, end in blocks:
        most = max(most, _parts_of(rows, end - begin, H)) if len(sums) else 0
    for at, begin, end in blocks:
        parts = _parts_of(rows, end - begin, H) if len(sums) else 0
        each = _rows_of_part(H, end - begin, rows)
        wide = end - begin if parts > 1 else product.columns_of_part(end - begin, rows * H, helpers)
        for d in range(directions):
            for part in range(parts):
                for column in range(begin, end, wide):
                    last = min(rows, (part + 1) * each)
                    place, columns = at + column - begin, min(wide, end - column)
                    # Element by element: to assign a row takes Numba two seconds to compile.
                    one = d, part, part * each, last, place, column, columns
                    for k in range(7):
                        found[n, k] = one[k]
                    n += 1
        sums[parts:most, :, begin:end] = 0
    return found[:n], most


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
def all_sums(
    d_gates: Any, hidden: Any, first: Any, lengths: Any, h_0: Any, token: Any, d_table: Any, sums: Any,
    states: Any, crew: Any, helpers: int,
) -> int:  # fmt: skip
    """Sum by token into d_table [U, directions·G], and the weight's gradient into the first of sums.

    sums [parts, directions, G, H], or [0, …] where that is there already; states [directions, N, ≥ H] is
    room for the states before each row, or [0, …] where all sequences are equally long.
    """
    failed = 0
    if states.shape[0] > 0:
        numbers = np.empty(states.shape[:2], np.int32)
        for d in range(states.shape[0]):
            kernels.rows_before(d, first, lengths, numbers[d])
        parts = helpers + 1
        failed = share(_before_part, (hidden, numbers, h_0, states, parts), crew, helpers, parts)
    by_token, starts = _rows_by_token(token[: len(token) if len(d_table) else 0], len(d_table))
    tokens = _cuts_of_tokens(starts, min(len(d_table), TASKS * (helpers + 1) if helpers else 1))
    cuts, most = _cuts_of_weight(d_gates.shape[1] // h_0.shape[0], sums, len(hidden), helpers)
    given = d_gates, hidden, states, h_0, by_token, starts, tokens, d_table, sums, cuts
    failed |= share(_sum_part, given, crew, helpers, len(tokens) - 1 + len(cuts))
    for part in range(1, most):
        add_row(sums, part * sums[0].size, sums, 0, sums[0].size)
    return int(failed)


@compiled
def sum_groups(of_groups: Any, out: Any) -> None:
    """Sum each group's part [groups, …] into out [1, …], in the order of the groups."""
    out[:] = 0
    for group in range(of_groups.shape[0]):
        add_row(of_groups, group * out.size, out, 0, out.size)


@compiled
def sum_bias(of_bias: Any, d_bias: Any, H: int) -> None:
    """Sum each group's part [groups, directions, K·H] of u's gradient into d_bias [directions, G]."""
    directions, G = d_bias.shape
    wide = of_bias.shape[2]
    d_bias[:] = 0
    for group in range(of_bias.shape[0]):
        for d in range(directions):
            for at, begin, end in _blocks_of(wide, G, H):
                place = (group * directions + d) * wide + at
                add_row(of_bias, place, d_bias, d * G + begin, end - begin)


@compiled
def _added_part(parts: Any, out: Any, k: int) -> None:
    number, directions, H, G = parts.shape
    each = (H + STRIP - 1) // STRIP
    d, begin = k // each, k % each * STRIP
    end = min(H, begin + STRIP)
    sums, first = parts[0, d : d + 1], begin
    if number > 1:
        sums, first = np.empty((1, end - begin, G), parts.dtype), 0
        sums[:] = 0
        for part in range(number):
            for j in range(begin, end):
                add_row(parts, ((part * directions + d) * H + j) * G, sums, (j - begin) * G, G)
    transpose_rows(sums, out[d : d + 1], begin - first, first, first + end - begin)


@compiled
def all_added(parts: Any, out: Any, crew: Any, helpers: int) -> int:
    """Add up parts [parts, directions, H, G] of a weight's gradient into out [directions, G, H]."""
    tasks = parts.shape[1] * ((parts.shape[2] + STRIP - 1) // STRIP)
    return int(share(_added_part, (parts, out), crew, helpers, tasks))
