"""The computation behind the gradient of `gatelight::recurrence`: back through the kernels, then the sums.

Arrays are C-contiguous and of one dtype, float32 or float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.nn import buffers, gradient_sums, kernels, threads, way_back
from gatelight.nn.by_units import backward_by_units
from gatelight.nn.crew import share
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.gradient_sums import all_added, all_sums, sum_bias, sum_groups
from gatelight.nn.recurrence_forward import cell_weights, shares_steps, tasks_of, token_rows
from gatelight.nn.steps import BLOCKS
from gatelight.nn.threads import LITTLE_WORK
from gatelight.nn.transposing import MOVE_WORK

Array = np.ndarray[Any, np.dtype[Any]]

IN_CACHE = 1 << 12
"""Elements up to which what a group sums stays in the first-level cache from step to step."""

SUMMED = 1 << 16
"""Elements of a larger weight up to which it and its gradient stay in the second-level cache."""

PARTS, ROWS = 8, 128
"""Parts, of at least so many rows, in which such a weight's gradient is summed on the way."""

FEW = 4
"""Tasks below which they might not occupy two threads all the way, as a product after it does."""


@compiled
def _all_back(
    cell: Any, first: Any, lengths: Any, weight: Any, h_0: Any, c_0: Any, saved: Any, cells: Any, hidden: Any,
    d_hidden: Any, d_h_n: Any, d_c_n: Any, token: Any, keep: bool, d_gates: Any, d_h_0: Any, d_c_0: Any,
    of_table: Any, of_weight: Any, of_bias: Any, of_peephole: Any, together: int, d_table: Any, d_weight: Any,
    d_bias: Any, d_peephole: Any, crew: Any, helpers: int,
) -> int:  # fmt: skip
    size, tasks = tasks_of(h_0.shape[0], lengths, helpers, together)
    given = (
        cell, first, lengths, weight, h_0, c_0, saved, cells, hidden, d_hidden, d_h_n, d_c_n, token, keep,
        d_gates, d_h_0, d_c_0, of_table, of_weight, of_bias, of_peephole, together, size, helpers + 1,
    )  # fmt: skip
    failed = share(way_back.backward, given, crew, helpers, tasks)
    if of_weight.shape[0] > 0:
        few = of_weight.size * MOVE_WORK < LITTLE_WORK
        failed |= all_added(of_weight, d_weight[0], crew, 0 if few else helpers)
    if not keep:
        sum_groups(of_table, d_table)
    _sum_rest(of_bias, of_peephole, d_bias, d_peephole, h_0.shape[2])
    return int(failed)


@compiled
def _sum_rest(of_bias: Any, of_peephole: Any, d_bias: Any, d_peephole: Any, H: int) -> None:
    sum_groups(of_peephole, d_peephole)
    if d_bias.shape[1] > 0:
        sum_bias(of_bias, d_bias, H)


@compiled
def _all_back_by_units(
    cell: Any, first: Any, lengths: Any, weight: Any, h_0: Any, c_0: Any, saved: Any, cells: Any, hidden: Any,
    d_hidden: Any, d_h_n: Any, d_c_n: Any, token: Any, d_gates: Any, d_h_0: Any, d_c_0: Any, of_table: Any,
    of_bias: Any, of_peephole: Any, d_bias: Any, d_peephole: Any, G: int, units: int, crew: Any, helpers: int,
) -> int:  # fmt: skip
    failed = backward_by_units(
        cell, first, lengths, weight, h_0, c_0, saved, cells, hidden, d_hidden, d_h_n, d_c_n, token, d_gates,
        d_h_0, d_c_0, of_table, of_bias, of_peephole, G, units, crew, helpers,
    )  # fmt: skip
    _sum_rest(of_bias, of_peephole, d_bias, d_peephole, h_0.shape[2])
    return int(failed)


def recurrence_backward(
    cell: str, d_hidden: Array, d_h_n: Array, d_c_n: Array, distinct: int, token: Array | None, starts: Array,
    sizes: Array, weight: Array, peephole: Array | None, h_0: Array, c_0: Array, hidden: Array, gates: Array,
    cells: Array, need_bias: bool, overwrite: bool = False, wide: bool = False, units: int = 0,
) -> tuple[Array, Array, Array, Array, Array, Array]:  # fmt: skip
    """Return the gradients of table [U, ·], weight_hh, bias_hh, peephole, h_0 and c_0, unused ones empty.

    starts [T] and sizes [B] are a packing's `first` and `lengths`; weight [directions, G, ≥ H], or in parts
    of so many `units`; the others as in `operators.recurrence`, d_x the gradient of its result x. With
    `overwrite` gates are lost. With `wide` that of a table whose rows are tokens each is as steps leave it,
    [N, directions·K·H]: in each direction what GRU's has beside the table's follows it.
    """
    (directions, _, hidden_size), rows, dtype = h_0.shape, len(hidden), d_hidden.dtype
    size = len(EQUATIONS[cell].gates) * hidden_size
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

    d_table = np.empty((0, size), dtype) if own else buffers.empty((distinct, directions * size), dtype)
    d_bias = np.empty((directions, size if need_bias else 0), dtype)
    d_peephole = np.empty(of_peephole.shape[1:], dtype)
    # A product sums a small one in parts.
    least = hidden_size * (hidden_size if cell == "gru" else size)  # GRU sums its candidate's part by itself
    in_rows = gradient_sums.PARTS if not parts and least < gradient_sums.SMALL else 1
    d_weight = np.empty((in_rows, directions, size, hidden_size), dtype)
    weight = weight if units else buffers.in_lines(weight)
    read = step_cell, starts, sizes, weight, *forward, *from_above, tokens
    work = rows * weight.size
    if shares_steps(directions, hidden_size, sizes, weight, units):
        # So large a weight's gradient is a product after it, and no table is summed on the way.
        given = (
            d_gates, d_h_0, d_c_0, of_table, of_bias, of_peephole, d_bias, d_peephole, size, units,
        )  # fmt: skip
        threads.share(_all_back_by_units, (*read, *given), work)
    else:
        rest = (
            not table_at_once, d_gates, d_h_0, d_c_0, of_table, of_weight, of_bias, of_peephole, together,
            d_table, d_weight, d_bias, d_peephole,
        )  # fmt: skip
        threads.share(_all_back, (*read, *rest), work)
    summed, by_token = d_weight[: 0 if parts else in_rows], d_table[: 0 if table_at_once else None]
    if len(summed) or len(by_token):
        # A product reads the states before each step several times: those of unequal sequences, which do not
        # stand in a row, are put in one first.
        apart = not parts and rows != len(starts) * len(sizes)
        states = buffers.lined((directions if apart else 0, rows, hidden_size), dtype)
        to_sum = d_gates, hidden, starts, sizes, h_0, tokens, by_token, summed, states
        threads.share(all_sums, to_sum, work)
    return d_gates if own else d_table, d_weight[0], d_bias, d_peephole, d_h_0, d_c_0


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
