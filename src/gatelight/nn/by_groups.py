"""A small layer, input products and recurrence together: each group of sequences forward and back in one go.

A group's rows of everything are in a core's cache when they are needed, and what threads write they do not
read from each other, which may take longer than to compute it. For compiled callers. One direction; arrays
are C-contiguous and of one dtype, and names those of kernels.py and way_back.py. x and what is
given for the output have packed rows [N, ·], or a row for each step of padded sequences: see `Places`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.nn.crew import begin, begin_ends, share_ends
from gatelight.nn.gradient_sums import all_added, sum_groups
from gatelight.nn.kernels import GROUP, longer
from gatelight.nn.panels import CHUNK, chunk_of, into_panels, lined_up, panels, product_of_panels
from gatelight.nn.product import columns_of_part
from gatelight.nn.recurrence_forward import tasks_of
from gatelight.nn.rows import add_row, copy_row
from gatelight.nn.stepping import advance, retreat
from gatelight.nn.tiles import multiply
from gatelight.nn.way_back import give_back


@compiled
def _group_at(place: int, groups: int) -> int:
    """The group that is the place-th to be computed: 0, 3, 4, 7, … 6, 5, 2, 1.

    Lengths fall, so threads that take groups from both ends have like work, and the same groups each time.
    """
    front = (groups + 3) // 4 + groups // 4
    if place < front:
        return 2 * place + place % 2
    k = groups - 1 - place
    return 2 * k + 1 - k % 2


@compiled
def _note_rows(lengths: Any, base: Any) -> None:
    """Note the first of each group's rows of what is kept, and after the last group how many there are."""
    base[0] = 0
    for group in range(len(base) - 1):
        base[group + 1] = base[group]
        for n in range(group * GROUP, min(len(lengths), (group + 1) * GROUP)):
            base[group + 1] += lengths[n]


@compiled
def _rows_at_once(t: int, by: int, lengths: Any, start: int, size: int, at: Any) -> tuple[int, int]:
    """As many steps of a group from t on, forward or back (`by` -1), as a chunk has rows for.

    The step after the last one, and how many rows there are; at[k] is the first of the k-th step, and after
    the last one's the row after all.
    """
    rows, k, n = 0, 0, 0
    while 0 <= t < lengths[start] and rows + GROUP <= CHUNK:
        n = longer(lengths, start, size, t, n)
        at[k] = rows
        rows, k, t = rows + n, k + 1, t + by
    at[k] = rows
    return t, rows


@compiled
def _place(n: int, t: int, first: Any, order: Any, places: Any) -> int:
    """The row of step t of the n-th sequence."""
    return int(first[t] + n if places[1] == 0 else order[n] * places[0] + t * places[1])


@compiled
def _end(out: Any, length: int, n: int, order: Any, places: Any) -> None:
    """Fill what comes after a padded sequence with zeros; packed rows have no such steps."""
    for t in range(length, places[2]):
        out[order[n] * places[0] + t * places[1]] = 0


@compiled
def _forward(
    cell: Any, x: Any, of_x: Any, weight_ih: Any, bias_ih: Any, token: Any, first: Any, lengths: Any,
    order: Any, weight: Any, bias: Any, h_0: Any, c_0: Any, saved: Any, cells: Any, hidden: Any, base: Any,
    out: Any, of_out: Any, h_n: Any, c_n: Any, in_order: bool, each: int, task: int,
) -> None:  # fmt: skip
    groups = len(base) - 1
    D, G, H, C, W = x.shape[1], bias.shape[1], h_0.shape[2], c_0.shape[2], weight.shape[2]
    rows, table = lined_up(CHUNK * D, x), lined_up(CHUNK * G, x).reshape(CHUNK, G)
    h, c, u = np.empty((GROUP, H), x.dtype), np.empty((GROUP, C), x.dtype), np.empty((GROUP, G), x.dtype)
    at = np.empty(CHUNK, np.int64)
    for one in range(task * each, min(groups, (task + 1) * each)):
        group = _group_at(one, groups)
        start, row, t, n = group * GROUP, base[group], 0, 0
        size = min(GROUP, lengths.shape[0] - start)
        copy_row(h_0, start * H, h, 0, size * H)
        copy_row(c_0, start * C, c, 0, size * C)
        while t < lengths[start]:
            after, filled = _rows_at_once(t, 1, lengths, start, size, at)
            for k in range(size):
                for j in range(t, min(after, lengths[start + k])):
                    place = _place(start + k, j, first, order, of_x)
                    copy_row(x, place * D, rows, (at[j - t] + k) * D, D)
            multiply(
                rows, 0, D, 1, weight_ih, 0, weight_ih.shape[2], bias_ih, 0, 0, table, 0, G, filled, D, G
            )
            top = row
            for j in range(t, after):
                n = longer(lengths, start, size, j, n)
                multiply(h, 0, H, 1, weight, 0, W, bias, 0, 0, u, 0, G, n, H, G)
                advance(
                    cell, 0, 0, n, table, token, at[j - t], u, 0, h, c, 0, saved, cells, 0, hidden,
                    row, h, None, H,
                )  # fmt: skip
                row += n
            for k in range(size):
                for j in range(t, min(after, lengths[start + k])):
                    place = _place(start + k, j, first, order, of_out)
                    copy_row(hidden, (top + at[j - t] + k) * H, out, place * H, H)
            t = after
        for k in range(size):
            place = order[start + k] if in_order else start + k
            copy_row(h, k * H, h_n, place * H, H)
            copy_row(c, k * C, c_n, place * C, C)
            _end(out, lengths[start + k], start + k, order, of_out)


@compiled
def all_forward(
    cell: Any, x: Any, of_x: Any, weight_ih: Any, bias_ih: Any, token: Any, first: Any, lengths: Any,
    order: Any, weight: Any, bias: Any, h_0: Any, c_0: Any, saved: Any, cells: Any, hidden: Any, base: Any,
    out: Any, of_out: Any, h_n: Any, c_n: Any, in_order: bool, crew: Any, helpers: int,
) -> int:  # fmt: skip
    """The region of a layer's way forward; both weights are transposed, `of_x` and `of_out` are `Places`.

    Hidden states go to `out`. What is kept of them and of their gates has a group's rows side by side, step
    after step: were other groups' between them, threads would wait for lines that both write at each step.
    """
    _note_rows(lengths, base)
    size, tasks = tasks_of(1, lengths, helpers, 1)
    given = (
        cell, x, of_x, weight_ih, bias_ih, token, first, lengths, order, weight, bias, h_0, c_0, saved, cells,
        hidden, base, out, of_out, h_n, c_n, in_order, (size + GROUP - 1) // GROUP,
    )  # fmt: skip
    return int(begin_ends(_forward, given, crew, helpers, tasks))


@compiled
def _summed(
    left: Any, right: Any, rows: int, known: bool, nothing: Any, sums: Any, at: int, row: int, columns: int,
    size: int,
) -> None:  # fmt: skip
    """Add left.T @ right to `columns` rows of sums, from `at` on; what is not known yet counts as zeros."""
    if known:
        product_of_panels(left, right, rows, sums, at, row, sums, at, row, columns, size)
    else:
        product_of_panels(left, right, rows, nothing, 0, 0, sums, at, row, columns, size)


@compiled
def _backward(
    cell: Any, x: Any, of_x: Any, weight_ih: Any, token: Any, first: Any, lengths: Any, order: Any,
    weight: Any, h_0: Any, c_0: Any, saved: Any, cells: Any, hidden: Any, base: Any, d_out: Any, of_out: Any,
    d_hidden: Any, d_h_n: Any, d_c_n: Any, d_h_0: Any, d_c_0: Any, d_x: Any, kept: Any, x_row: Any,
    of_hh: Any, of_ih: Any, of_bias: Any, of_peephole: Any, together: int, each: int, task: int,
) -> None:  # fmt: skip
    (G, D), H, C, W, K = weight_ih.shape, h_0.shape[2], c_0.shape[2], weight.shape[2], of_bias.shape[2]
    same = G - H if K > G else G  # GRU: its candidate's recurrent part stands apart
    states, gradients, others = panels(x, H, G, H if K > G else 0)
    inputs, _, _ = panels(x, D if of_ih.shape[0] > 0 else 0, 0, 0)
    d_gates, rows, groups = kept, lined_up(CHUNK * D, x), len(base) - 1
    if kept.shape[0] == 0:
        d_gates = lined_up(CHUNK * K, x).reshape(CHUNK, K)
    nothing, nowhere, none = np.zeros(max(G, D), x.dtype), np.empty((0, G), x.dtype), np.empty(0, np.int64)
    d_h, d_c = np.empty((GROUP, H), x.dtype), np.empty((GROUP, C), x.dtype)
    sums_hh, sums_ih, at = of_hh.reshape(-1), of_ih.reshape(-1), np.empty(CHUNK, np.int64)
    known = False  # whether something has been summed for this part
    for one in range(task * each, min(groups, (task + 1) * each)):
        group, part = _group_at(one, groups), one // together
        start, row, here = group * GROUP, base[group + 1], base[group] if kept.shape[0] > 0 else 0
        size, t = min(GROUP, lengths.shape[0] - start), lengths[start] - 1
        n = longer(lengths, start, size, t, 0) if t >= 0 else 0
        known = known and one % together > 0
        copy_row(d_h_n, start * H, d_h, 0, size * H)
        copy_row(d_c_n, start * C, d_c, 0, size * C)
        of_peephole[group] = 0
        of_bias[group] = 0
        if t < 0 and one % together == 0:
            of_hh[part : part + 1] = 0
            of_ih[part : part + 1] = 0
            known = True
        while t >= 0:
            before, filled = _rows_at_once(t, -1, lengths, start, size, at)
            for k in range(size):
                for j in range(before + 1, min(t + 1, lengths[start + k])):
                    place = _place(start + k, j, first, order, of_out)
                    copy_row(d_out, place * H, d_hidden, (row - at[t - j + 1] + k) * H, H)
                    place = _place(start + k, j, first, order, of_x)
                    if of_ih.shape[0] > 0:
                        into_panels(x, place * D, D, inputs, at[t - j] + k)
                    elif kept.shape[0] > 0:
                        x_row[here + at[t - j] + k] = place
            for j in range(t, before, -1):
                row, into = row - n, at[t - j]
                to, more = here + into, longer(lengths, start, size, j - 1, n) if j > 0 else 0
                last = row - more
                retreat(
                    cell, 0, n, row, n if j > 0 else 0, last, start, h_0, c_0, saved, cells, hidden,
                    d_hidden, d_h, d_c, 0, d_gates, to, token, nowhere, of_peephole, 3 * group, None, H,
                )  # fmt: skip
                other = (to + 1) * K - H if K > G else to * K
                give_back(
                    d_gates, to * K, other, K, weight, 0, W, 0, nothing, d_h, 0, n, same, H, none, -1
                )  # fmt: skip
                for k in range(n):
                    place = (to + k) * K
                    add_row(d_gates, place, of_bias, group * K, K)
                    into_panels(d_gates, place, G, gradients, into + k)
                    if of_hh.shape[0] > 0:
                        if j > 0:
                            into_panels(hidden, (last + k) * H, H, states, into + k)
                        else:
                            into_panels(h_0, (start + k) * H, H, states, into + k)
                        if K > G:
                            into_panels(d_gates, place + K - H, H, others, into + k)
                n = more
            if of_hh.shape[0] > 0:
                place = part * H * G
                _summed(states, gradients, filled, known, nothing, sums_hh, place, G, H, same)
                if K > G:
                    _summed(states, others, filled, known, nothing, sums_hh, place + same, G, H, H)
            if of_ih.shape[0] > 0:
                _summed(inputs, gradients, filled, known, nothing, sums_ih, part * D * G, G, D, G)
            known = True
            if d_x.shape[0] > 0:
                multiply(d_gates, here * K, K, 1, weight_ih, 0, D, nothing, 0, 0, rows, 0, D, filled, G, D)
                for k in range(size):
                    for j in range(before + 1, min(t + 1, lengths[start + k])):
                        place = _place(start + k, j, first, order, of_x)
                        copy_row(rows, (at[t - j] + k) * D, d_x, place * D, D)
            t, here = before, here + (filled if kept.shape[0] > 0 else 0)
        copy_row(d_h, 0, d_h_0, start * H, size * H)
        copy_row(d_c, 0, d_c_0, start * C, size * C)
        for k in range(size if d_x.shape[0] > 0 else 0):
            _end(d_x, lengths[start + k], start + k, order, of_x)


@compiled
def _of_input(x: Any, x_row: Any, kept: Any, d_ih: Any, wide: int, task: int) -> None:
    """Sum the gradients of `wide` rows of the input's weights over all that `_backward` has `kept`."""
    (G, D), (rows, K), begin = d_ih.shape, kept.shape, task * wide
    some, chunk = min(wide, G - begin), chunk_of(rows)
    gradients, inputs, _ = panels(x, some, D, 0)
    nothing, sums = np.zeros(D, x.dtype), d_ih.reshape(-1)
    for first in range(0, rows, chunk):
        filled = min(chunk, rows - first)
        for k in range(filled):
            into_panels(x, x_row[first + k] * D, D, inputs, k)
            into_panels(kept, (first + k) * K + begin, some, gradients, k)
        _summed(gradients, inputs, filled, first > 0, nothing, sums, begin * D, D, some, D)


@compiled
def all_backward(
    cell: Any, x: Any, of_x: Any, weight_ih: Any, token: Any, first: Any, lengths: Any, order: Any,
    weight: Any, h_0: Any, c_0: Any, saved: Any, cells: Any, hidden: Any, base: Any, d_out: Any, of_out: Any,
    d_hidden: Any, d_h_n: Any, d_c_n: Any, d_h_0: Any, d_c_0: Any, d_x: Any, kept: Any, x_row: Any,
    of_hh: Any, of_ih: Any, of_bias: Any, of_peephole: Any, d_hh: Any, d_ih: Any, d_bias: Any,
    d_peephole: Any, together: int, crew: Any, helpers: int,
) -> int:  # fmt: skip
    """The region of its way back, `of_out` for d_out. d_hidden is room for as many rows as hidden has.

    Where gates' gradients are `kept` [N, K·H], with the row of x for each, those of the input's weights are
    summed after all groups.
    """
    _note_rows(lengths, base)
    size, tasks = tasks_of(1, lengths, helpers, together)
    given = (
        cell, x, of_x, weight_ih, token, first, lengths, order, weight, h_0, c_0, saved, cells, hidden, base,
        d_out, of_out, d_hidden, d_h_n, d_c_n, d_h_0, d_c_0, d_x, kept, x_row, of_hh, of_ih, of_bias,
        of_peephole, together, (size + GROUP - 1) // GROUP,
    )  # fmt: skip
    failed = share_ends(_backward, given, crew, helpers, tasks)
    if of_hh.shape[0] > 0:
        failed |= all_added(of_hh, d_hh, crew, helpers)
    if of_ih.shape[0] > 0:
        failed |= all_added(of_ih, d_ih, crew, helpers)
    sum_groups(of_bias, d_bias)
    sum_groups(of_peephole, d_peephole)
    if kept.shape[0] == 0 or failed:
        return int(failed)
    wide = columns_of_part(d_ih.shape[1], kept.shape[0] * d_ih.shape[2], helpers)
    sums = x, x_row, kept, d_ih[0], wide
    return int(begin(_of_input, sums, crew, helpers, (d_ih.shape[1] + wide - 1) // wide))
