"""The fast path as PyTorch operators: `gatelight::recurrence` with its gradient; `linear` is its companion.

Knows tensors and packed rows; the arithmetic is in kernels/. Tensors are on the
CPU and of one dtype, float32 or float64. An operator never returns a view of what it was given, and its
results have the same bits at any number of threads.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gatelight.nn.equations import EQUATIONS
from gatelight.nn.kernels.recurrence import kept_shapes, recurrence_backward, recurrence_forward
from gatelight.nn.linear import array_of, check_dtype, linear
from gatelight.nn.packing import check_plan, check_tokens
from gatelight.nn.padding import AnyPacking
from gatelight.nn.registry import operator

__all__ = ["linear", "recurrence"]


def recurrence(
    cell: str,
    table: Tensor,
    token: Tensor | None,
    packing: AnyPacking,
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
    sequences = packing.sequences
    if h_0 is None:
        h_0 = table.new_zeros(directions, sequences, hidden_size)
    if c_0 is None or not EQUATIONS[cell].has_cell_state:
        c_0 = table.new_zeros(directions, sequences, hidden_size if EQUATIONS[cell].has_cell_state else 0)
    first, lengths = (
        place if isinstance(place, Tensor) else torch.from_numpy(place)
        for place in (packing.first, packing.lengths)
    )
    hidden, h_n, c_n, gates, cells = _recurrence(
        cell, table, token, first, lengths, weight_hh, bias_hh, peephole, h_0, c_0, keep
    )
    return hidden, h_n, c_n, gates, cells


def _arrays(*given: Any) -> list[Any]:
    return [array_of(one) if isinstance(one, Tensor) else one for one in given]


def _check(distinct: int, token: Tensor | None, first: Tensor, lengths: Tensor) -> None:
    # A program traced for one batch may bring the lengths of another; kernels do not look.
    check_plan(array_of(first), array_of(lengths), distinct if token is None else len(token))
    if token is not None:
        check_tokens(array_of(token), distinct)


def _recurrence_compute(
    cell: str, table: Tensor, token: Tensor | None, first: Tensor, lengths: Tensor, weight_hh: Tensor,
    bias_hh: Tensor, peephole: Tensor | None, h_0: Tensor, c_0: Tensor, keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    _check(table.shape[0], token, first, lengths)
    weight = weight_hh.transpose(1, 2)
    given = _arrays(cell, table, token, first, lengths, weight, bias_hh, peephole, h_0, c_0, keep)
    return tuple(torch.from_numpy(a) for a in recurrence_forward(*given))  # type: ignore[return-value]


def _recurrence_shapes(
    cell: str, table: Tensor, token: Tensor | None, first: Tensor, lengths: Tensor, weight_hh: Tensor,
    bias_hh: Tensor, peephole: Tensor | None, h_0: Tensor, c_0: Tensor, keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    rows = table.shape[0] if token is None else token.shape[0]
    directions, _, hidden_size = weight_hh.shape
    shapes = kept_shapes(cell, directions, hidden_size, c_0.shape[2], rows, keep)
    hidden, *kept = (table.new_empty(shape) for shape in shapes)
    return hidden, torch.empty_like(h_0), torch.empty_like(c_0), *kept  # type: ignore[return-value]


def _recurrence_setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    cell, table, token, first, lengths, weight_hh, _, peephole, h_0, c_0, keep = inputs
    hidden, _, _, *kept = output
    ctx.cell, ctx.distinct, ctx.keep = cell, table.shape[0], keep
    ctx.save_for_backward(token, first, lengths, weight_hh, peephole, h_0, c_0, hidden, *kept)
    ctx.mark_non_differentiable(*kept)
    ctx.set_materialize_grads(False)  # else each step would fill zeros as large as all that is kept


def _recurrence_gradient(
    ctx: Any, d_hidden: Tensor | None, d_h_n: Tensor | None, d_c_n: Tensor | None, *kept: None
) -> tuple[Tensor | None, ...]:
    if not ctx.keep:
        raise RuntimeError(
            "gatelight::recurrence was run with keep=False, so it has no gradient; run it with keep=True"
        )
    _, table, _, _, _, weight, bias, peephole, h_0, c_0, _ = ctx.needs_input_grad
    token, first, lengths, weight_hh, peepholes, *states, hidden, gates, cells = ctx.saved_tensors
    state = hidden.new_zeros(weight_hh.shape[0], lengths.shape[0], weight_hh.shape[2])
    d_table, d_weight, d_bias, d_peephole, d_h_0, d_c_0 = _recurrence_backward(
        ctx.cell,
        torch.zeros_like(hidden) if d_hidden is None else d_hidden,
        state if d_h_n is None else d_h_n,
        torch.zeros_like(states[1]) if d_c_n is None else d_c_n,
        ctx.distinct,
        *(token, first, lengths, weight_hh, peepholes, *states, hidden, gates, cells),
        bias,
    )
    asked = weight, bias, peephole, h_0, c_0
    found = d_weight, d_bias, d_peephole, d_h_0, d_c_0
    others = (gradient if wanted else None for gradient, wanted in zip(found, asked, strict=True))
    return None, d_table if table else None, None, None, None, *others, None


def _recurrence_backward_compute(
    cell: str, d_hidden: Tensor, d_h_n: Tensor, d_c_n: Tensor, distinct: int, token: Tensor | None,
    first: Tensor, lengths: Tensor, weight_hh: Tensor, peephole: Tensor | None, h_0: Tensor, c_0: Tensor,
    hidden: Tensor, gates: Tensor, cells: Tensor, need_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    _check(distinct, token, first, lengths)
    given = _arrays(
        cell, d_hidden, d_h_n, d_c_n, distinct, token, first, lengths, weight_hh, peephole, h_0, c_0, hidden,
        gates, cells, need_bias,
    )  # fmt: skip
    return tuple(torch.from_numpy(a) for a in recurrence_backward(*given))  # type: ignore[return-value]


def _recurrence_backward_shapes(
    cell: str, d_hidden: Tensor, d_h_n: Tensor, d_c_n: Tensor, distinct: int, token: Tensor | None,
    first: Tensor, lengths: Tensor, weight_hh: Tensor, peephole: Tensor | None, h_0: Tensor, c_0: Tensor,
    hidden: Tensor, gates: Tensor, cells: Tensor, need_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    directions, size, hidden_size = weight_hh.shape
    return (
        d_hidden.new_empty(distinct, directions * size),
        torch.empty_like(weight_hh),
        d_hidden.new_empty(directions, size if need_bias else 0),
        d_hidden.new_empty(directions, 3, hidden_size if peephole is not None else 0),
        torch.empty_like(d_h_n),
        torch.empty_like(c_0),
    )


_recurrence_backward = operator(
    "recurrence_backward", _recurrence_backward_compute, _recurrence_backward_shapes
)
_recurrence = operator(
    "recurrence", _recurrence_compute, _recurrence_shapes, _recurrence_gradient, _recurrence_setup
)
