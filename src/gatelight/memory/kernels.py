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
from gatelight.memory.stepping import advance, retreat
from gatelight.memory.tiles import multiply

GROUP = 8


@compiled
def forward(
    cell: Any,
    d: int,
    begin: int,
    end: int,
    table: Any,  # [U, directions·G] input products with bias, of the distinct inputs
    token: Any,  # [N] int32 row of `table` for each packed row
    first: Any,  # [T] first packed row of each step
    lengths: Any,  # [B] falling
    weight: Any,  # [directions, H, G] recurrent weight, transposed
    bias: Any,  # [directions, G]
    h_0: Any,  # [directions, B, H]
    c_0: Any,  # [directions, B, H], or [directions, B, 0] for cells without a cell state
    keep: bool,  # whether the next two have a row for each packed row, else GROUP rows to write over
    saved: Any,  # [N, directions·S·H] out: gates
    cells: Any,  # [N, directions·H] out: cell states
    hidden: Any,  # [N, directions·H] out
    h_n: Any,  # [directions, B, H] out
    c_n: Any,  # as c_0, out
) -> None:
    """Run sequences begin to end (packed positions) in direction d; write only their rows of each output."""
    H = h_0.shape[2]
    C = c_0.shape[2]
    G = bias.shape[1]
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
            multiply(h, 0, H, 1, weight, d * H * G, G, bias, d * G, 0, u, 0, G, rows, H, G)
            row = first[t] + start
            kept = row if keep else 0
            advance(cell, d, d, n, table, token, row, u, h, c, 0, saved, cells, kept, hidden, row)
        for k in range(size):
            h_n[d, start + k] = h[k]
            c_n[d, start + k] = c[k]


@compiled
def backward(
    cell: Any,
    d: int,
    begin: int,
    end: int,
    first: Any,  # these, and all up to `hidden`, as `forward` had or left them
    lengths: Any,
    weight: Any,  # [directions, G, H] recurrent weight, not transposed
    h_0: Any,
    c_0: Any,
    saved: Any,
    cells: Any,
    hidden: Any,
    d_hidden: Any,  # [N, directions·H] gradient of the outputs
    d_h_n: Any,  # [directions, B, H] gradient of the last states
    d_c_n: Any,  # as c_0
    d_gates: Any,  # [N, directions·K·H] out: of the input products, then what else u's gradient has
    d_h_0: Any,  # [directions, B, H] out
    d_c_0: Any,  # as c_0, out
    d_peephole: Any,  # [groups, directions, 3, H] out, peephole cell: each group's sum; else [·, ·, 3, 0]
) -> None:
    """Run sequences begin to end (packed positions) back; write only their rows of each output."""
    H = d_h_0.shape[2]
    C = c_0.shape[2]
    G = weight.shape[1]
    K = d_gates.shape[1] // c_0.shape[0]
    d_h = np.zeros((GROUP, H), d_gates.dtype)
    d_c = np.zeros((GROUP, C), d_gates.dtype)
    for start in range(begin, end, GROUP):
        size = min(GROUP, end - start)
        for k in range(size):
            d_h[k] = d_h_n[d, start + k]
            d_c[k] = d_c_n[d, start + k]
        sums = d_peephole[start // GROUP, d]
        sums[:] = 0
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
            retreat(
                cell, d, n, row, known, before, start, h_0, c_0, saved, cells, hidden,
                d_hidden, d_h, d_c, d_gates, sums,
            )  # fmt: skip
            # The rows of a group at a step lie one after the other.
            at = row * d_gates.shape[1] + d * K
            same = G - H if K > G else G  # GRU: its candidate's recurrent part stands apart
            multiply(d_gates, at, d_gates.shape[1], 1, weight, d * G * H, H, d_h, 0, H, d_h, 0, H, n, same, H)
            if K > G:
                multiply(
                    d_gates, at + K - H, d_gates.shape[1], 1, weight, (d * G + same) * H, H,
                    d_h, 0, H, d_h, 0, H, n, H, H,
                )  # fmt: skip
        for k in range(size):
            d_h_0[d, start + k] = d_h[k]
            d_c_0[d, start + k] = d_c[k]


@compiled
def sum_by_token(d_gates: Any, begin: int, end: int, token: Any, d_table: Any, at: int) -> None:
    """Sum columns begin to end of d_gates [N, ·] into the token rows of d_table [U, ·], from `at` on."""
    width = end - begin
    d_table[:, at : at + width] = 0
    for row in range(token.shape[0]):
        source = d_gates[row, begin:end]
        target = d_table[token[row], at : at + width]
        for j in range(width):
            target[j] += source[j]


@compiled
def rows_before(d: int, first: Any, lengths: Any, before: Any) -> None:
    """Fill before [N] with the packed row of the step before each row's, or -1 - sequence at its first."""
    for t in range(first.shape[0]):
        k = 0
        while k < lengths.shape[0] and lengths[k] > t:
            at_start = t == 0 if d == 0 else t + 1 == lengths[k]
            before[first[t] + k] = -1 - k if at_start else first[t - 1 + 2 * d] + k
            k += 1
