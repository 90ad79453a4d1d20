"""A recurrent layer forward, and back to the gradients of its parameters, without autograd.

torch's way from one operator to the next takes longer than some of them. Knows packed rows and parameters,
neither heads nor losses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatelight.memory.layer_arrays import kinds_of, layer_backward, layer_forward
from gatelight.memory.packing import Packing
from gatelight.memory.stack import Stack
from gatelight.memory.status import count

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

    def forward(self, x: Array, packing: Packing, token: Array | None = None) -> tuple[Array, Back]:
        """x [N, D], or [U, D] with token int32 [N], → hidden states [N, directions·H] from zero states.

        What comes back sets the gradients of the parameters that want them; it may be called once.
        """
        count("kernels")
        way = layer_forward(self._cell, x, token, packing.first, packing.lengths, self._weights)

        def back(d_hidden: Array, need_x: bool) -> Array:
            wanted = {kind: any(p.requires_grad for p in of) for kind, of in self._parameters.items()}
            found = layer_backward(way, d_hidden, None, None, need_x, wanted, overwrite=True)
            for kind, gradients in found.weights.items():
                for parameter, gradient in zip(self._parameters[kind], gradients, strict=True):
                    give(parameter, gradient)
            return found.x

        return way.hidden, back


def give(parameter: Tensor, gradient: Array) -> None:
    """Make `gradient` that of a leaf, if it wants one; it must not have any yet."""
    if parameter.requires_grad:
        parameter.grad = torch.from_numpy(gradient)
