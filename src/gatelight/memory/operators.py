"""The fast path as PyTorch operators: `gatelight::recurrence` with its gradient; `linear` is its companion.

Knows tensors and packed rows; the arithmetic is in kernels.py and product.py. Tensors are on the CPU
and of one dtype, float32 or float64. An operator never returns a view of what it was given, and its
results have the same bits at any number of threads.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatelight.memory import kernels, product, threads
from gatelight.memory.equations import EQUATIONS
from gatelight.memory.linear import array_of, check_dtype, linear
from gatelight.memory.packing import Packing
from gatelight.memory.steps import GRUCell, LSTMCell, PeepholeCell, RNNCell

__all__ = ["linear", "recurrence"]

Array = np.ndarray[Any, np.dtype[Any]]

CELL_CLASSES: dict[str, type] = {"rnn": RNNCell, "lstm": LSTMCell, "peephole": PeepholeCell, "gru": GRUCell}

GRADIENT_BLOCKS = {"rnn": 1, "lstm": 4, "peephole": 4, "gru": 4}
"""Blocks of H of a step's gradient: of the input product, then GRU's recurrent candidate."""

TASK_WORK = 1 << 21
"""Multiply-adds of a recurrence below which a second thread costs more than it saves."""


def recurrence(
    cell: str,
    table: Tensor,
    token: Tensor | None,
    packing: Packing,
    weight_hh: Tensor,
    bias_hh: Tensor,
    peephole: Tensor | None = None,
    h_0: Tensor | None = None,
    c_0: Tensor | None = None,
    trace: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Run one layer, all its directions, over packed rows; differentiable in every floating tensor.

    table [U, directions·G]: input products with bias, of the distinct inputs; token [N] int32: row of
    `table` for each packed row, None when they are the same; weight_hh [directions, G, H]; bias_hh
    [directions, G]; peephole [directions, 3, H] (i, f, o) for that cell alone; h_0, c_0
    [directions, B, H] in packed order, None means zeros.
    Returns hidden [N, directions·H]; h_n, c_n [directions, B, H]; and with `trace`, or when a gradient
    will be asked for, the gates [N, directions·S·H] and cell states [N, directions·H], else empty ones.
    Raises TypeError for another dtype than float32 or float64, or unequal ones.
    """
    check_dtype(table, weight_hh, bias_hh, peephole, h_0, c_0)
    given = [t for t in (table, weight_hh, bias_hh, peephole, h_0, c_0) if t is not None]
    keep = trace or (torch.is_grad_enabled() and any(t.requires_grad for t in given))
    directions, _, hidden_size = weight_hh.shape
    sequences = len(packing.lengths)
    if h_0 is None:
        h_0 = table.new_zeros(directions, sequences, hidden_size)
    if c_0 is None or not EQUATIONS[cell].has_cell_state:
        c_0 = table.new_zeros(directions, sequences, hidden_size if EQUATIONS[cell].has_cell_state else 0)
    first, lengths = torch.from_numpy(packing.first), torch.from_numpy(packing.lengths)
    hidden, h_n, c_n, gates, cells, _, _ = _recurrence(
        cell, table, token, first, lengths, weight_hh, bias_hh, peephole, h_0, c_0, keep
    )
    return hidden, h_n, c_n, gates, cells


def _cell(name: str, peephole: Tensor | None, like: Array) -> Any:
    weights = np.zeros((1, 1), like.dtype) if peephole is None else array_of(peephole)
    return CELL_CLASSES[name](weights)


def _token_array(token: Tensor | None, rows: int) -> Array:
    return np.arange(rows, dtype=np.int32) if token is None else array_of(token)


def _parts(lengths: Array, rows: int, work_per_row: int) -> list[tuple[int, int]]:
    """Cut the sequences into tasks of whole groups; which task a group falls into changes no bit."""
    groups = -(-len(lengths) // kernels.GROUP)
    if threads.threads() == 1 or groups <= 1 or rows * work_per_row < TASK_WORK:
        return [(0, len(lengths))]
    size = kernels.GROUP * max(1, groups // (4 * threads.threads()))
    return [(begin, min(len(lengths), begin + size)) for begin in range(0, len(lengths), size)]


@torch.library.custom_op("gatelight::recurrence", mutates_args=(), device_types="cpu")
def _recurrence(
    cell: str,
    table: Tensor,
    token: Tensor | None,
    first: Tensor,
    lengths: Tensor,
    weight_hh: Tensor,
    bias_hh: Tensor,
    peephole: Tensor | None,
    h_0: Tensor,
    c_0: Tensor,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    rows = len(table) if token is None else len(token)
    shapes = _recurrence_shapes(cell, weight_hh, c_0, rows, keep)
    inputs = array_of(table)
    hidden, gates, cells, seen, before = (np.empty(shape, inputs.dtype) for shape in shapes)
    h_n, c_n = np.empty(h_0.shape, inputs.dtype), np.empty(c_0.shape, inputs.dtype)
    tokens, starts, sizes = _token_array(token, rows), array_of(first), array_of(lengths)
    weight = np.ascontiguousarray(weight_hh.detach().numpy().transpose(0, 2, 1))
    step_cell, bias = _cell(cell, peephole, inputs), array_of(bias_hh)
    states = array_of(h_0), array_of(c_0)

    def part(d: int, begin: int, end: int) -> None:
        scratch = (gates, cells, seen, before)
        if not keep:
            scratch = tuple(np.empty((kernels.GROUP, a.shape[1]), a.dtype) for a in scratch)  # type: ignore[assignment]
        kernels.forward(
            step_cell, d, begin, end, inputs, tokens, starts, sizes, weight, bias, *states, keep, *scratch,
            hidden, h_n, c_n,
        )  # fmt: skip

    parts = _parts(sizes, rows, weight[0].size)
    threads.run([partial(part, d, begin, end) for begin, end in parts for d in range(len(weight))])
    return tuple(torch.from_numpy(a) for a in (hidden, h_n, c_n, gates, cells, seen, before))  # type: ignore[return-value]


def _recurrence_shapes(
    cell: str, weight_hh: Tensor, c_0: Tensor, rows: Any, keep: bool
) -> list[tuple[Any, Any]]:
    """Shapes of hidden, gates, cells, seen, before."""
    directions, _, hidden_size = weight_hh.shape
    kept = rows if keep else 0
    width, state = directions * hidden_size, directions * c_0.shape[2]
    return [
        (rows, width),
        (kept, len(EQUATIONS[cell].saved) * width),
        (kept, state),
        (kept, state),
        (kept, width),
    ]


@_recurrence.register_fake
def _(
    cell: str,
    table: Tensor,
    token: Tensor | None,
    first: Tensor,
    lengths: Tensor,
    weight_hh: Tensor,
    bias_hh: Tensor,
    peephole: Tensor | None,
    h_0: Tensor,
    c_0: Tensor,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    rows = table.shape[0] if token is None else token.shape[0]
    hidden, *kept = (table.new_empty(s) for s in _recurrence_shapes(cell, weight_hh, c_0, rows, keep))
    return hidden, torch.empty_like(h_0), torch.empty_like(c_0), *kept  # type: ignore[return-value]


@torch.library.custom_op("gatelight::recurrence_backward", mutates_args=(), device_types="cpu")
def _recurrence_backward(
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
    c_0: Tensor,
    hidden: Tensor,
    gates: Tensor,
    cells: Tensor,
    seen: Tensor,
    before: Tensor,
    need_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    weight, d_out = array_of(weight_hh), array_of(d_hidden)
    directions, size, hidden_size = weight.shape
    sizes, rows = array_of(lengths), len(hidden)
    dtype = d_out.dtype
    block = GRADIENT_BLOCKS[cell] * hidden_size
    d_gates = np.empty((rows, directions * block), dtype)
    d_h_0, d_c_0 = np.empty(d_h_n.shape, dtype), np.empty(c_0.shape, dtype)
    groups = -(-len(sizes) // kernels.GROUP)
    d_peephole = np.empty((groups, directions, 3, hidden_size if peephole is not None else 0), dtype)
    forward = [array_of(t) for t in (c_0, gates, cells, seen, before, hidden)]
    step_cell, starts = _cell(cell, peephole, d_out), array_of(first)
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

    parts = _parts(sizes, rows, weight[0].size)
    threads.run([partial(part, d, begin, end) for begin, end in parts for d in range(directions)])

    d_weight = np.empty(weight.shape, dtype)
    d_bias = np.empty((directions, size if need_bias else 0), dtype)
    d_table = np.zeros((distinct, directions * size), dtype)
    tokens = _token_array(token, rows)
    tasks: list[threads.Task] = []
    for d in range(directions):
        tasks.append(
            partial(kernels.sum_by_token, d_gates, d * block, d * block + size, tokens, d_table, d * size)
        )
        for at, begin, end in _recurrent_blocks(cell, hidden_size):
            columns = d * block + at
            tasks += product.transposed_times(
                d_gates, columns, forward[4], d * hidden_size, d_weight[d, begin:end]
            )
            if need_bias:
                tasks.append(partial(product.column_sums, d_gates, columns, d_bias[d, begin:end]))
    threads.run(tasks)
    summed = d_peephole.sum(0) if groups else np.zeros(d_peephole.shape[1:], dtype)
    return tuple(torch.from_numpy(a) for a in (d_table, d_weight, d_bias, summed, d_h_0, d_c_0))  # type: ignore[return-value]


def _recurrent_blocks(cell: str, hidden_size: int) -> list[tuple[int, int, int]]:
    """Where the gradient of u stands in a step's gradient: (column, first gate row, last + 1)."""
    if cell == "gru":  # the candidate's recurrent part is scaled by the reset gate, so it stands apart
        return [(0, 0, 2 * hidden_size), (3 * hidden_size, 2 * hidden_size, 3 * hidden_size)]
    return [(0, 0, GRADIENT_BLOCKS[cell] * hidden_size)]


@_recurrence_backward.register_fake
def _(
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
    c_0: Tensor,
    hidden: Tensor,
    gates: Tensor,
    cells: Tensor,
    seen: Tensor,
    before: Tensor,
    need_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    directions, size, hidden_size = weight_hh.shape
    return (
        d_hidden.new_empty(distinct, directions * size),
        torch.empty_like(weight_hh),
        d_hidden.new_empty(directions, size if need_bias else 0),
        d_hidden.new_empty(directions, 3, hidden_size if peephole is not None else 0),
        torch.empty_like(d_h_n),
        torch.empty_like(c_0),
    )


def _recurrence_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    cell, table, token, first, lengths, weight_hh, _, peephole, _, c_0, keep = inputs
    hidden, _, _, *kept = output
    ctx.cell, ctx.distinct, ctx.keep = cell, table.shape[0], keep
    ctx.save_for_backward(token, first, lengths, weight_hh, peephole, c_0, hidden, *kept)
    ctx.mark_non_differentiable(*kept)


def _recurrence_gradient(
    ctx: Any, d_hidden: Tensor, d_h_n: Tensor, d_c_n: Tensor, *kept: Tensor
) -> tuple[Tensor | None, ...]:
    if not ctx.keep:
        raise RuntimeError(
            "gatelight::recurrence was run with keep=False, so it has no gradient; run it with keep=True"
        )
    _, table, _, _, _, weight, bias, peephole, h_0, c_0, _ = ctx.needs_input_grad
    d_table, d_weight, d_bias, d_peephole, d_h_0, d_c_0 = _recurrence_backward(
        ctx.cell, d_hidden, d_h_n, d_c_n, ctx.distinct, *ctx.saved_tensors, bias
    )
    return (
        None,
        d_table if table else None,
        None,
        None,
        None,
        d_weight if weight else None,
        d_bias if bias else None,
        d_peephole if peephole else None,
        d_h_0 if h_0 else None,
        d_c_0 if c_0 else None,
        None,
    )


_recurrence.register_autograd(_recurrence_gradient, setup_context=_recurrence_setup)
