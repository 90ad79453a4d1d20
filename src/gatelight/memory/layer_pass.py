"""A recurrent layer forward, and back to the gradients of its parameters, on arrays and without autograd.

The functions and bits are those of the layer's operators; torch's way from one operator to the next, which
takes longer than some of them, is left out. Knows packed rows and parameters, neither heads nor losses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gatelight.memory.equations import EQUATIONS
from gatelight.memory.packing import Packing
from gatelight.memory.product import linear_back, rows_times
from gatelight.memory.recurrence_backward import recurrence_backward
from gatelight.memory.recurrence_forward import recurrence_forward
from gatelight.memory.stack import Stack
from gatelight.memory.status import count
from gatelight.memory.transposing import transposed

Array = np.ndarray[Any, np.dtype[Any]]
Back = Callable[[Array, bool], Array]
"""From the gradient of a result, and whether its input's is asked for: this one, else an empty array."""


class LayerPass:
    """One layer with bias that the kernels serve, all its directions; it shares its parameters' memory."""

    def __init__(self, layer: Stack) -> None:
        self.cell, self._equation = layer.cell, EQUATIONS[layer.cell]
        suffixes = ("_l0", "_l0_reverse")[: 1 + layer.bidirectional]
        kinds = ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]
        kinds += ["weight_peephole"] if self._equation.peepholes else []
        self._parameters = {
            kind: [layer.get_parameter(f"{kind}{suffix}") for suffix in suffixes] for kind in kinds
        }
        self._arrays = {
            kind: [parameter.detach().numpy() for parameter in parameters]
            for kind, parameters in self._parameters.items()
        }

    def forward(self, x: Array, packing: Packing, token: Array | None = None) -> tuple[Array, Back]:
        """x [N, D], or [U, D] with token int32 [N], → hidden states [N, directions·H] from zero states.

        What comes back sets the gradients of the parameters that want them.
        """
        count("kernels")
        of = self._arrays
        weight_ih, weight_hh = _joined(of["weight_ih"]), _stacked(of["weight_hh"])
        peephole = _stacked(of["weight_peephole"]) if self._equation.peepholes else None
        table = rows_times(x, transposed(*(w[None] for w in of["weight_ih"]))[0], _joined(of["bias_ih"]))
        directions, _, hidden_size = weight_hh.shape
        h_0 = np.zeros((directions, packing.sequences, hidden_size), x.dtype)
        c_0 = h_0 if self._equation.has_cell_state else h_0[:, :, :0].copy()
        hidden, _, _, gates, cells = recurrence_forward(
            self.cell, table, token, packing.first, packing.lengths, transposed(weight_hh),
            _stacked(of["bias_hh"]), peephole, h_0, c_0, True,
        )  # fmt: skip
        distinct = len(table)
        del table  # its memory is used again

        def back(d_hidden: Array, need_x: bool) -> Array:
            wanted = {kind: _wanted(parameters) for kind, parameters in self._parameters.items()}
            d_table, d_weight_hh, d_bias_hh, d_peephole, _, _ = recurrence_backward(
                self.cell, d_hidden, h_0, c_0, distinct, token, packing.first, packing.lengths, weight_hh,
                peephole, h_0, c_0, hidden, gates, cells, wanted["bias_hh"],
                overwrite=True,
            )  # fmt: skip
            d_x, d_weight_ih, d_bias_ih = linear_back(
                d_table, x, weight_ih, need_x, wanted["weight_ih"], wanted["bias_ih"]
            )
            found = {
                "weight_ih": _apart(d_weight_ih, directions),
                "weight_hh": d_weight_hh,
                "bias_ih": _apart(d_bias_ih, directions),
                "bias_hh": d_bias_hh,
                "weight_peephole": d_peephole,
            }
            for kind, parameters in self._parameters.items():
                if wanted[kind]:
                    for parameter, gradient in zip(parameters, found[kind], strict=True):
                        give(parameter, gradient)
            return d_x

        return hidden, back


def give(parameter: Tensor, gradient: Array) -> None:
    """Make `gradient` that of a leaf, if it wants one; it must not have any yet."""
    if parameter.requires_grad:
        parameter.grad = torch.from_numpy(gradient)


def _wanted(parameters: Sequence[nn.Parameter]) -> bool:
    return any(parameter.requires_grad for parameter in parameters)


def _joined(parts: Sequence[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _stacked(parts: Sequence[Array]) -> Array:
    return parts[0][None] if len(parts) == 1 else np.stack(parts)


def _apart(joined: Array, directions: int) -> Sequence[Array]:
    return [joined] if directions == 1 else np.split(joined, directions)
