"""The plain recurrence over packed rows in differentiable torch: any device, type and order of derivative.

Runs the equations step by step. Slow on purpose: it is what the fast operators, which have the same
signatures, are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from gatelight.nn.equations import Cell
from gatelight.nn.padding import AnyPacking
from gatelight.nn.status import count
from gatelight.nn.trace import LayerTrace


def recurrent(
    cell: Cell,
    x: Tensor,
    index: Tensor | None,
    packing: AnyPacking,
    layers: Sequence[Mapping[str, list[Tensor]]],
    h_0: Tensor,
    c_0: Tensor,
    masks: list[Tensor],
    trace: bool = False,
) -> tuple[Tensor, Tensor, Tensor, list[LayerTrace]]:
    """Run layers one above the other, with the arguments and results of `autograd.recurrent`.

    And each layer's trace, if it is asked for. `cell` may have functions of its own; c_0 is not read where it
    has no cell state, and c_n means nothing then. A sequence of length zero ends in its initial state.
    """
    if not torch.compiler.is_compiling():  # there a run is not yet one
        count("equations")
    ends: list[tuple[Tensor, Tensor]] = []
    traces: list[LayerTrace] = []
    for number, weights in enumerate(layers):
        parts = []
        for d, (W, U) in enumerate(zip(weights["weight_ih"], weights["weight_hh"], strict=True)):
            b_ih, b_hh, p = (
                weights[kind][d] if kind in weights else None
                for kind in ("bias_ih", "bias_hh", "weight_peephole")
            )
            rows, block = linear(x, W, b_ih), len(ends)
            if index is not None and number == 0:
                rows = rows.index_select(0, index)
            own = U, U.new_zeros(len(U)) if b_hh is None else b_hh, p
            c = c_0[block] if cell.has_cell_state else None
            *pieces, h_n, c_n = _direction(cell, rows, packing, own, h_0[block], c, backwards=d == 1)
            parts.append(pieces)
            ends.append((h_n, c_n))
        hidden, saved, cells = (torch.cat(of_both, dim=1) for of_both in zip(*parts, strict=True))
        if trace:
            traces.append(LayerTrace(*(part.numpy(force=True) for part in (hidden, saved, cells))))
        x = hidden * masks[number] if masks[number:] else hidden
    h_n, c_n = (torch.stack(of_all) for of_all in zip(*ends, strict=True))
    return hidden, h_n, c_n, traces


def _direction(
    cell: Cell,
    rows: Tensor,
    packing: AnyPacking,
    weights: tuple[Tensor, Tensor, Tensor | None],
    h: Tensor,
    c: Tensor | None,
    *,
    backwards: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Hidden states [N, H], saved gates [N, S·H], cells [N, H] (if there are such), last states [B, H]."""
    steps = range(packing.steps)
    # One split: the gradient of a slice per step would each time be as large as all rows.
    inputs = rows.split_with_sizes(packing.alive.tolist()) if packing.rows else ()
    # Each begins with no row, since there may be no step.
    hidden, cells, saved = [h[:0]], [h[:0]], [h.new_empty(0, len(cell.saved) * h.shape[1])]
    for t in reversed(steps) if backwards else steps:
        alive = len(inputs[t])
        h_now, c_now, gates = cell.step(inputs[t], h[:alive], None if c is None else c[:alive], *weights)
        # Sequences without a step t keep their state: forwards it is their last one, backwards their first.
        h = torch.cat((h_now, h[alive:]))
        hidden.append(h_now)
        if c is not None and c_now is not None:
            c = torch.cat((c_now, c[alive:]))
            cells.append(c_now)
        saved.append(torch.cat(gates, dim=1) if gates else h_now[:, :0])
    ordered = (torch.cat(part[::-1] if backwards else part) for part in (hidden, saved, cells))
    return *ordered, h, h[:0] if c is None else c  # type: ignore[return-value]
