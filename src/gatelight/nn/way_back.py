"""The recurrence of kernels.py back, with the sums of what its weights get; knows arrays only."""

from __future__ import annotations

from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.nn.kernels import GROUP, longer, preceded, room_for, sequences_of
from gatelight.nn.panels import CHUNK, into_panels, panel_size, panels, product_of_panels, some_columns
from gatelight.nn.rows import add_row, copy_row, fetch
from gatelight.nn.stepping import retreat


@compiled(forceinline=True)  # see `panels.some_columns`
def give_back(
    d_gates: Any, at: int, other: int, wide: int, weight: Any, w_at: int, W: int, apart: int, zeros: Any,
    d_h: Any, to: int, n: int, same: int, units: int, ahead: Any, last: int,
) -> None:  # fmt: skip
    """Write what n rows of d_gates give to the next `units` of d_h's rows, from d_h[to] on; GRU's is added.

    Rows of d_gates begin at `at`, the candidate's part of GRU's at `other`; the weight may stand in panels,
    `apart` elements from one to the next. `zeros` has as many as there are units, or more.
    """
    H = d_h.shape[1]
    # What was just written in pieces can be read as a register only once it has reached the cache.
    start, start_at, start_row = (d_h.reshape(-1), to, H) if other > at else (zeros, 0, 0)
    some_columns(
        d_gates, at, wide, weight, w_at, W, apart, start, start_at, start_row, d_h, to, H, n, same, 0, units,
        ahead, last,
    )  # fmt: skip
    if other > at:
        some_columns(
            d_gates, other, wide, weight, w_at + same * W, W, apart, d_h, to, H, d_h, to, H, n, H, 0, units,
            ahead, -1,
        )  # fmt: skip


@compiled
def backward(
    cell: Any,
    first: Any,  # these, and all up to `hidden`, as `forward` had or left them
    lengths: Any,
    weight: Any,  # [directions, G, ≥ H] recurrent weight, not transposed, or that in panels
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
    d_weight: Any,  # [parts, directions, H, G] out, transposed; each of as many groups
    d_bias: Any,  # [groups, directions, K·H] out: of d_gates
    d_peephole: Any,  # [groups, directions, 3, H] out, peephole cell
    together: int,  # groups of a part
    each: int,  # these, too, are as in `forward`; a task takes whole parts
    threads: int,
    task: int,
) -> None:
    """Run a task back. Only the rows and groups of its sequences are written in each output."""
    d, begin, end = sequences_of(task, h_0.shape[0], lengths.shape[0], each, threads)
    if not keep:
        d_gates = np.empty((GROUP, d_gates.shape[1]), d_gates.dtype)
    H = d_h_0.shape[2]
    C = c_0.shape[2]
    G, W = d_weight.shape[3], weight.shape[2]
    panel, of_d = panel_size(weight, G), d * weight.shape[1] * W
    K = d_gates.shape[1] // c_0.shape[0]
    S = saved.shape[1] // h_0.shape[0]
    wide, width = d_gates.shape[1], hidden.shape[1]
    same = G - H if K > G else G  # GRU: its candidate's recurrent part stands apart
    apart = lengths.shape[0] > GROUP
    in_parts = d_weight.shape[0] > 0
    states, gradients, others = panels(
        d_gates, H if in_parts else 0, same if in_parts else 0, H if in_parts and K > G else 0
    )
    weights, nothing = d_weight.reshape(-1), np.zeros(G, d_gates.dtype)
    so_far, so_far_at, so_far_row = nothing, 0, 0
    d_h = np.empty((GROUP, H), d_gates.dtype)
    d_c = np.empty((GROUP, C), d_gates.dtype)
    ahead = room_for(S + K + H + H + C, same, H, d_gates)
    for start in range(begin, end, GROUP):
        size = min(GROUP, end - start)
        of_h, of_c = (d * h_0.shape[1] + start) * H, (d * h_0.shape[1] + start) * C
        copy_row(d_h_n, of_h, d_h, 0, size * H)
        copy_row(d_c_n, of_c, d_c, 0, size * C)
        group = start // GROUP
        by_token, of_cell = d_table[group], 3 * (group * c_0.shape[0] + d)
        by_token[:, d * G : (d + 1) * G] = 0
        d_peephole[group, d] = 0
        part, filled = group // together, 0
        total = (part * c_0.shape[0] + d) * H * G  # where the group's d_weight stands
        steps = lengths[start]
        if in_parts and group % together == 0:
            so_far, so_far_at, so_far_row = nothing, 0, 0
            if steps == 0:
                d_weight[part, d] = 0
        d_bias[group, d] = 0
        n = 0 if d == 0 else size
        for s in range(steps):
            t = steps - 1 - s if d == 0 else s
            n = longer(lengths, start, size, t, n)
            row = first[t] + start
            known = preceded(d, lengths, start, n, t)
            before = first[t - 1 + 2 * d] + start if known else row
            count = 0
            if apart and s + 1 < steps:
                after = first[t - 1 + 2 * d] + start
                count = fetch(saved, after, n, d * S, S, ahead, count)
                count = fetch(d_hidden, after, n, d * H, H, ahead, count)
                if keep and d_gates.ctypes.data != saved.ctypes.data:
                    count = fetch(d_gates, after, n, d * K, K, ahead, count)
                if s + 2 < steps:
                    after = first[t - 2 + 4 * d] + start
                    if C == 0 or in_parts:
                        count = fetch(hidden, after, n, d * H, H, ahead, count)
                    count = fetch(cells, after, n, d * C, C, ahead, count)
            retreat(
                cell, d, n, row, known, before, start, h_0, c_0, saved, cells, hidden,
                d_hidden, d_h, d_c, 0, d_gates, row if keep else 0, token, by_token, d_peephole, of_cell,
                None, H,
            )  # fmt: skip
            # The rows of a group at a step lie one after the other.
            at = (row if keep else 0) * wide + d * K
            other = at + K - H if K > G else at
            last = count - 1
            give_back(
                d_gates, at, other, wide, weight, of_d, W, panel, nothing, d_h, 0, n, same, H, ahead, last
            )  # fmt: skip
            if d_bias.shape[2] > 0:
                for k in range(n):
                    add_row(d_gates, at + k * wide, d_bias, (group * c_0.shape[0] + d) * K, K)
            if not in_parts:
                continue
            for k in range(n):  # they are in the cache now
                if k < known:
                    into_panels(hidden, (before + k) * width + d * H, H, states, filled)
                else:
                    into_panels(h_0, (d * h_0.shape[1] + start + k) * H, H, states, filled)
                into_panels(d_gates, at + k * wide, same, gradients, filled)
                if K > G:
                    into_panels(d_gates, at + k * wide + K - H, H, others, filled)
                filled += 1
            if filled > CHUNK - GROUP or s + 1 == steps:
                product_of_panels(
                    states, gradients, filled, so_far, so_far_at, so_far_row, weights, total, G, H, same
                )  # fmt: skip
                if K > G:
                    product_of_panels(
                        states, others, filled, so_far, so_far_at + same, so_far_row,
                        weights, total + same, G, H, H,
                    )  # fmt: skip
                so_far, so_far_at, so_far_row = weights, total, G
                filled = 0
        copy_row(d_h, 0, d_h_0, of_h, size * H)
        copy_row(d_c, 0, d_c_0, of_c, size * C)
