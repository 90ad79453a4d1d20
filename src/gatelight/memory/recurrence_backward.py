"""The computation behind the gradient of `gatelight::recurrence`: back through the kernels, then the sums.

Tensors are on the CPU and of one dtype, float32 or float64.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from gatelight.memory import buffers, kernels, product, threads
from gatelight.memory.linear import array_of
from gatelight.memory.recurrence_forward import cell_weights, parts_of, token_rows
from gatelight.memory.steps import BLOCKS

IN_CACHE = 1 << 12
"""Elements up to which what a group sums stays in the first-level cache from step to step."""

FEW = 4
"""Rows of a step, on average, from which on their share of a weight's gradient is added at once."""


def recurrence_backward(
    cell: str,
    d_hidden: Tensor,
    d_h_n: Tensor,
    d_c_n: Tensor,
    distinct: int,
    token: Tensor | None,
    first: Tensor,
    lengths: Tensor,
    weight_hh: Tensor,
    peephole: Tensor | None,
    h_0: Tensor,
    c_0: Tensor,
    hidden: Tensor,
    gates: Tensor,
    cells: Tensor,
    need_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return the gradients of table [U, ·], weight_hh, bias_hh, peephole, h_0 and c_0, unused ones empty."""
    weight, d_out = array_of(weight_hh), array_of(d_hidden)
    directions, size, hidden_size = weight.shape
    sizes, rows, dtype = array_of(lengths), len(hidden), d_out.dtype
    width, groups = directions * BLOCKS[cell] * hidden_size, -(-len(sizes) // kernels.GROUP)
    # Where each row is its own token there is nothing to sum, unless more than that gradient was written.
    own = token is None and width == directions * size
    # A few rows at a time would spend more on the sums' way in and out of registers than on adding.
    weight_at_once = rows >= FEW * len(first) and _at_once(groups, hidden_size, size, rows)
    table_at_once = weight_at_once and not own and _at_once(groups, distinct, directions * size, rows)
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
    forward = [array_of(t) for t in (h_0, c_0, gates, cells, hidden)]
    step_cell = cell_weights(cell, None if peephole is None else array_of(peephole), dtype)
    starts, tokens = array_of(first), token_rows(None if token is None else array_of(token), rows)
    from_above = d_out, array_of(d_h_n), array_of(d_c_n)

    def part(d: int, begin: int, end: int) -> None:
        written = np.empty((kernels.GROUP, width), dtype) if table_at_once else d_gates
        kernels.backward(
            step_cell, d, begin, end, starts, sizes, weight, *forward, *from_above, tokens,
            not table_at_once, written, d_h_0, d_c_0, *sums,
        )  # fmt: skip

    work = rows * weight.size
    threads.run([partial(part, d, *cut) for cut in parts_of(sizes, work) for d in range(directions)], work)

    d_table, d_weight, sum_of_bias, d_peephole = (a[0] if len(a) == 1 else a.sum(0) for a in sums)
    tasks: list[threads.Task] = []
    last: list[threads.Task] = []
    if own:
        d_table = d_gates
    elif not table_at_once:
        d_table = buffers.empty((distinct, directions * size), dtype)
        tasks += product.sums_by_token(d_gates, tokens, d_table, directions)
    if weight_at_once:
        d_weight = torch.from_numpy(d_weight).transpose(1, 2).contiguous().numpy()
    else:
        d_weight = np.empty(weight.shape, dtype)
    d_bias = np.empty((directions, size if need_bias else 0), dtype)
    for at, begin, end in _recurrent_blocks(cell, hidden_size):
        if need_bias:
            d_bias[:, begin:end] = sum_of_bias[:, at : at + end - begin]
        for d in range(0 if weight_at_once else directions):
            before = np.empty(rows, np.int32)
            kernels.rows_before(d, starts, sizes, before)
            parts, finish = product.chosen_times(
                d_gates, d * width // directions + at, forward[4], d * hidden_size, (before, forward[0][d]),
                d_weight[d, begin:end],
            )  # fmt: skip
            tasks += parts
            last.append(finish)
    threads.run(tasks, work)
    for finish in last:
        finish()
    return tuple(torch.from_numpy(a) for a in (d_table, d_weight, d_bias, d_peephole, d_h_0, d_c_0))  # type: ignore[return-value]


def _at_once(groups: int, rows: int, columns: int, steps: int) -> bool:
    """Whether sums [rows, columns] of each group stay in the cache, and are small beside what is summed."""
    return rows * columns <= IN_CACHE and groups * rows <= steps


def _recurrent_blocks(cell: str, hidden_size: int) -> list[tuple[int, int, int]]:
    """Where the gradient of u stands in a step's gradient: (column, first gate row, last + 1)."""
    if cell == "gru":  # the candidate's recurrent part is scaled by the reset gate, so it stands apart
        return [(0, 0, 2 * hidden_size), (3 * hidden_size, 2 * hidden_size, 3 * hidden_size)]
    return [(0, 0, BLOCKS[cell] * hidden_size)]


def recurrence_backward_shapes(
    cell: str,
    d_hidden: Tensor,
    d_h_n: Tensor,
    d_c_n: Tensor,
    distinct: int,
    token: Tensor | None,
    first: Tensor,
    lengths: Tensor,
    weight_hh: Tensor,
    peephole: Tensor | None,
    h_0: Tensor,
    c_0: Tensor,
    hidden: Tensor,
    gates: Tensor,
    cells: Tensor,
    need_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return empty tensors of the shapes that `recurrence_backward` gives."""
    directions, size, hidden_size = weight_hh.shape
    return (
        d_hidden.new_empty(distinct, directions * size),
        torch.empty_like(weight_hh),
        d_hidden.new_empty(directions, size if need_bias else 0),
        d_hidden.new_empty(directions, 3, hidden_size if peephole is not None else 0),
        torch.empty_like(d_h_n),
        torch.empty_like(c_0),
    )
