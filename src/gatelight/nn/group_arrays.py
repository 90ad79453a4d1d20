"""A small layer of one direction on arrays, group by group: forward, and back to all its gradients.

As layer_arrays.py, with its `Way`; but rows may stand as in padded sequences.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gatelight.nn import buffers, threads
from gatelight.nn.by_groups import all_backward, all_forward
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.kernels import GROUP
from gatelight.nn.layer_arrays import Array, Gradients, Way, Weights, initial_states, or_zeros, prepared
from gatelight.nn.packing import Packing, Places
from gatelight.nn.panels import CHUNK
from gatelight.nn.recurrence_backward import FEW
from gatelight.nn.recurrence_forward import cell_weights, kept_shapes, token_rows, uneven
from gatelight.nn.steps import BLOCKS

OF_INPUT, RECURRENT = 1 << 16, 1 << 14
"""Elements up to which the weights of a layer, and the gradients of these, stay in a second-level cache."""

PER_ROW = 32
"""Elements of the input's weights for each row up to which each part sums their gradient for itself."""

PARTS, ROWS = 16, 128
"""Parts in which weights' gradients are summed, of so many rows each, or FEW without the input's weights."""


def by_groups(of_input: int, recurrent: int, lengths: Array) -> bool:
    """Whether a layer with weights of so many elements is computed so, however many threads there are.

    It is where weights stay in the cache, and groups, `lengths` [B] fall, give two threads equal work.
    """
    if of_input > OF_INPUT or recurrent > RECURRENT or len(lengths) <= GROUP:
        return False
    return not uneven(1, lengths, GROUP, 2)


def groups_forward(
    cell: str, x: Array, of_x: Places, packing: Packing, weights: Weights, h_0: Array | None,
    c_0: Array | None, keep: bool, of_out: Places, in_order: bool,
) -> tuple[Way, Array]:  # fmt: skip
    """As `layer_forward`, from rows of x where `of_x` says; and hidden where `of_out` does.

    With `in_order` the last states stand in the original order.
    """
    [weight_ih], [weight_hh] = weights["weight_ih"], weights["weight_hh"]
    size, hidden_size = weight_hh.shape
    rows, dtype, sequences = packing.rows, x.dtype, packing.sequences
    none = buffers.nothing((1, size), dtype)
    bias_ih, bias_hh = [
        weights[kind][0][None] if kind in weights else none for kind in ("bias_ih", "bias_hh")
    ]
    h_0, c_0 = initial_states(cell, (1, sequences, hidden_size), dtype, h_0, c_0)
    peephole = weights["weight_peephole"][0][None] if EQUATIONS[cell].peepholes else None
    hidden, gates, cells = (
        buffers.empty(kept, dtype) for kept in kept_shapes(cell, 1, hidden_size, c_0.shape[2], rows, keep)
    )
    out = buffers.empty((sequences * of_out[2] if of_out[1] else rows, hidden_size), dtype)
    h_n, c_n = np.empty(h_0.shape, dtype), np.empty(c_0.shape, dtype)
    step_weight, stacked = prepared([weight_hh], 0, way_back=keep)
    turned, _ = prepared([weight_ih], 0, way_back=False)
    given = (
        cell_weights(cell, peephole, dtype), x, of_x, turned, bias_ih, token_rows(None, CHUNK),
        packing.first, packing.lengths, packing.order, step_weight, bias_hh, h_0, c_0, gates, cells, hidden,
        np.empty(-(-sequences // GROUP) + 1, np.int64), out, of_out, h_n, c_n, in_order,
    )  # fmt: skip
    threads.share(all_forward, given, rows * (weight_ih.size + weight_hh.size))
    way = Way(
        cell, packing.first, packing.lengths, None, rows, [weight_ih], stacked, peephole, h_0, c_0, h_n, c_n,
        0, x, hidden, gates, cells,
    )  # fmt: skip
    return way, out


def groups_backward(
    way: Way, order: Array, of_x: Places, d_out: Array, of_out: Places, d_h_n: Array | None,
    d_c_n: Array | None, need_x: bool, wanted: Mapping[str, bool],
) -> Gradients:  # fmt: skip
    """As `layer_backward`, from rows of d_out where `of_out` says; x and its gradient are as `of_x` says."""
    weight_ih, dtype, (_, sequences, hidden_size) = way.weight_ih[0], way.x.dtype, way.h_0.shape
    (size, dim), groups, wide = weight_ih.shape, -(-sequences // GROUP), BLOCKS[way.cell] * hidden_size
    few = weight_ih.size > PER_ROW * len(way.hidden)
    together = -(-groups // min(PARTS, max(FEW if few else 1, len(way.hidden) // ROWS)))
    parts = -(-groups // together)
    d_hidden = buffers.empty(way.hidden.shape, dtype)
    d_x = buffers.empty(way.x.shape if need_x else (0, dim), dtype)
    of_hh = buffers.empty((parts if wanted["weight_hh"] else 0, 1, hidden_size, size), dtype)
    kept = buffers.empty((len(way.hidden) if few and wanted["weight_ih"] else 0, wide), dtype)
    x_row = np.empty(len(kept), np.int64)
    of_ih = buffers.empty((0 if few or not wanted["weight_ih"] else parts, 1, dim, size), dtype)
    d_hh, d_ih = np.empty((1, size, hidden_size), dtype), np.empty((1, size, dim), dtype)
    of_bias, d_bias = np.empty((groups, 1, wide), dtype), np.empty((1, wide), dtype)
    of_cell = np.empty((groups, 1, 3, hidden_size if way.peephole is not None else 0), dtype)
    d_h_0, d_c_0 = np.empty(way.h_0.shape, dtype), np.empty(way.c_0.shape, dtype)
    d_peephole = of_cell[0].copy()
    given = (
        cell_weights(way.cell, way.peephole, dtype), way.x, of_x, weight_ih, token_rows(None, CHUNK),
        way.first, way.lengths, order, way.weight_hh, way.h_0, way.c_0, way.gates, way.cells, way.hidden,
        np.empty(groups + 1, np.int64), d_out, of_out, d_hidden, or_zeros(d_h_n, way.h_0.shape, dtype),
        or_zeros(d_c_n, way.c_0.shape, dtype), d_h_0, d_c_0, d_x, kept, x_row, of_hh, of_ih,
        of_bias, of_cell, d_hh, d_ih, d_bias, d_peephole, together,
    )  # fmt: skip
    threads.share(all_backward, given, len(way.hidden) * (weight_ih.size + way.weight_hh.size))
    # GRU: the candidate's recurrent part, which the reset gate scales, follows the gates.
    recurrent = np.concatenate((d_bias[:, : 2 * hidden_size], d_bias[:, size:]), 1) if wide > size else d_bias
    found = {
        "weight_ih": d_ih, "weight_hh": d_hh, "bias_ih": d_bias[:, :size].copy(), "bias_hh": recurrent,
        "weight_peephole": d_peephole,
    }  # fmt: skip
    return Gradients(d_x, d_h_0, d_c_0, {kind: list(found[kind]) for kind, asked in wanted.items() if asked})
