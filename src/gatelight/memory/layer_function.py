"""A whole recurrent layer as one step of autograd: what a layer of ours runs on the CPU when nobody looks on.

Knows tensors on the CPU, of one dtype, float32 or float64. What traces or compiles a program meets the
operators one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatelight.memory.equations import EQUATIONS
from gatelight.memory.layer_arrays import Way, layer_backward, layer_forward
from gatelight.memory.linear import array_of, check_dtype
from gatelight.memory.packing import Packing
from gatelight.memory.padding import Layout
from gatelight.memory.registry import plain, refuse
from gatelight.memory.threads import beside_torch

States = tuple[Tensor | None, Tensor | None]
"""h_0 and c_0 [layers, directions, B, H]; None: zeros."""


def run_layers(
    cell: str,
    x: Tensor,
    token: Tensor | None,
    packing: Packing,
    kinds: Sequence[str],
    layers: Sequence[Sequence[Tensor]],
    initial: States,
    dropout: float = 0.0,
    layout: Layout | None = None,
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]] | None:
    """x [N, D], or [U, D] with token int32 [N] → hidden [N, directions·H], and of each layer h_n and c_n.

    A layer's weights stand kind by kind, each of all directions. None unless all is plain tensors on the CPU,
    and no tracing, no mode and no transform is under way.

    With `layout` x and hidden are padded as it says, and h_n and c_n in the order of the sequences there;
    else, as `initial` always is, in packed order. They are [directions, B, H]. `dropout` is torch's, between
    the layers. Differentiable once. Raises TypeError for unequal dtypes.
    """
    if torch.compiler.is_compiling() or not plain((x, *initial, *chain.from_iterable(layers))):
        return None
    last: list[tuple[Tensor, Tensor]] = []
    order = None if layout is None or layout.uniform else layout
    for number, weights in enumerate(layers):
        h_0, c_0 = (None if state is None else state[number] for state in initial)
        check_dtype(x, h_0, c_0, *weights)
        if number and dropout:
            x = nn.functional.dropout(x, dropout)
        keep = torch.is_grad_enabled() and any(
            t is not None and t.requires_grad for t in (x, h_0, c_0, *weights)
        )
        made = layout if number + 1 == len(layers) else None
        form = cell, packing, kinds, keep, None if number else layout, made, order
        x, *states = _Layer.apply(form, token, x, h_0, c_0, *weights)  # type: ignore[no-untyped-call]
        token = None
        last.append((states[0], states[1]))
    return x, last


Form = tuple[str, Packing, Sequence[str], bool, Layout | None, Layout | None, Layout | None]
"""Cell, packing, kinds of weights, whether there is a way back; then how x and hidden are padded (None: they
are packed rows), and the layout in whose order the last states are (None: packed order)."""

_goes_again: Callable[[], bool] = getattr(
    torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True
)
"""Whether the way back that is under way may be gone once more; yes where torch does not tell."""


class _Layer(torch.autograd.Function):
    @staticmethod
    @beside_torch
    def forward(
        ctx: Any,
        form: Form,
        token: Tensor | None,
        x: Tensor,
        h_0: Tensor | None,
        c_0: Tensor | None,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        cell, packing, kinds, keep, given, made, order = form
        directions = len(weights) // len(kinds)
        each = [array_of(weight) for weight in weights]
        arrays = {kind: each[k * directions : (k + 1) * directions] for k, kind in enumerate(kinds)}
        padded = x.numpy(force=True)
        given_c = c_0 if EQUATIONS[cell].has_cell_state else None
        tokens, h, c = (None if one is None else array_of(one) for one in (token, h_0, given_c))
        rows = np.ascontiguousarray(padded) if given is None else given.rows(padded)
        way = layer_forward(cell, rows, tokens, packing.first, packing.lengths, arrays, h, c, keep)
        hidden = torch.from_numpy(way.hidden if made is None else made.padded(way.hidden))
        ends = way.h_n, way.c_n
        h_n, c_n = (torch.from_numpy(a if order is None else order.unpacked(a)) for a in ends)
        if keep:
            # They are saved so that torch notices if somebody writes to them in the meantime; what is not
            # theirs, rows that were put together, is none of anybody's business.
            kept = torch.from_numpy(way.gates), torch.from_numpy(way.cells)
            shared = given is None or np.may_share_memory(padded, way.x), made is None or made.full
            own = [
                tensor if theirs else torch.from_numpy(rows)
                for theirs, tensor, rows in zip(shared, (x, hidden), (way.x, way.hidden), strict=True)
            ]
            ctx.save_for_backward(*own, *kept, h_0, c_0, *weights)
            # What is large is let go by torch as soon as the way back is gone.
            ctx.way = way[:-4]
            ctx.form, ctx.directions, ctx.shared = form, directions, shared
            ctx.set_materialize_grads(False)
        return hidden, h_n, c_n

    @staticmethod
    def backward(
        ctx: Any, d_hidden: Tensor | None, d_h_n: Tensor | None, d_c_n: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        if not torch.is_grad_enabled():
            return _Layer._back(ctx, d_hidden, d_h_n, d_c_n)
        with torch.no_grad():
            found = _Layer._back(ctx, d_hidden, d_h_n, d_c_n)
        # Somebody may ask for a second derivative; without this it would silently be wrong.
        given = [t for t in (d_hidden, d_h_n, d_c_n, *ctx.saved_tensors) if t is not None]
        return tuple(None if gradient is None else _Once.apply(gradient, *given) for gradient in found)  # type: ignore[no-untyped-call]

    @staticmethod
    @beside_torch
    def _back(
        ctx: Any, d_hidden: Tensor | None, d_h_n: Tensor | None, d_c_n: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        cell, _, kinds, _, given, made, order = ctx.form
        x, hidden, gates, cells = (tensor.numpy(force=True) for tensor in ctx.saved_tensors[:4])
        if given is not None and ctx.shared[0]:
            x = given.rows(x)
        if made is not None and ctx.shared[1]:
            hidden = made.rows(hidden)
        way = Way._make((*ctx.way, np.ascontiguousarray(x), hidden, gates, cells))
        directions, needs = ctx.directions, ctx.needs_input_grad
        of_weights = needs[5:]
        wanted = {
            kind: any(of_weights[k * directions : (k + 1) * directions]) for k, kind in enumerate(kinds)
        }
        if d_hidden is None:
            d_rows = np.zeros_like(hidden)
        else:
            d_rows = array_of(d_hidden) if made is None else made.rows(d_hidden.numpy(force=True))
        d_h, d_c = (
            None if d is None else array_of(d) if order is None else order.packed(d.numpy(force=True))
            for d in (d_h_n, d_c_n if EQUATIONS[cell].has_cell_state else None)
        )
        found = layer_backward(way, d_rows, d_h, d_c, needs[2], wanted, overwrite=not _goes_again())
        gradients: list[Tensor | None] = []
        for kind in kinds:
            parts = found.weights.get(kind)
            gradients += [None] * directions if parts is None else map(torch.from_numpy, parts)
        d_x = None
        if needs[2]:
            d_x = torch.from_numpy(found.x if given is None else given.padded(found.x, contiguous=True))
        return (
            None,
            None,
            d_x,
            torch.from_numpy(found.h_0) if needs[3] else None,
            torch.from_numpy(found.c_0) if needs[4] else None,
            *gradients,
        )


class _Once(torch.autograd.Function):
    """A first derivative, which has none itself."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *given: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    backward = staticmethod(refuse)
