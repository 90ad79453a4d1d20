"""A recurrent layer forward, and back to the gradients of its parameters, without autograd.

torch's way from one operator to the next takes longer than some of them. Knows packed rows and parameters,
neither heads nor losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatelight.nn.layer_arrays import kinds_of, layer_backward, layer_forward
from gatelight.nn.packing import Packing
from gatelight.nn.recurrence_forward import After
from gatelight.nn.stack import Stack
from gatelight.nn.status import count

Array = np.ndarray[Any, np.dtype[Any]]
Back = Callable[[Array, bool], Array]
"""From the gradient of a result, and whether its input's is asked for: this one, else an empty array."""


class LayerPass:
    """One layer that the kernels serve, all its directions; it shares its parameters' memory."""

    def __init__(self, layer: Stack) -> None:
        self._cell = layer.cell
        suffixes = ("_l0", "_l0_reverse")[: 1 + layer.bidirectional]
        self._parameters = {
            kind: [layer.get_parameter(f"{kind}{suffix}") for suffix in suffixes]
            for kind in kinds_of(layer.cell, layer.bias)
        }
        self._weights = {
            kind: [parameter.detach().numpy() for parameter in parameters]
            for kind, parameters in self._parameters.items()
        }

    def forward(
        self,
        x: Array,
        packing: Packing,
        token: Array | None = None,
        initial: Sequence[Array] = (),
        after: After | None = None,
    ) -> tuple[Array, tuple[Array, ...], Back]:
        """x [N, D], or [U, D] with token int32 [N], → hidden states [N, directions·H], last states, way back.

        States are (h, c), or (h,), of [directions, B, H]; the first ones are zeros unless given, and get no
        gradient. `after` goes with each task. The way back sets those of the parameters that want
        them; it may be called once.
        """
        count("kernels")
        h_0, c_0 = (*initial, None, None)[:2]
        way = layer_forward(
            self._cell, x, token, packing.first, packing.lengths, self._weights, h_0, c_0, after=after
        )

        def back(d_hidden: Array, need_x: bool) -> Array:
            wanted = {kind: any(p.requires_grad for p in of) for kind, of in self._parameters.items()}
            found = layer_backward(way, d_hidden, None, None, need_x, wanted, overwrite=True)
            for kind, gradients in found.weights.items():
                for parameter, gradient in zip(self._parameters[kind], gradients, strict=True):
                    give(parameter, gradient)
            return found.x

        last = (way.h_n, way.c_n) if way.c_n.shape[2] else (way.h_n,)
        return way.hidden, last, back


def bare(model: nn.Module, layers: Sequence[Stack]) -> bool:
    """Whether kernels serve the layers, all of the model is of one type, and nobody has hung a hook in."""
    parameters = list(model.parameters())
    hooked = any(p._backward_hooks for p in parameters) or any(
        m._forward_hooks or m._forward_pre_hooks or m._backward_hooks or m._backward_pre_hooks
        for m in model.modules()
    )
    alike = {(p.dtype, p.device.type) for p in parameters} == {(parameters[0].dtype, "cpu")}
    return alike and not hooked and all(layer.path() == "kernels" for layer in layers)


def give(parameter: Tensor, gradient: Array) -> None:
    """Make `gradient` that of a leaf, if it wants one; it must not have any yet."""
    if parameter.requires_grad:
        parameter.grad = torch.from_numpy(gradient)


def hand_on(rows: Tensor, gradient: Array) -> None:
    """Give rows of a table their gradient, or let autograd take it on to what they were made of."""
    if rows.is_leaf:
        give(rows, gradient)
    else:
        rows.backward(torch.from_numpy(gradient))  # type: ignore[no-untyped-call]
