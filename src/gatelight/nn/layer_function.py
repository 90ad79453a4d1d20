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

from gatelight.nn.equations import EQUATIONS
from gatelight.nn.layer_arrays import Saved, layer_backward, layer_forward
from gatelight.nn.linear import Array, array_of
from gatelight.nn.packing import Packing, check_tokens
from gatelight.nn.padding import Layout
from gatelight.nn.registry import plain, refuse

States = tuple[Tensor | None, Tensor | None]
"""h_0 and c_0 [layers, directions, B, H]; None: zeros."""


def runs_whole(x: Tensor, initial: States, layers: Sequence[Sequence[Tensor]]) -> bool:
    """Whether `run_layers` may: plain tensors of one dtype on the CPU, no tracing, mode or transform on."""
    if torch.compiler.is_compiling():
        return False
    given = x, *initial, *chain.from_iterable(layers)
    return len({one.dtype for one in given if one is not None}) == 1 and plain(given)


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
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """x [N, D], or [U, D] with token int32 [N] → hidden [N, directions·H], and of each layer h_n and c_n.

    A layer's weights stand kind by kind, each of all directions. For what `runs_whole`.

    With `layout` x and hidden are padded as it says, and h_n and c_n in the order of the sequences there;
    else, as `initial` always is, in packed order. They are [directions, B, H]. `dropout` is torch's, between
    the layers. Differentiable once.
    """
    last: list[tuple[Tensor, Tensor]] = []
    order = None if layout is None or layout.uniform else layout
    for number, weights in enumerate(layers):
        h_0, c_0 = [None if state is None else state[number] for state in initial]
        if number and dropout:
            x = nn.functional.dropout(x, dropout)
        given, rows, shared = None, None, True
        if not number and layout is not None:
            given, padded = layout, x.numpy(force=True)
            rows = layout.rows(padded)
            shared = layout.full and np.may_share_memory(padded, rows)
        told = (x, h_0, c_0, *weights) if torch.is_grad_enabled() else ()
        keep = any(one is not None and one.requires_grad for one in told)
        made = layout if number + 1 == len(layers) else None
        form = cell, packing, kinds, keep, given, made, order
        x, *states = _apply(form, rows, shared, token, x, h_0, c_0, *weights)
        token = None
        last.append((states[0], states[1]))
    return x, last


Form = tuple[str, Packing, Sequence[str], bool, Layout | None, Layout | None, Layout | None]
"""Cell, packing, kinds of weights, whether there will be a backward pass; then how x and hidden are padded
(None: they are packed rows), and the layout in whose order the last states are (None: packed order)."""

_runs_again: Callable[[], bool] = getattr(
    torch._C._autograd, "_get_current_graph_task_keep_graph", lambda: True
)
"""Whether the backward pass that runs may be run once more; yes where torch does not tell."""


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        form: Form,
        rows: Array | None,
        own: bool,
        token: Tensor | None,
        x: Tensor,
        h_0: Tensor | None,
        c_0: Tensor | None,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        cell, packing, kinds, keep, _, made, order = form
        directions = len(weights) // len(kinds)
        each = [array_of(weight) for weight in weights]
        arrays = {kind: each[k * directions : (k + 1) * directions] for k, kind in enumerate(kinds)}
        rows = array_of(x) if rows is None else rows
        if token is not None:
            check_tokens(array_of(token), len(x))
        given_c = c_0 if EQUATIONS[cell].has_cell_state else None
        tokens, h, c = [None if one is None else array_of(one) for one in (token, h_0, given_c)]
        saved = layer_forward(
            cell, rows, tokens, packing.first, packing.lengths, arrays, h, c, keep,
            order=None if order is None else packing.order,
        )  # fmt: skip
        hidden = torch.from_numpy(saved.hidden if made is None else made.padded(saved.hidden))
        h_n, c_n = torch.from_numpy(saved.h_n), torch.from_numpy(saved.c_n)
        if keep:
            # They are saved so that torch notices if somebody writes to them in the meantime; what is not
            # theirs, rows that were put together, is none of anybody's business.
            kept = torch.from_numpy(saved.gates), torch.from_numpy(saved.cells)
            shared = own, made is None or made.full
            own_x = x if shared[0] else torch.from_numpy(saved.x)
            own_hidden = hidden if shared[1] else torch.from_numpy(saved.hidden)
            ctx.save_for_backward(own_x, own_hidden, *kept, h_0, c_0, *weights)
            # What is large is let go by torch as soon as the backward pass is done.
            ctx.saved = saved[:-4]
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
    def _back(
        ctx: Any, d_hidden: Tensor | None, d_h_n: Tensor | None, d_c_n: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        cell, _, kinds, _, given, made, order = ctx.form
        d_rows = None
        if d_hidden is not None:
            d_rows = array_of(d_hidden) if made is None else made.rows(d_hidden.numpy(force=True))
        x, hidden, gates, cells = [tensor.numpy(force=True) for tensor in ctx.saved_tensors[:4]]
        if given is not None and ctx.shared[0]:
            x = given.rows(x)
        if made is not None and ctx.shared[1]:
            hidden = made.rows(hidden)
        if ctx.saved[3] is not None:  # somebody may have written to it in the meantime
            check_tokens(ctx.saved[3], len(x))
        saved = Saved._make((*ctx.saved, np.ascontiguousarray(x), hidden, gates, cells))
        directions, needs = ctx.directions, ctx.needs_input_grad
        of_weights = needs[7:]
        wanted = {
            kind: any(of_weights[k * directions : (k + 1) * directions]) for k, kind in enumerate(kinds)
        }
        if d_rows is None:
            d_rows = np.zeros_like(hidden)
        d_h, d_c = [
            None if d is None else array_of(d) if order is None else order.packed(d.numpy(force=True))
            for d in (d_h_n, d_c_n if EQUATIONS[cell].has_cell_state else None)
        ]
        found = layer_backward(saved, d_rows, d_h, d_c, needs[4], wanted, overwrite=not _runs_again())
        gradients: list[Tensor | None] = []
        for kind in kinds:
            parts = found.weights.get(kind)
            gradients += [None] * directions if parts is None else map(torch.from_numpy, parts)
        d_x = None
        if needs[4]:
            d_x = torch.from_numpy(found.x if given is None else given.padded(found.x, contiguous=True))
        return (
            *(None,) * 4,
            d_x,
            torch.from_numpy(found.h_0) if needs[5] else None,
            torch.from_numpy(found.c_0) if needs[6] else None,
            *gradients,
        )


_apply: Callable[..., Any] = super(torch.autograd.Function, _Layer).apply
"""What torch calls once it knows that no transform of functions is on, as `plain` does."""


class _Once(torch.autograd.Function):
    """A first derivative, which has none itself."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *given: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    backward = staticmethod(refuse)
