"""A whole recurrent layer as one step of autograd: what a layer of ours runs on the CPU when nobody looks on.

Knows tensors on the CPU, of one dtype, float32 or float64. What traces or compiles a program meets the
operators one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatelight.memory.equations import EQUATIONS
from gatelight.memory.layer_arrays import layer_backward, layer_forward
from gatelight.memory.linear import array_of, check_dtype
from gatelight.memory.packing import Packing
from gatelight.memory.registry import plain, refuse

Weights = dict[str, list[Tensor]]
"""By kind, a tensor for each direction."""
States = tuple[Tensor | None, Tensor | None]
"""h_0 and c_0 [layers, directions, B, H]; None: zeros."""


def serves(x: Tensor, initial: States, layers: list[Weights]) -> bool:
    """Whether all is plain tensors on the CPU, and no tracing, no mode and no transform is under way."""
    weights = (weight for layer in layers for of in layer.values() for weight in of)
    return not torch.compiler.is_compiling() and plain((x, *initial, *weights))


def run_layers(
    cell: str,
    x: Tensor,
    token: Tensor | None,
    packing: Packing,
    layers: list[Weights],
    initial: States,
    dropout: float = 0.0,
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """x [N, D], or [U, D] with token int32 [N] → hidden [N, directions·H], and of each layer h_n and c_n.

    These are [directions, B, H]. `dropout` is torch's, between the layers. Differentiable once. Raises
    TypeError for unequal dtypes.
    """
    kinds = list(layers[0])
    last: list[tuple[Tensor, Tensor]] = []
    for number, weights in enumerate(layers):
        flat = [weight for kind in kinds for weight in weights[kind]]
        h_0, c_0 = (None if state is None else state[number] for state in initial)
        check_dtype(x, h_0, c_0, *flat)
        if number and dropout:
            x = nn.functional.dropout(x, dropout)
        given = (t for t in (x, h_0, c_0, *flat) if t is not None)
        keep = torch.is_grad_enabled() and any(t.requires_grad for t in given)
        x, *states = _Layer.apply(cell, token, packing, kinds, keep, x, h_0, c_0, *flat)  # type: ignore[no-untyped-call]
        token = None
        last.append((states[0], states[1]))
    return x, last


_NONE = np.empty((0, 0))


class _Layer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        cell: str,
        token: Tensor | None,
        packing: Packing,
        kinds: list[str],
        keep: bool,
        x: Tensor,
        h_0: Tensor | None,
        c_0: Tensor | None,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        directions = len(weights) // len(kinds)
        arrays = {
            kind: [array_of(weight) for weight in weights[k * directions : (k + 1) * directions]]
            for k, kind in enumerate(kinds)
        }
        way = layer_forward(
            cell,
            array_of(x),
            None if token is None else array_of(token),
            packing.first,
            packing.lengths,
            arrays,
            None if h_0 is None else array_of(h_0),
            None if c_0 is None or not EQUATIONS[cell].has_cell_state else array_of(c_0),
            keep,
        )
        hidden, h_n, c_n = (torch.from_numpy(a) for a in (way.hidden, way.h_n, way.c_n))
        if keep:
            # They are saved so that torch notices if somebody writes to them in the meantime.
            kept = torch.from_numpy(way.gates), torch.from_numpy(way.cells)
            ctx.save_for_backward(x, hidden, *kept, h_0, c_0, *weights)
            # What is large is let go by torch as soon as the way back is gone.
            ctx.way = way._replace(x=_NONE, hidden=_NONE, gates=_NONE, cells=_NONE)
            ctx.kinds, ctx.directions = kinds, directions
            ctx.set_materialize_grads(False)
        return hidden, h_n, c_n

    @staticmethod
    def backward(
        ctx: Any, d_hidden: Tensor | None, d_h_n: Tensor | None, d_c_n: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        with torch.no_grad():
            found = _Layer._back(ctx, d_hidden, d_h_n, d_c_n)
        if not torch.is_grad_enabled():
            return found
        # Somebody may ask for a second derivative; without this it would silently be wrong.
        given = [t for t in (d_hidden, d_h_n, d_c_n, *ctx.saved_tensors) if t is not None]
        return tuple(None if gradient is None else _Once.apply(gradient, *given) for gradient in found)  # type: ignore[no-untyped-call]

    @staticmethod
    def _back(
        ctx: Any, d_hidden: Tensor | None, d_h_n: Tensor | None, d_c_n: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        x, hidden, gates, cells = map(array_of, ctx.saved_tensors[:4])
        way = ctx.way._replace(x=x, hidden=hidden, gates=gates, cells=cells)
        directions, needs = ctx.directions, ctx.needs_input_grad
        of_weights = needs[8:]
        wanted = {
            kind: any(of_weights[k * directions : (k + 1) * directions]) for k, kind in enumerate(ctx.kinds)
        }
        found = layer_backward(
            way,
            np.zeros_like(hidden) if d_hidden is None else array_of(d_hidden),
            None if d_h_n is None else array_of(d_h_n),
            None if d_c_n is None or not EQUATIONS[way.cell].has_cell_state else array_of(d_c_n),
            needs[5],
            wanted,
        )
        gradients: list[Tensor | None] = []
        for kind in ctx.kinds:
            parts = found.weights.get(kind)
            gradients += [None] * directions if parts is None else map(torch.from_numpy, parts)
        return (
            *[None] * 5,
            torch.from_numpy(found.x) if needs[5] else None,
            torch.from_numpy(found.h_0) if needs[6] else None,
            torch.from_numpy(found.c_0) if needs[7] else None,
            *gradients,
        )


class _Once(torch.autograd.Function):
    """A first derivative, which has none itself."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *given: Tensor) -> Tensor:
        return gradient.view_as(gradient)

    backward = staticmethod(refuse)
