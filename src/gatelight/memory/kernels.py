"""The recurrence over packed rows, forward and backward, compiled by Numba; one loop serves every cell.

Knows arrays only: no tensors, no modules. Arrays are C-contiguous, of one dtype (float32 or float64).
Sequences stand in packed order (falling length) and are taken in groups of GROUP, which stay together
from their first step to their last: states and products of a group live in the first-level cache, and
no group needs another, so groups may run on any thread. `d` is the direction: 0 forward, 1 backward
over the same rows; an array with one block of columns for each direction is read at its d-th block.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.memory.crew import even_part, share
from gatelight.memory.rows import add_row, fetch
from gatelight.memory.stepping import advance, retreat
from gatelight.memory.tiles import multiply

GROUP = 8


NEAR = 1 << 13
"""Elements of a table that stays in the first-level cache."""

COLUMNS = 16
"""Threads that share the product of one step take a multiple of so many columns each."""

SPREAD = 1 << 17
"""Elements of a recurrent weight from which on that is worth it: it is read anew at every step."""


@compiled
def sequences_of(k: int, directions: int, sequences: int, size: int, threads: int) -> tuple[int, int, int]:
    """Return direction, first sequence and last + 1 of task k, of parts of `size` sequences.

    Neighbours share cache lines, and threads would fight for them if they took them at the same time.
    """
    parts = (sequences + size - 1) // size
    apart = (parts + threads - 1) // threads
    left, first = k // directions, 0
    while left >= (parts - first + apart - 1) // apart:
        left -= (parts - first + apart - 1) // apart
        first += 1
    begin = (first + left * apart) * size
    return k % directions, begin, min(sequences, begin + size)


@compiled
def _columns(
    a: Any, a_at: int, a_row: int, b: Any, b_at: int, b_k: int, start: Any, start_at: int, start_row: int,
    out: Any, out_at: int, out_row: int, rows: int, depth: int, columns: int, wide: int, k: int,
) -> None:  # fmt: skip
    """The k-th part, `wide` columns, of a product as `multiply` takes it; for each its sum is the same."""
    at = k * wide
    multiply(
        a, a_at, a_row, 1, b, b_at + at, b_k, start, start_at + at, start_row, out, out_at + at, out_row,
        rows, depth, min(wide, columns - at),
    )  # fmt: skip


@compiled
def forward(
    cell: Any,
    table: Any,  # [U, directions·G] input products with bias, of the distinct inputs
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
    threads: int,  # by which tasks are taken
    crew: Any,
    helpers: int,  # threads that may take part in each step's product; 0 where they have other sequences
    task: int,
) -> None:
    """Run a task: some sequences in one direction. Only their rows of each output are written."""
    d, begin, end = sequences_of(task, h_0.shape[0], lengths.shape[0], each, threads)
    if not keep:
        saved = np.empty((GROUP, saved.shape[1]), saved.dtype)
        cells = np.empty((GROUP, cells.shape[1]), cells.dtype)
    H = h_0.shape[2]
    C = c_0.shape[2]
    G, W = bias.shape[1], weight.shape[2]
    S = saved.shape[1] // h_0.shape[0]
    apart = lengths.shape[0] > GROUP  # else the rows of one step follow those of another
    large = table.shape[0] * table.shape[1] > NEAR
    h = np.zeros((GROUP, H), table.dtype)
    c = np.zeros((GROUP, C), table.dtype)
    u = np.empty((GROUP, G), table.dtype)
    for start in range(begin, end, GROUP):
        size = min(GROUP, end - start)
        for k in range(size):
            h[k] = h_0[d, start + k]
            c[k] = c_0[d, start + k]
        steps = lengths[start]
        n = size if d == 0 else 0
        for s in range(steps):
            t = s if d == 0 else steps - 1 - s
            while n > 0 and d == 0 and lengths[start + n - 1] <= t:
                n -= 1
            while n < size and d == 1 and lengths[start + n] > t:
                n += 1
            rows = 8 if n > 4 else (4 if n == 3 else n)  # whole tiles; what they add to u is not read
            if helpers > 0:
                wide = even_part(G, helpers, COLUMNS)
                product = h, 0, H, weight, d * H * W, W, bias, d * G, 0, u, 0, G, rows, H, G, wide
                share(_columns, product, crew, helpers, (G + wide - 1) // wide)
            else:
                multiply(h, 0, H, 1, weight, d * H * W, W, bias, d * G, 0, u, 0, G, rows, H, G)
            row = first[t] + start
            kept = row if keep else 0
            if apart and s + 1 < steps:
                ahead = first[t + 1 - 2 * d] + start
                for k in range(ahead, min(ahead + n, hidden.shape[0])):  # the token is read, not only fetched
                    if large:
                        fetch(table, token[k] * table.shape[1] + d * G, G)
                    fetch(hidden, k * hidden.shape[1] + d * H, H)
                    if keep:
                        fetch(saved, k * saved.shape[1] + d * S, S)
                        fetch(cells, k * cells.shape[1] + d * C, C)
            advance(cell, d, d, n, table, token, row, u, h, c, 0, saved, cells, kept, hidden, row)
        for k in range(size):
            h_n[d, start + k] = h[k]
            c_n[d, start + k] = c[k]


@compiled
def of_state(
    h: Any, at: int, width: int, d_gates: Any, gates_at: int, wide: int, d_weight: Any, total: int,
    n: int, H: int, G: int, same: int, K: int,
) -> None:  # fmt: skip
    """Add to d_weight [H, G] at `total` what n states before a step, from `at` on, have in its gradient."""
    multiply(h, at, 1, width, d_gates, gates_at, wide, d_weight, total, G, d_weight, total, G, H, n, same)
    if K > G:
        multiply(
            h, at, 1, width, d_gates, gates_at + K - H, wide,
            d_weight, total + same, G, d_weight, total + same, G, H, n, H,
        )  # fmt: skip


@compiled
def backward(
    cell: Any,
    first: Any,  # these, and all up to `hidden`, as `forward` had or left them
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
    token: Any,  # [N] int32, read where d_table has rows
    keep: bool,  # whether the next has a row for each packed row, else it is not kept
    d_gates: Any,  # [N, directions·K·H] out: of the input products, then what else u's gradient has
    d_h_0: Any,  # [directions, B, H] out
    d_c_0: Any,  # as c_0, out
    # Sums of each group by itself, so that no thread changes an order. Each may be empty, [·, ·, 0] or so.
    d_table: Any,  # [groups, U, directions·G] out: by row of the table
    d_weight: Any,  # [groups, directions, H, G] out, transposed
    d_bias: Any,  # [groups, directions, K·H] out: of d_gates
    d_peephole: Any,  # [groups, directions, 3, H] out, peephole cell
    each: int,  # these, too, are as in `forward`
    threads: int,
    crew: Any,
    helpers: int,
    task: int,
) -> None:
    """Run a task back. Only the rows and groups of its sequences are written in each output."""
    d, begin, end = sequences_of(task, h_0.shape[0], lengths.shape[0], each, threads)
    if not keep:
        d_gates = np.empty((GROUP, d_gates.shape[1]), d_gates.dtype)
    H = d_h_0.shape[2]
    C = c_0.shape[2]
    G, W = weight.shape[1:]
    K = d_gates.shape[1] // c_0.shape[0]
    S = saved.shape[1] // h_0.shape[0]
    wide, width = d_gates.shape[1], hidden.shape[1]
    same = G - H if K > G else G  # GRU: its candidate's recurrent part stands apart
    apart = lengths.shape[0] > GROUP
    d_h = np.zeros((GROUP, H), d_gates.dtype)
    d_c = np.zeros((GROUP, C), d_gates.dtype)
    for start in range(begin, end, GROUP):
        size = min(GROUP, end - start)
        for k in range(size):
            d_h[k] = d_h_n[d, start + k]
            d_c[k] = d_c_n[d, start + k]
        group = start // GROUP
        by_token, sums = d_table[group], d_peephole[group, d]
        by_token[:, d * G : (d + 1) * G] = 0
        sums[:] = 0
        total = (group * c_0.shape[0] + d) * H * G  # where the group's d_weight stands
        d_weight[group, d] = 0
        d_bias[group, d] = 0
        steps = lengths[start]
        n = 0 if d == 0 else size
        for s in range(steps):
            t = steps - 1 - s if d == 0 else s
            while n < size and d == 0 and lengths[start + n] > t:
                n += 1
            while n > 0 and d == 1 and lengths[start + n - 1] <= t:
                n -= 1
            row = first[t] + start
            known = n if d == 0 and t > 0 else 0
            while d == 1 and known < n and lengths[start + known] > t + 1:
                known += 1
            before = first[t - 1 + 2 * d] + start if known else row
            if apart and s + 1 < steps:
                after = first[t - 1 + 2 * d] + start
                for k in range(after, after + n):
                    fetch(saved, k * saved.shape[1] + d * S, S)
                    fetch(d_hidden, k * width + d * H, H)
                    if keep:
                        fetch(d_gates, k * wide + d * K, K)
                if s + 2 < steps:
                    after = first[t - 2 + 4 * d] + start
                    for k in range(after, after + n):
                        fetch(hidden, k * width + d * H, H)
                        fetch(cells, k * cells.shape[1] + d * C, C)
            retreat(
                cell, d, n, row, known, before, start, h_0, c_0, saved, cells, hidden,
                d_hidden, d_h, d_c, d_gates, row if keep else 0, token, by_token, sums,
            )  # fmt: skip
            # The rows of a group at a step lie one after the other.
            at = (row if keep else 0) * wide + d * K
            if helpers > 0:
                narrow = even_part(H, helpers, COLUMNS)
                product = d_gates, at, wide, weight, d * G * W, W, d_h, 0, H, d_h, 0, H, n, same, H, narrow
                share(_columns, product, crew, helpers, (H + narrow - 1) // narrow)
            else:
                multiply(d_gates, at, wide, 1, weight, d * G * W, W, d_h, 0, H, d_h, 0, H, n, same, H)
            if K > G:
                multiply(
                    d_gates, at + K - H, wide, 1, weight, (d * G + same) * W, W,
                    d_h, 0, H, d_h, 0, H, n, H, H,
                )  # fmt: skip
            if d_bias.shape[2] > 0:
                for k in range(n):
                    add_row(d_gates, at + k * wide, d_bias, (group * c_0.shape[0] + d) * K, K)
            if d_weight.shape[2] == 0:
                continue
            if known > 0:
                of_state(
                    hidden, before * width + d * H, width, d_gates, at, wide, d_weight, total,
                    known, H, G, same, K,
                )  # fmt: skip
            if known < n:
                of_state(
                    h_0, (d * h_0.shape[1] + start + known) * H, H, d_gates, at + known * wide, wide,
                    d_weight, total, n - known, H, G, same, K,
                )  # fmt: skip
        for k in range(size):
            d_h_0[d, start + k] = d_h[k]
            d_c_0[d, start + k] = d_c[k]


@compiled
def rows_before(d: int, first: Any, lengths: Any, before: Any) -> None:
    """Fill before [N] with the packed row of the step before each row's, or -1 - sequence at its first."""
    for t in range(first.shape[0]):
        k = 0
        while k < lengths.shape[0] and lengths[k] > t:
            at_start = t == 0 if d == 0 else t + 1 == lengths[k]
            before[first[t] + k] = -1 - k if at_start else first[t - 1 + 2 * d] + k
            k += 1
