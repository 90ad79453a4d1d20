"""One stream drawn from a recurrent stack and an output layer, id after id, in one compiled loop.

The arithmetic of a step is that of `recurrence`, to the bit. Knows arrays and ids, no text.
Legend: L layers, H hidden size, G a layer's columns (gates times H), V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.kernels.cells import step_forward
from gatelight.nn.kernels.gemm import multiply, panels
from gatelight.nn.kernels.recurrence import cell_weights
from gatelight.nn.kernels.sampling import Drawing, choose

Floats = NDArray[Any]
Ids = NDArray[np.int32]

PANEL = 128
"""Columns of weights that lie together: one row's product then reads memory from end to end."""


class Written(NamedTuple):
    """The ids drawn, and after the last of them scores [V] and states [L, H] and [L, C]."""

    ids: Ids
    scores: Floats
    h: Floats
    c: Floats


class StreamLoop:
    """Fixed weights, in the order in which the loop reads them."""

    def __init__(
        self,
        cell: str,
        table: Floats,  # [V, G] the first layer's input projections with bias
        upper: Sequence[tuple[Floats, Floats]],  # input weight [G, H] and bias [G] of each other layer
        recurrent: Sequence[tuple[Floats, Floats]],  # the same of each layer's recurrent product
        peephole: Sequence[Floats],  # [3, H] of each layer, if the cell has them
        output: tuple[Floats, Floats],  # [V, H] and [V]
    ) -> None:
        def matrices(layers: Sequence[tuple[Floats, Floats]]) -> Floats:
            return np.concatenate([panels(weight.T, PANEL) for weight, _ in layers] or [none])

        def rows(layers: Sequence[tuple[Floats, Floats]]) -> Floats:
            return np.stack([bias for _, bias in layers]) if layers else np.zeros((0, 0), table.dtype)

        none = np.zeros((0, recurrent[0][0].shape[1], PANEL), table.dtype)
        self._kept = len(EQUATIONS[cell].saved) * recurrent[0][0].shape[1]
        self._weights = (
            cell_weights(cell, np.stack(peephole) if peephole else None, table.dtype),
            np.ascontiguousarray(table),
            matrices(upper),
            rows(upper),
            matrices(recurrent),
            rows(recurrent),
            panels(output[0].T, PANEL),
            np.ascontiguousarray(output[1]),
        )

    def write(
        self, h: Floats, c: Floats, scores: Floats, allowed: NDArray[np.bool_], how: Drawing,
        draws: NDArray[np.float64], stop: int,
    ) -> Written:  # fmt: skip
        """Draw an id for each number of `draws` [n] in [0, 1), up to and with the id `stop` (or -1).

        Each is read before the next is drawn. States h [L, H] and c [L, H], or [L, 0], are those before the
        first, and so are `scores` [V]; nothing is written to.
        """
        h, c, scores, out = h.copy(), c.copy(), scores.copy(), np.empty(len(draws), np.int32)
        saved = np.empty((0, self._kept), scores.dtype)
        drawn = _draw(
            *self._weights, h, c, scores, saved, allowed, how.temperature, how.top_k, how.top_p, draws, stop,
            out,
        )  # fmt: skip
        return Written(out[:drawn], scores, h, c)


@compiled
def _row_times(
    x: Any, row: int, panels: Any, first: int, bias: Any, bias_at: int, out: Any, columns: int
) -> None:
    """out = bias + x[row] @ weight, whose panels stand from number `first` on."""
    depth, wide = panels.shape[1:]
    for panel in range((columns + wide - 1) // wide):
        at = panel * wide
        multiply(
            x, row * depth, depth, 1, panels, (first + panel) * depth * wide, wide, bias, bias_at + at, 0,
            out, at, columns, 1, depth, min(wide, columns - at),
        )  # fmt: skip


@compiled
def _draw(
    cell: Any,  # peephole weights, if any, are [L, 3, H]
    table: Floats,  # [V, G]
    input_weight: Floats,  # in panels, layer after layer but the first
    input_bias: Floats,  # [L - 1, G]
    weight: Floats,  # in panels, layer after layer
    bias: Floats,  # [L, G]
    output_weight: Floats,  # in panels
    output_bias: Floats,  # [V]
    h: Floats,  # [L, H] state, replaced
    c: Floats,  # as h, or [L, 0] for cells without a cell state; replaced
    scores: Floats,  # [V] replaced
    saved: Floats,  # [0, S·H]: nothing is kept
    allowed: NDArray[np.bool_],  # [V]
    temperature: float,
    top_k: int,
    top_p: float,
    draws: NDArray[np.float64],  # [n]
    stop: int,
    out: Ids,  # [n] out
) -> int:
    """How many were drawn."""
    L, G = h.shape[0], bias.shape[1]
    each = (G + PANEL - 1) // PANEL  # panels of a layer
    x, u, hidden, row = np.empty((1, G), h.dtype), np.empty((1, G), h.dtype), h.copy(), np.zeros(1, np.int32)
    for n in range(draws.shape[0]):
        token = choose(scores, allowed, temperature, top_k, top_p, draws[n])
        out[n] = token
        for layer in range(L):
            _row_times(h, layer, weight, layer * each, bias, layer * G, u, G)
            if layer == 0:
                row[0] = token
                step_forward(cell, 0, 0, 1, table, row, 0, u, h, c, 0, saved, c, hidden, 0)
            else:
                row[0] = 0
                _row_times(h, layer - 1, input_weight, (layer - 1) * each, input_bias, (layer - 1) * G, x, G)
                step_forward(cell, layer, 0, 1, x, row, 0, u, h, c, layer, saved, c, hidden, layer)
        _row_times(h, L - 1, output_weight, 0, output_bias, 0, scores, len(scores))
        if token == stop:
            return n + 1
    return len(draws)
