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
    sizes, rows = array_of(lengths), len(hidden)
    dtype = d_out.dtype
    block = BLOCKS[cell] * hidden_size
    d_gates = buffers.empty((rows, directions * block), dtype)
    d_h_0, d_c_0 = np.empty(d_h_n.shape, dtype), np.empty(c_0.shape, dtype)
    groups = -(-len(sizes) // kernels.GROUP)
    d_peephole = np.empty((groups, directions, 3, hidden_size if peephole is not None else 0), dtype)
    forward = [array_of(t) for t in (h_0, c_0, gates, cells, hidden)]
    step_cell = cell_weights(cell, None if peephole is None else array_of(peephole), dtype)
    starts = array_of(first)
    from_above = d_out, array_of(d_h_n), array_of(d_c_n)

    def part(d: int, begin: int, end: int) -> None:
        kernels.backward(
            step_cell,
            d,
            begin,
            end,
            starts,
            sizes,
            weight,
            *forward,
            *from_above,
            d_gates,
            d_h_0,
            d_c_0,
            d_peephole,
        )

    work = rows * weight.size
    threads.run([partial(part, d, *cut) for cut in parts_of(sizes, work) for d in range(directions)], work)

    d_weight = np.empty(weight.shape, dtype)
    d_bias = np.empty((directions, size if need_bias else 0), dtype)
    # Where each row is its own token there is nothing to sum, unless more than that gradient was written.
    own = token is None and block == size
    d_table = d_gates if own else buffers.empty((distinct, directions * size), dtype)
    tokens = token_rows(None if token is None else array_of(token), rows)
    tasks: list[threads.Task] = []
    last: list[threads.Task] = []
    for d in range(directions):
        before = np.empty(rows, np.int32)
        kernels.rows_before(d, starts, sizes, before)
        if not own:
            columns = d * block, d * block + size
            tasks.append(partial(kernels.sum_by_token, d_gates, *columns, tokens, d_table, d * size))
        for at, begin, end in _recurrent_blocks(cell, hidden_size):
            column = d * block + at
            parts, finish = product.chosen_times(
                d_gates, column, forward[4], d * hidden_size, (before, forward[0][d]), d_weight[d, begin:end]
            )
            tasks += parts
            last.append(finish)
            if need_bias:
                tasks.append(partial(product.column_sums, d_gates, column, d_bias[d, begin:end]))
    threads.run(tasks, work)
    for finish in last:
        finish()
    summed = d_peephole.sum(0) if groups else np.zeros(d_peephole.shape[1:], dtype)
    return tuple(torch.from_numpy(a) for a in (d_table, d_weight, d_bias, summed, d_h_0, d_c_0))  # type: ignore[return-value]


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
