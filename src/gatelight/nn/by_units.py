"""The recurrence of a large weight, forward and back: threads share each step of all sequences by units.

Each thread computes the same units at every step, products and gates, so that it reads the same part of the
weight again, which stays in its second-level cache. The whole of it would not, and groups of sequences that
threads take by themselves (kernels.py, way_back.py) each read all of it at every step. What threads owe to
each other goes over once a step. For compiled callers; names, arrays and bits are those of these two modules,
but that weights may stand in parts (`panels.shape_in_parts`) of so many `units`; 0: they stand in rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.nn.buffers import LINE
from gatelight.nn.crew import even_part, share
from gatelight.nn.kernels import GROUP, goes_past, longer, preceded
from gatelight.nn.panels import PASSING, UNITS, lined_up, size_of_part, some_columns
from gatelight.nn.rows import NOTED, add_row, copy_row, fetch
from gatelight.nn.stepping import advance, retreat
from gatelight.nn.way_back import give_back


@compiled
def _room_for(wide: int, blocks: int, like: Any) -> Any:
    """Return a list for the cache lines of some rows of so many blocks: each may begin within a line."""
    return np.empty(PASSING * blocks * (wide * like.itemsize // LINE + 2) + NOTED, np.int64)


@compiled
def _fetch_blocks(
    source: Any, row: int, rows: int, column: int, blocks: int, H: int, wide: int, ahead: Any, count: int
) -> int:
    """Note the lines of the same units of each block."""
    for block in range(blocks):
        count = fetch(source, row, rows, column + block * H, wide, ahead, count)
    return count


@compiled
def _forward_part(
    cell: Any, d: int, n: int, table: Any, token: Any, row: int, weight: Any, bias: Any, u: Any, h: Any,
    after: Any, c: Any, saved: Any, cells: Any, past: int, hidden: Any, units: int, each: int, k: int,
) -> None:  # fmt: skip
    """Advance the k-th part of the units of n sequences, whose rows begin at `row`; `after` takes the h."""
    directions, H, W = weight.shape[0], h.shape[1], weight.shape[2]
    begin, end, gates = k * each, min(H, (k + 1) * each), bias.shape[0] // H
    wide, across, of_d = end - begin, u.shape[1], d * weight.shape[1] * W
    blocks, C, X = saved.shape[1] // hidden.shape[1], c.shape[1], table.shape[1] // directions
    ahead = _room_for(wide, gates + blocks + 2, table)
    for start in range(0, n, PASSING):
        size, at, first, count = min(PASSING, n - start), k * PASSING * across, row + start, 0
        for one in range(first, first + size):
            count = _fetch_blocks(table, token[one], 1, d * X + begin, gates, H, wide, ahead, count)
        count = fetch(hidden, first, size, d * H + begin, wide, ahead, count)
        if saved.shape[0] > 0 and past == 0:
            if saved.ctypes.data != table.ctypes.data:
                own = d * blocks * H + begin
                count = _fetch_blocks(saved, first, size, own, blocks, H, wide, ahead, count)
            count = fetch(cells, first, size, d * C + begin, min(C, wide), ahead, count)
        if units > 0:
            some_columns(
                h, start * H, H, weight, of_d + k * size_of_part(weight, H, across), W, H * W, bias,
                gates * begin, 0, u, at, across, size, H, 0, gates * wide, ahead, count - 1,
            )  # fmt: skip
        else:
            for gate in range(gates):
                some_columns(
                    h, start * H, H, weight, of_d + gate * H + begin, W, 0, bias, gates * begin + gate * wide,
                    0, u, at + gate * wide, across, size, H, 0, wide, ahead, count - 1 if gate == 0 else -1,
                )  # fmt: skip
        advance(
            cell, d, d, size, table, token, first, u, k * PASSING, h, c, start, saved, cells, past, hidden,
            first, after, begin, end,
        )  # fmt: skip


@compiled
def forward_by_units(
    cell: Any, table: Any, token: Any, first: Any, lengths: Any, weight: Any, bias: Any, h_0: Any, c_0: Any,
    keep: bool, saved: Any, cells: Any, hidden: Any, h_n: Any, c_n: Any, order: Any, units: int, crew: Any,
    helpers: int,
) -> int:  # fmt: skip
    """Run all sequences in all directions; 0 where all is well."""
    directions, sequences, H = h_0.shape
    C, G, T = c_0.shape[2], bias.shape[1], first.shape[0]
    each = units if units > 0 else even_part(H, helpers, UNITS)
    parts, past, failed = (H + each - 1) // each, int(keep and goes_past(saved, cells, table, H)), 0
    # A step reads all units of the states before it while others are written.
    h, after = lined_up(sequences * H, table), lined_up(sequences * H, table)
    h, after = h.reshape(sequences, H), after.reshape(sequences, H)
    c = lined_up(sequences * C, table).reshape(sequences, C)
    across = G // H * each
    u = lined_up(parts * PASSING * across, table).reshape(parts * PASSING, across)
    of_parts = lined_up(G, bias)
    for d in range(directions):
        copy_row(h_0, d * h.size, h, 0, h.size)
        copy_row(h_0, d * h.size, after, 0, h.size)
        copy_row(c_0, d * c.size, c, 0, c.size)
        for begin in range(0, H, each):
            wide = min(each, H - begin)
            for gate in range(G // H):
                at = G // H * begin + gate * wide
                copy_row(bias, d * G + gate * H + begin, of_parts, at, wide)
        n = sequences if d == 0 else 0
        for s in range(T):
            t = s if d == 0 else T - 1 - s
            n = longer(lengths, 0, sequences, t, n)
            given = (
                cell, d, n, table, token, first[t], weight, of_parts, u, h, after, c, saved, cells, past,
                hidden, units, each,
            )  # fmt: skip
            failed |= share(_forward_part, given, crew, helpers, parts)
            h, after = after, h
        for k in range(sequences):
            place = order[k] if order.shape[0] > 0 else k
            # Who ended before the last step has its state where that step wrote it.
            last = h if d == 1 or (T - lengths[k]) % 2 == 0 else after
            copy_row(last, k * H, h_n, (d * sequences + place) * H, H)
            copy_row(c, k * C, c_n, (d * sequences + place) * C, C)
    return int(failed)


@compiled
def _backward_part(
    cell: Any, d: int, rows: int, below: int, n: int, row: int, further: int, before: int, weight: Any,
    h_0: Any, c_0: Any, saved: Any, cells: Any, hidden: Any, d_hidden: Any, d_h: Any, d_c: Any, d_gates: Any,
    token: Any, by_token: Any, d_bias: Any, d_peephole: Any, zeros: Any, G: int, units: int, each: int,
    k: int,
) -> None:  # fmt: skip
    """Take the k-th part of the units one step back.

    That is, first what the `rows` sequences of the step after it, whose rows begin at `below`, give to them;
    then the step of n sequences, whose rows begin at `row`; the rows before those of the first `further`
    begin at `before`.
    """
    directions, H, wide, W = h_0.shape[0], d_h.shape[1], d_gates.shape[1], weight.shape[2]
    K, S, C = wide // directions, saved.shape[1] // directions, d_c.shape[1]
    begin, end = k * each, min(H, (k + 1) * each)
    of_part, apart = (k * size_of_part(weight, G, units), G * W) if units > 0 else (begin, 0)
    ahead = _room_for(end - begin, S // H + K // H + 4, saved)
    for start in range(0, max(rows, n), PASSING):
        first, last, count = row + start, min(n, start + PASSING), 0
        if last > start:
            size = last - start
            count = _fetch_blocks(saved, first, size, d * S + begin, S // H, H, end - begin, ahead, count)
            if d_gates.ctypes.data != saved.ctypes.data:
                own = d * K + begin
                count = _fetch_blocks(d_gates, first, size, own, K // H, H, end - begin, ahead, count)
            count = fetch(d_hidden, first, size, d * H + begin, end - begin, ahead, count)
            count = fetch(hidden, first, size, d * H + begin, end - begin, ahead, count)
            count = fetch(cells, first, size, d * C + begin, min(C, end - begin), ahead, count)
            if start < further:
                from_row = before + start
                size = min(size, further - start)
                if C > 0:
                    count = fetch(cells, from_row, size, d * C + begin, end - begin, ahead, count)
                else:
                    count = fetch(hidden, from_row, size, d * H + begin, end - begin, ahead, count)
        if rows > start:
            at = (below + start) * wide + d * K
            give_back(
                d_gates, at, at + K - H if K > G else at, wide, weight, d * weight.shape[1] * W + of_part, W,
                apart, zeros, d_h, start * H + begin, min(PASSING, rows - start), G - H if K > G else G,
                end - begin, ahead, count - 1,
            )  # fmt: skip
        for of_group in range(start, last, GROUP):
            size, group = min(GROUP, n - of_group), of_group // GROUP * directions + d
            known = max(0, min(size, further - of_group))
            retreat(
                cell, d, size, row + of_group, known, before + of_group, of_group, h_0, c_0, saved, cells,
                hidden, d_hidden, d_h, d_c, of_group, d_gates, row + of_group, token, by_token, d_peephole,
                3 * group, begin, end,
            )  # fmt: skip
            if d_bias.shape[2] == 0:
                continue
            for one in range(row + of_group, row + of_group + size):
                for block in range(begin, K, H):
                    add_row(d_gates, one * wide + d * K + block, d_bias, group * K + block, end - begin)


@compiled
def backward_by_units(
    cell: Any, first: Any, lengths: Any, weight: Any, h_0: Any, c_0: Any, saved: Any, cells: Any, hidden: Any,
    d_hidden: Any, d_h_n: Any, d_c_n: Any, token: Any, d_gates: Any, d_h_0: Any, d_c_0: Any, d_table: Any,
    d_bias: Any, d_peephole: Any, G: int, units: int, crew: Any, helpers: int,
) -> int:  # fmt: skip
    """Take all sequences in all directions back; 0 where all is well. d_table has no rows."""
    directions, sequences, H = h_0.shape
    C, T = c_0.shape[2], first.shape[0]
    each = units if units > 0 else even_part(H, helpers, UNITS)
    parts, failed = (H + each - 1) // each, 0
    d_h = lined_up(sequences * H, d_gates).reshape(sequences, H)
    d_c = lined_up(sequences * C, d_gates).reshape(sequences, C)
    by_token, zeros = d_table[0], np.zeros(each, d_gates.dtype)
    d_bias[:] = 0
    d_peephole[:] = 0
    for d in range(directions):
        copy_row(d_h_n, d * d_h.size, d_h, 0, d_h.size)
        copy_row(d_c_n, d * d_c.size, d_c, 0, d_c.size)
        n, rows, below = 0 if d == 0 else sequences, 0, 0
        for s in range(T + 1):
            t, row = T - 1 - s if d == 0 else s, 0
            if s < T:
                n, row = longer(lengths, 0, sequences, t, n), first[t]
            else:  # after the last step there is only what it gives
                n = 0
            known = preceded(d, lengths, 0, n, t)
            before = first[t - 1 + 2 * d] if known > 0 else row
            given = (
                cell, d, rows, below, n, row, known, before, weight, h_0, c_0, saved, cells, hidden, d_hidden,
                d_h, d_c, d_gates, token, by_token, d_bias, d_peephole, zeros, G, units, each,
            )  # fmt: skip
            failed |= share(_backward_part, given, crew, helpers, parts)
            rows, below = n, row
        copy_row(d_h, 0, d_h_0, d * d_h.size, d_h.size)
        copy_row(d_c, 0, d_c_0, d * d_c.size, d_c.size)
    return int(failed)
