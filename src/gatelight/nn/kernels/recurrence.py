"""The recurrence over packed rows and its backward pass, compiled by Numba; one loop serves every cell.

Knows arrays only. They are C-contiguous, of one dtype (float32 or float64). Sequences stand in packed order
(falling length) and are taken in groups of GROUP, which stay together from their first step to their last:
states and products of a group live in the first-level cache, and no group needs another, so groups may run on
any thread. `d` is the direction: 0 forward, 1 backward over the same rows; an array with one block of columns
for each direction is read at its d-th block. Legend: K blocks of H of a step's gradient, S of what is saved.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.nn import threads
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.buffers import LINE
from gatelight.nn.kernels.cells import STEPS, step_backward, step_forward
from gatelight.nn.kernels.gemm import (
    add_transposed_times,
    chunk_of,
    columns_of_part,
    multiply_ahead,
    panel_columns,
)
from gatelight.nn.kernels.parallel import parallel_for
from gatelight.nn.kernels.simd import NOTED, add_row, copy_row, fetch

Array = np.ndarray[Any, np.dtype[Any]]

GROUP = 8
"""Sequences that are computed together: as many as the tallest tile of a product has rows."""

NEAR = 1 << 13
"""Elements of a table that stays in the first-level cache."""

TASKS = 4
"""Tasks of each thread that sum the gradient of a table by token."""

AT_ONCE = 1 << 10
"""Bytes that may be fetched at a time without waiting for each other."""

_NUMBERS = np.arange(1 << 12, dtype=np.int32)


def cell_weights(name: str, peephole: Array | None, dtype: Any) -> Any:
    """Return what a step of the cell reads itself, as the NamedTuple by which kernels know the cell."""
    return _no_weights(name, np.dtype(dtype)) if peephole is None else STEPS[name].weights(peephole)


@cache
def _no_weights(name: str, dtype: np.dtype[Any]) -> Any:
    return STEPS[name].weights(np.zeros((1, 1, 1), dtype))


def token_rows(token: Array | None, rows: int) -> Array:
    """Return the table row of each packed row, int32 [N], not to be written to."""
    if token is not None:
        return token
    return _NUMBERS[:rows] if rows <= len(_NUMBERS) else np.arange(rows, dtype=np.int32)


@compiled
def _tasks_of(directions: int, lengths: Any, helpers: int) -> tuple[int, int]:
    """Return how many sequences a task takes, whole groups, and how many tasks there are."""
    sequences = len(lengths)
    size = max(1, sequences)
    if helpers > 0:
        groups = (sequences + GROUP - 1) // GROUP
        size = GROUP * max(1, groups // (4 * (helpers + 1)))
    return size, directions * ((sequences + size - 1) // size)


@compiled
def _longer(lengths: Any, start: int, size: int, t: int, n: int) -> int:
    """Return how many of `size` sequences from `start` on go beyond step t; near n, where it is looked for.

    Lengths fall, so these are the first.
    """
    while n > 0 and lengths[start + n - 1] <= t:
        n -= 1
    while n < size and lengths[start + n] > t:
        n += 1
    return n


@compiled
def _room_for(columns: int, depth: int, width: int, like: Any) -> Any:
    """Return a list for the cache lines of a group's rows of `columns` elements, in at most six arrays.

    In each of them a row may begin and end within a line. The list is empty where a product [GROUP, width]
    over `depth` is too short to fetch so many meanwhile.
    """
    most = GROUP * (columns * like.itemsize // LINE + 2 * 6)
    return np.empty(most + NOTED if depth * (width // panel_columns(like)) >= most else 0, np.int64)


@compiled
def _forward(
    cell: Any,
    table: Any,  # [U, directions·X], X ≥ G: input projections with bias, of the distinct inputs
    token: Any,  # [N] int32 row of `table` for each packed row
    first: Any,  # [T] first packed row of each step
    lengths: Any,  # [B] falling
    weight: Any,  # [directions, H, ≥ G] recurrent weight, transposed
    bias: Any,  # [directions, G]
    h_0: Any,  # [directions, B, H]
    c_0: Any,  # [directions, B, H], or [directions, B, 0] for cells without a cell state
    keep: bool,  # whether the next two have a row for each packed row, else nothing is kept
    saved: Any,  # [N, directions·S·H] out: gates
    cells: Any,  # [N, directions·H] out: cell states
    hidden: Any,  # [N, directions·H] out
    h_n: Any,  # [directions, B, H] out
    c_n: Any,  # as c_0, out
    each: int,  # sequences of a task
    task: int,
) -> None:
    """Run a task: some sequences in one direction. Only their rows of each output are written."""
    directions, sequences, H = h_0.shape
    C, d = c_0.shape[2], task % directions
    begin = task // directions * each
    G, W, X = bias.shape[1], weight.shape[2], table.shape[1] // directions
    S = saved.shape[1] // directions
    apart = sequences > GROUP  # else the rows of one step follow those of another
    large = table.size > NEAR
    h = np.empty((GROUP, H), table.dtype)
    c = np.empty((GROUP, C), table.dtype)
    u = np.empty((GROUP, G), table.dtype)
    ahead = _room_for(G + S + H + C, H, G, table)
    for start in range(begin, min(sequences, begin + each), GROUP):
        size = min(GROUP, min(sequences, begin + each) - start)
        copy_row(h_0, (d * sequences + start) * H, h, 0, size * H)
        copy_row(c_0, (d * sequences + start) * C, c, 0, size * C)
        steps = lengths[start]
        n = size if d == 0 else 0
        for s in range(steps):
            t = s if d == 0 else steps - 1 - s
            n = _longer(lengths, start, size, t, n)
            count = 0
            if (apart or large) and s + 1 < steps:
                after = first[t + 1 - 2 * d] + start
                some = min(n, hidden.shape[0] - after)
                for k in range(after, after + some if large else after):
                    count = fetch(table, token[k], 1, d * X, X, ahead, count)
                if apart:
                    count = fetch(hidden, after, some, d * H, H, ahead, count)
                if apart and keep:
                    count = fetch(cells, after, some, d * C, C, ahead, count)
                    if saved.ctypes.data != table.ctypes.data:
                        count = fetch(saved, after, some, d * S, S, ahead, count)
            multiply_ahead(
                h, 0, H, 1, weight, d * H * W, W, bias, d * G, 0, u, 0, G, n, H, G, ahead, count - 1
            )  # fmt: skip
            row = first[t] + start
            step_forward(cell, d, d, n, table, token, row, u, h, c, 0, saved, cells, hidden, row)
        for k in range(size):
            copy_row(h, k * H, h_n, (d * sequences + start + k) * H, H)
            copy_row(c, k * C, c_n, (d * sequences + start + k) * C, C)


@compiled
def _all_forward(
    cell: Any, table: Any, token: Any, first: Any, lengths: Any, weight: Any, bias: Any, h_0: Any, c_0: Any,
    keep: bool, saved: Any, cells: Any, hidden: Any, h_n: Any, c_n: Any, pool: Any, helpers: int,
) -> int:  # fmt: skip
    size, tasks = _tasks_of(h_0.shape[0], lengths, helpers)
    given = (
        cell, table, token, first, lengths, weight, bias, h_0, c_0, keep, saved, cells, hidden, h_n, c_n,
        size,
    )  # fmt: skip
    return int(parallel_for(_forward, given, pool, helpers, tasks))


def recurrence_forward(
    cell: str, table: Array, token: Array | None, first: Array, lengths: Array, weight: Array, bias: Array,
    peephole: Array | None, h_0: Array, c_0: Array, keep: bool, overwrite: bool = False,
) -> tuple[Array, Array, Array, Array, Array]:  # fmt: skip
    """Return hidden, h_n, c_n and, with `keep`, gates and cell states, of one layer.

    weight [directions, H, ≥ G] is the recurrent weight transposed; first [T] and lengths [B] are a packing's;
    c_0 [directions, B, 0] for cells without a cell state. With `overwrite` the table is lost: gates are
    written where the input projections were read that they are made of, which spares memory both ways.
    """
    rows = len(table) if token is None else len(token)
    directions, _, hidden_size = h_0.shape
    kept, width = rows if keep else 0, directions * hidden_size
    shapes = (rows, width), (kept, len(EQUATIONS[cell].saved) * width), (kept, directions * c_0.shape[2])
    written_over = overwrite and keep and token is None and shapes[1] == table.shape
    hidden, gates, cells = (
        table if written_over and k == 1 else buffers.empty(shape, table.dtype)
        for k, shape in enumerate(shapes)
    )
    h_n, c_n = np.empty(h_0.shape, table.dtype), np.empty(c_0.shape, table.dtype)
    given = (
        cell_weights(cell, peephole, table.dtype), table, token_rows(token, rows), first, lengths, weight,
        bias, h_0, c_0, keep, gates, cells, hidden, h_n, c_n,
    )  # fmt: skip
    threads.share(_all_forward, given, rows * weight.size)
    return hidden, h_n, c_n, gates, cells


@compiled
def _backward(
    cell: Any,
    first: Any,  # these, and all up to `hidden`, as `_forward` had or left them
    lengths: Any,
    weight: Any,  # [directions, G, ≥ H] recurrent weight, not transposed
    h_0: Any,
    c_0: Any,
    saved: Any,
    cells: Any,
    hidden: Any,
    d_hidden: Any,  # [N, directions·H] gradient of the outputs
    d_h_n: Any,  # [directions, B, H] gradient of the last states
    d_c_n: Any,  # as c_0
    d_gates: Any,  # [N, directions·K·H] out: of the input projections, then what else u's gradient has
    d_h_0: Any,  # [directions, B, H] out
    d_c_0: Any,  # as c_0, out
    d_peephole: Any,  # [groups, directions, 3, H] out, peephole cell: of each group, so that no thread
    each: int,  # changes an order
    task: int,
) -> None:
    """Run a task back. Only the rows and groups of its sequences are written in each output."""
    directions, sequences, H = h_0.shape
    C, d = c_0.shape[2], task % directions
    begin = task // directions * each
    G, W = weight.shape[1:]
    wide = d_gates.shape[1]
    K, S = wide // directions, saved.shape[1] // directions
    same = G - H if K > G else G  # GRU: its candidate's recurrent part stands apart
    zeros = np.zeros(H, d_gates.dtype)
    d_h = np.empty((GROUP, H), d_gates.dtype)
    d_c = np.empty((GROUP, C), d_gates.dtype)
    ahead = _room_for(S + K + H + H + C, same, H, d_gates)
    for start in range(begin, min(sequences, begin + each), GROUP):
        size = min(GROUP, min(sequences, begin + each) - start)
        of_h, of_c = (d * sequences + start) * H, (d * sequences + start) * C
        copy_row(d_h_n, of_h, d_h, 0, size * H)
        copy_row(d_c_n, of_c, d_c, 0, size * C)
        d_peephole[start // GROUP, d] = 0
        of_cell = 3 * (start // GROUP * directions + d)
        steps = lengths[start]
        n = 0 if d == 0 else size
        for s in range(steps):
            t = steps - 1 - s if d == 0 else s
            n = _longer(lengths, start, size, t, n)
            row = first[t] + start
            # Of the n sequences at step t, how many have a step before it in this direction.
            known = _longer(lengths, start, n, t + 1, 0) if d == 1 else n if t > 0 else 0
            before = first[t - 1 + 2 * d] + start if known else row
            count = 0
            if sequences > GROUP and s + 1 < steps:
                after = first[t - 1 + 2 * d] + start
                count = fetch(saved, after, n, d * S, S, ahead, count)
                count = fetch(d_hidden, after, n, d * H, H, ahead, count)
                if d_gates.ctypes.data != saved.ctypes.data:
                    count = fetch(d_gates, after, n, d * K, K, ahead, count)
                if s + 2 < steps:
                    after = first[t - 2 + 4 * d] + start
                    if C == 0:
                        count = fetch(hidden, after, n, d * H, H, ahead, count)
                    count = fetch(cells, after, n, d * C, C, ahead, count)
            step_backward(
                cell, d, n, row, known, before, start, h_0, c_0, saved, cells, hidden, d_hidden, d_h, d_c,
                d_gates, d_peephole, of_cell,
            )  # fmt: skip
            at, of_d = row * wide + d * K, d * G * W
            # What was just written in pieces can be read as a register only once it has reached the cache.
            if K > G:
                multiply_ahead(
                    d_gates, at, wide, 1, weight, of_d, W, d_h, 0, H, d_h, 0, H, n, same, H, ahead, count - 1
                )  # fmt: skip
                multiply_ahead(
                    d_gates, at + K - H, wide, 1, weight, of_d + same * W, W, d_h, 0, H, d_h, 0, H, n, H, H,
                    ahead, -1,
                )  # fmt: skip
            else:
                multiply_ahead(
                    d_gates, at, wide, 1, weight, of_d, W, zeros, 0, 0, d_h, 0, H, n, G, H, ahead, count - 1
                )  # fmt: skip
        copy_row(d_h, 0, d_h_0, of_h, size * H)
        copy_row(d_c, 0, d_c_0, of_c, size * C)


@compiled
def _all_backward(
    cell: Any, first: Any, lengths: Any, weight: Any, h_0: Any, c_0: Any, saved: Any, cells: Any, hidden: Any,
    d_hidden: Any, d_h_n: Any, d_c_n: Any, d_gates: Any, d_h_0: Any, d_c_0: Any, of_peephole: Any,
    d_peephole: Any, pool: Any, helpers: int,
) -> int:  # fmt: skip
    size, tasks = _tasks_of(h_0.shape[0], lengths, helpers)
    given = (
        cell, first, lengths, weight, h_0, c_0, saved, cells, hidden, d_hidden, d_h_n, d_c_n, d_gates, d_h_0,
        d_c_0, of_peephole, size,
    )  # fmt: skip
    failed = parallel_for(_backward, given, pool, helpers, tasks)
    d_peephole[:] = 0
    for group in range(of_peephole.shape[0]):
        add_row(of_peephole, group * d_peephole.size, d_peephole, 0, d_peephole.size)
    return int(failed)


@compiled
def _rows_before(d: int, first: Any, lengths: Any, before: Any) -> None:
    """Fill before [N] with the packed row of the step before each row's, or -1 - sequence at its first."""
    for t in range(first.shape[0]):
        k = 0
        while k < lengths.shape[0] and lengths[k] > t:
            at_start = t == 0 if d == 0 else t + 1 == lengths[k]
            before[first[t] + k] = -1 - k if at_start else first[t - 1 + 2 * d] + k
            k += 1


@compiled
def _copy_states(hidden: Any, numbers: Any, h_0: Any, states: Any, parts: int, k: int) -> None:
    """Put the state before each row in a row of its own: the product below reads it several times."""
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
    starts, rows = np.zeros(distinct + 1, np.int64), np.empty(len(token), np.int32)
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
def _sum_part(
    d_gates: Any, states: Any, by_token: Any, starts: Any, tokens: Any, d_table: Any, d_weight: Any,
    d_bias: Any, wide: int, k: int,
) -> None:  # fmt: skip
    """Sum by token, or so `wide` a part of the gates' columns of the weight's and the bias's gradient."""
    directions, G, H = d_weight.shape
    rows, K = len(d_gates), d_gates.shape[1] // directions
    if k < len(tokens) - 1:
        _sum_by_token(d_gates, directions, by_token, starts, d_table, tokens[k], tokens[k + 1])
        return
    k -= len(tokens) - 1
    d, begin = k % directions, k // directions * wide
    end, chunk, length = min(G, begin + wide), chunk_of(rows), states.shape[2]
    given, sums = states.reshape(-1), d_weight.reshape(-1)
    if d_bias.shape[1] > 0:
        d_bias[d, begin:end] = 0
    if rows == 0:
        d_weight[d, begin:end] = 0
    # GRU's candidate has a recurrent part of its own, which stands after all gates.
    border = G - H if K > G else G
    for first, last, shift in (
        (begin, min(end, border), 0), (max(begin, border), end, K - G)
    ):  # fmt: skip
        at, columns = d * K + first + shift, last - first
        for row in range(0, rows if columns > 0 else 0, chunk):
            to = min(rows, row + chunk)
            for one in range(row, to if d_bias.shape[1] > 0 else row):
                add_row(d_gates, one * d_gates.shape[1] + at, d_bias, d * G + first, columns)
            add_transposed_times(
                d_gates, at, given, d * rows * length, length, row, to, row > 0,
                sums, (d * G + first) * H, columns, H,
            )  # fmt: skip


@compiled
def _all_sums(
    d_gates: Any, hidden: Any, first: Any, lengths: Any, h_0: Any, token: Any, states: Any, d_table: Any,
    d_weight: Any, d_bias: Any, pool: Any, helpers: int,
) -> int:  # fmt: skip
    directions, G, H = d_weight.shape
    rows, parts = len(hidden), helpers + 1
    numbers = np.empty((directions, rows), np.int32)
    for d in range(directions):
        _rows_before(d, first, lengths, numbers[d])
    failed = parallel_for(_copy_states, (hidden, numbers, h_0, states, parts), pool, helpers, parts)
    by_token, starts = _rows_by_token(token[: len(token) if len(d_table) else 0], len(d_table))
    tokens = _cuts_of_tokens(starts, min(len(d_table), TASKS * parts if helpers else 1))
    wide = columns_of_part(G, rows * H, helpers)
    given = d_gates, states, by_token, starts, tokens, d_table, d_weight, d_bias, wide
    tasks = len(tokens) - 1 + directions * ((G + wide - 1) // wide)
    return int(failed | parallel_for(_sum_part, given, pool, helpers, tasks))


def recurrence_backward(
    cell: str, d_hidden: Array, d_h_n: Array, d_c_n: Array, distinct: int, token: Array | None, first: Array,
    lengths: Array, weight: Array, peephole: Array | None, h_0: Array, c_0: Array, hidden: Array,
    gates: Array, cells: Array, need_bias: bool, overwrite: bool = False,
) -> tuple[Array, Array, Array, Array, Array, Array]:  # fmt: skip
    """Return the gradients of table [U, ·], weight_hh, bias_hh, peephole, h_0 and c_0, unused ones empty.

    weight [directions, G, ≥ H]; the others as in `recurrence_forward`, d_x the gradient of its result x. With
    `overwrite` gates are lost. The gradient of a table without `token` is as steps leave it,
    [N, directions·K·H]: in each direction what GRU's has beside the table's follows it.
    """
    (directions, _, hidden_size), rows, dtype = h_0.shape, len(hidden), d_hidden.dtype
    size, groups = len(EQUATIONS[cell].gates) * hidden_size, -(-len(lengths) // GROUP)
    width = directions * STEPS[cell].blocks * hidden_size
    # Where each row is its own token there is nothing to sum.
    own = token is None
    # Each gradient is written where the gates that it is made of were read, if they may be lost.
    d_gates = gates if overwrite and gates.shape == (rows, width) else buffers.empty((rows, width), dtype)
    d_h_0, d_c_0 = np.empty(d_h_n.shape, dtype), np.empty(c_0.shape, dtype)
    of_peephole = np.empty((groups, directions, 3, hidden_size if peephole is not None else 0), dtype)
    d_peephole = np.empty(of_peephole.shape[1:], dtype)
    d_table = buffers.empty((0 if own else distinct, directions * size), dtype)
    d_weight = np.empty((directions, size, hidden_size), dtype)
    d_bias = np.empty((directions, size if need_bias else 0), dtype)
    work, lined = rows * weight.size, buffers.in_lines(weight)
    given = (
        cell_weights(cell, peephole, dtype), first, lengths, lined, h_0, c_0, gates, cells, hidden, d_hidden,
        d_h_n, d_c_n, d_gates, d_h_0, d_c_0, of_peephole, d_peephole,
    )  # fmt: skip
    threads.share(_all_backward, given, work)
    states, tokens = buffers.lined((directions, rows, hidden_size), dtype), token_rows(token, rows)
    sums = d_gates, hidden, first, lengths, h_0, tokens, states, d_table, d_weight, d_bias
    threads.share(_all_sums, sums, work)
    return d_gates if own else d_table, d_weight, d_bias, d_peephole, d_h_0, d_c_0
