"""The computation behind the gradient of `gatelight::recurrence`: back through the kernels, then the sums.

Arrays are C-contiguous and of one dtype, float32 or float64.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from gatelight.memory import buffers, kernels, product, threads
from gatelight.memory.recurrence_forward import cell_weights, parts_of, token_rows
from gatelight.memory.steps import BLOCKS
from gatelight.memory.transposing import transposed

Array = np.ndarray[Any, np.dtype[Any]]

IN_CACHE = 1 << 12
"""Elements up to which what a group sums stays in the first-level cache from step to step."""

FEW = 4
"""Rows of a step, on average, from which on their share of a weight's gradient is added at once."""


def recurrence_backward(
    cell: str,
    d_hidden: Array,
    d_h_n: Array,
    d_c_n: Array,
    distinct: int,
    token: Array | None,
    starts: Array,
    sizes: Array,
    weight: Array,
    peephole: Array | None,
    h_0: Array,
    c_0: Array,
    hidden: Array,
    gates: Array,
    cells: Array,
    need_bias: bool,
    overwrite: bool = False,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Return the gradients of table [U, ·], weight_hh, bias_hh, peephole, h_0 and c_0, unused ones empty.

    starts [T] and sizes [B] are a packing's `first` and `lengths`; weight [directions, G, H]; the others as
    in `operators.recurrence`, d_x the gradient of its result x. With `overwrite` gates are lost.
    """
    directions, size, hidden_size = weight.shape
    rows, dtype = len(hidden), d_hidden.dtype
    width, groups = directions * BLOCKS[cell] * hidden_size, -(-len(sizes) // kernels.GROUP)
    # Where each row is its own token there is nothing to sum, unless more than that gradient was written.
    own = token is None and width == directions * size
    # A few rows at a time would spend more on the sums' way in and out of registers than on adding.
    weight_at_once = rows >= FEW * len(starts) and _at_once(groups, hidden_size, size, rows)
    table_at_once = weight_at_once and not own and _at_once(groups, distinct, directions * size, rows)
    if overwrite and not table_at_once and gates.shape == (rows, width):
        d_gates = gates  # each is written where those that it is made of were read
    else:
        d_gates = buffers.empty((0 if table_at_once else rows, width), dtype)
    d_h_0, d_c_0 = np.empty(d_h_n.shape, dtype), np.empty(c_0.shape, dtype)
    sums = [
        np.empty((groups, *shape), dtype)
        for shape in (
            (distinct if table_at_once else 0, directions * size),
            (directions, hidden_size if weight_at_once else 0, size),
            (directions, width // directions if need_bias else 0),
            (directions, 3, hidden_size if peephole is not None else 0),
        )
    ]
    forward, from_above = (h_0, c_0, gates, cells, hidden), (d_hidden, d_h_n, d_c_n)
    step_cell, tokens = cell_weights(cell, peephole, dtype), token_rows(token, rows)

    def part(d: int, begin: int, end: int) -> None:
        written = np.empty((kernels.GROUP, width), dtype) if table_at_once else d_gates
        kernels.backward(
            step_cell, d, begin, end, starts, sizes, weight, *forward, *from_above, tokens,
            not table_at_once, written, d_h_0, d_c_0, *sums,
        )  # fmt: skip

    work = rows * weight.size
    threads.run([partial(part, d, *cut) for cut in parts_of(sizes, work) for d in range(directions)], work)

    d_table, d_weight, sum_of_bias, d_peephole = map(_sum, sums)
    tasks: list[threads.Task] = []
    last: list[threads.Task] = []
    if own:
        d_table = d_gates
    elif not table_at_once:
        d_table = buffers.empty((distinct, directions * size), dtype)
        tasks += product.sums_by_token(d_gates, tokens, d_table, directions)
    d_weight = transposed(d_weight) if weight_at_once else np.empty(weight.shape, dtype)
    d_bias = np.empty((directions, size if need_bias else 0), dtype)
    for at, begin, end in _recurrent_blocks(cell, hidden_size):
        if need_bias:
            d_bias[:, begin:end] = sum_of_bias[:, at : at + end - begin]
        for d in range(0 if weight_at_once else directions):
            before = np.empty(rows, np.int32)
            kernels.rows_before(d, starts, sizes, before)
            parts, finish = product.chosen_times(
                d_gates, d * width // directions + at, hidden, d * hidden_size, (before, h_0[d]),
                d_weight[d, begin:end],
            )  # fmt: skip
            tasks += parts
            last.append(finish)
    threads.run(tasks, work)
    for finish in last:
        finish()
    return d_table, d_weight, d_bias, d_peephole, d_h_0, d_c_0


def _sum(parts: Array) -> Array:
    """The sum of each group's part, of which there may be none; NumPy takes its time for nothing, too."""
    total: Array = parts.sum(0) if len(parts) != 1 and (parts.size or not len(parts)) else parts[0]
    return total


def _at_once(groups: int, rows: int, columns: int, steps: int) -> bool:
    """Whether sums [rows, columns] of each group stay in the cache, and are small beside what is summed."""
    return rows * columns <= IN_CACHE and groups * rows <= steps


def _recurrent_blocks(cell: str, hidden_size: int) -> list[tuple[int, int, int]]:
    """Where the gradient of u stands in a step's gradient: (column, first gate row, last + 1)."""
    if cell == "gru":  # the candidate's recurrent part is scaled by the reset gate, so it stands apart
        return [(0, 0, 2 * hidden_size), (3 * hidden_size, 2 * hidden_size, 3 * hidden_size)]
    return [(0, 0, BLOCKS[cell] * hidden_size)]
