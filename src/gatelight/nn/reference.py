"""The plain recurrence over packed rows in differentiable torch: any device, type and order of derivative.

Runs the equations step by step. Slow on purpose: it is what the fast operators, which have the same
signatures, are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gatelight.nn.equations import EQUATIONS, Cell
from gatelight.nn.padding import AnyPacking
from gatelight.nn.status import count
from gatelight.nn.trace import LayerTrace


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [M, D], weight [G, D], bias [G] → [M, G]."""
    return torch.nn.functional.linear(x, weight, bias)


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

    And each layer's trace, if it is asked for.
    """
    if not torch.compiler.is_compiling():  # there a run is not yet one
        count("equations")
    ends: list[tuple[Tensor, Tensor]] = []
    traces: list[LayerTrace] = []
    directions = len(layers[0]["weight_hh"])
    for number, weights in enumerate(layers):
        bias_ih, bias_hh = weights.get("bias_ih"), weights.get("bias_hh")
        weight_hh, peephole = torch.stack(weights["weight_hh"]), weights.get("weight_peephole")
        table = linear(x, torch.cat(weights["weight_ih"]), None if bias_ih is None else torch.cat(bias_ih))
        here = slice(number * directions, (number + 1) * directions)
        hidden, h_n, c_n, saved, cells = recurrence(
            cell,
            table,
            None if number else index,
            packing,
            weight_hh,
            weight_hh.new_zeros(weight_hh.shape[:2]) if bias_hh is None else torch.stack(bias_hh),
            None if peephole is None else torch.stack(peephole),
            h_0[here],
            c_0[here],
            trace,
        )
        ends.append((h_n, c_n))
        if trace:
            traces.append(LayerTrace(*(part.numpy(force=True) for part in (hidden, saved, cells))))
        x = hidden * masks[number] if masks[number:] else hidden
    h_n, c_n = (torch.cat(parts) for parts in zip(*ends, strict=True))
    return hidden, h_n, c_n, traces


def recurrence(
    cell: str | Cell,
    table: Tensor,
    token: Tensor | None,
    packing: AnyPacking,
    weight_hh: Tensor,
    bias_hh: Tensor,
    peephole: Tensor | None,
    h_0: Tensor | None,
    c_0: Tensor | None,
    trace: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Run one layer; returns (hidden, h_n, c_n, saved gates, cells).

    `cell` is a name of EQUATIONS or a cell of other functions (as `interop.keras.recurrent` makes).
    table [U, dirs·G] is the input product with its bias, token [N] the table row of every packed row (None:
    rows in order); weight_hh [dirs, G, H], bias_hh [dirs, G], peephole [dirs, 3, H]; h_0 and c_0 [dirs, B, H]
    in packed order (None: zeros). Direction 1 runs backwards.
    hidden and cells are [N, dirs·H], h_n and c_n [dirs, B, H], saved gates [N, dirs·S·H] as Cell.saved says.
    c_n and cells are empty for cells without a cell state, saved gates and cells are empty unless `trace`.
    A sequence of length zero ends in its initial state.
    """
    equation = EQUATIONS[cell] if isinstance(cell, str) else cell
    directions, gates, size = weight_hh.shape
    zeros = table.new_zeros(directions, packing.sequences, size)
    h_0 = zeros if h_0 is None else h_0
    c_0 = zeros if c_0 is None else c_0
    rows = table if token is None else table.index_select(0, token)
    parts = [
        _direction(
            equation,
            rows[:, d * gates : (d + 1) * gates],
            packing,
            backwards=d == 1,
            U=weight_hh[d],
            b=bias_hh[d],
            p=None if peephole is None else peephole[d],
            h_0=h_0[d],
            c_0=c_0[d] if equation.has_cell_state else None,
            trace=trace,
        )
        for d in range(directions)
    ]
    nothing = table.new_empty(0)
    hidden, h_n, c_n, saved, cells = zip(*parts, strict=True)
    return (
        torch.cat(hidden, dim=1),
        torch.stack(h_n),
        torch.stack(c_n) if equation.has_cell_state else nothing,
        torch.cat(saved, dim=1) if trace else nothing,
        torch.cat(cells, dim=1) if trace and equation.has_cell_state else nothing,
    )


def _direction(
    equation: Cell,
    rows: Tensor,
    packing: AnyPacking,
    *,
    backwards: bool,
    U: Tensor,
    b: Tensor,
    p: Tensor | None,
    h_0: Tensor,
    c_0: Tensor | None,
    trace: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    steps = range(packing.steps)
    # One split: the gradient of a slice per step would each time be as large as all rows.
    inputs = rows.split_with_sizes(packing.alive.tolist()) if packing.rows else ()
    h, c = h_0, c_0
    hidden: list[Tensor] = []
    saved: list[Tensor] = []
    cells: list[Tensor] = []
    for t in reversed(steps) if backwards else steps:
        alive = len(inputs[t])
        before = None if c is None else c[:alive]
        h_now, c_now, gates = equation.step(inputs[t], h[:alive], before, U, b, p)
        # Sequences without a step t keep their state: forwards it is their last one, backwards their first.
        h = torch.cat((h_now, h[alive:]))
        hidden.append(h_now)
        if c is not None and c_now is not None:
            c = torch.cat((c_now, c[alive:]))
            cells.append(c_now)
        if trace:
            saved.append(torch.cat(gates, dim=1) if gates else h_now[:, :0])
    return (
        _in_time_order(hidden, backwards, rows.new_empty(0, U.shape[1])),
        h,
        rows.new_empty(0) if c is None else c,
        _in_time_order(saved, backwards, rows.new_empty(0, len(equation.saved) * U.shape[1])),
        _in_time_order(cells, backwards, rows.new_empty(0, U.shape[1])),
    )


def _in_time_order(pieces: list[Tensor], backwards: bool, nothing: Tensor) -> Tensor:
    if not pieces:
        return nothing
    return torch.cat(pieces[::-1] if backwards else pieces)
