"""A recurrent layer whose weights do not change, prepared once for the kernels; knows arrays, and no torch.

Weights are C-contiguous, of one dtype, float32 or float64, and named as in torch.nn's layers. Shapes as in
`operators`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gatelight.nn.equations import EQUATIONS
from gatelight.nn.kernels.buffers import in_lines
from gatelight.nn.kernels.gemm import rows_times, transposed
from gatelight.nn.kernels.recurrence import recurrence_forward
from gatelight.nn.packing import Packing
from gatelight.nn.status import count

Array = np.ndarray[Any, np.dtype[Any]]


def parameter_shapes(
    cell: str, input_size: int, hidden_size: int, directions: int
) -> dict[str, tuple[int, ...]]:
    """The shapes of a layer's weights by name, in the order of its state_dict."""
    equation = EQUATIONS[cell]
    size = len(equation.gates) * hidden_size
    suffixes = ("", "_reverse")[:directions]
    shapes: dict[str, tuple[int, ...]] = {}
    for suffix in suffixes:
        shapes[f"weight_ih_l0{suffix}"] = size, input_size
        shapes[f"weight_hh_l0{suffix}"] = size, hidden_size
        shapes[f"bias_ih_l0{suffix}"] = (size,)
        shapes[f"bias_hh_l0{suffix}"] = (size,)
    if equation.peepholes:
        shapes |= {
            f"weight_peephole_l0{suffix}": (len(equation.peepholes), hidden_size) for suffix in suffixes
        }
    return shapes


class FixedLayer:
    """One layer, all its directions."""

    def __init__(self, cell: str, weights: Mapping[str, Array]) -> None:
        self.cell = cell

        def stacked(name: str) -> Array:
            return np.stack([weights[n] for n in (f"{name}_l0", f"{name}_l0_reverse") if n in weights])

        weight_hh = stacked("weight_hh")
        self._weight_ih = in_lines(stacked("weight_ih").reshape(-1, weights["weight_ih_l0"].shape[1]).T)
        self._bias_ih = stacked("bias_ih").ravel()
        self._weight_hh = transposed(list(weight_hh))
        self._bias_hh = stacked("bias_hh")
        self._peephole = stacked("weight_peephole") if EQUATIONS[cell].peepholes else None
        self._state = len(weight_hh), weight_hh.shape[2], weight_hh.shape[2] * EQUATIONS[cell].has_cell_state

    @property
    def columns(self) -> int:
        """directions·G, the width of the input products."""
        return len(self._bias_ih)

    @property
    def row_bytes(self) -> int:
        """Those of a step's hidden states."""
        directions, size, _ = self._state
        return int(directions * size * self.dtype.itemsize)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of all weights."""
        return self._bias_ih.dtype

    def input_table(self, x: Array) -> Array:
        """x [U, D] → the input products with their bias [U, directions·G]."""
        return rows_times(x, self._weight_ih, self._bias_ih)

    def forward(
        self, table: Array, packing: Packing, token: Array | None = None, state: Sequence[Array] = ()
    ) -> tuple[Array, tuple[Array, ...]]:
        """Input products [U, directions·G], token int32 [N] → hidden [N, directions·H] and the last state.

        States are (h [directions, B, H],) or (h, c) in packed order; an empty one before means zeros.
        """
        count("kernels")
        directions, size, cell_size = self._state
        h_0, c_0 = (*state, None, None)[:2]
        if h_0 is None:
            h_0 = np.zeros((directions, packing.sequences, size), table.dtype)
        if c_0 is None:
            c_0 = h_0 if cell_size else np.empty((directions, packing.sequences, 0), table.dtype)
        hidden, h_n, c_n, *_ = recurrence_forward(
            self.cell, table, token, packing.first, packing.lengths, self._weight_hh, self._bias_hh,
            self._peephole, h_0, c_0, False,
        )  # fmt: skip
        return hidden, (h_n, c_n) if cell_size else (h_n,)
