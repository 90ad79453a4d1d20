"""A whole recurrent layer on arrays, input product and recurrence: forward, and back to all its gradients.

Knows packed rows and weights as torch.nn's layers hold them, one array for each direction; no parameters and
no autograd. Arrays are C-contiguous and of one dtype, float32 or float64. The bits are those of the operators
`linear` and `recurrence` one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from gatelight.compiled import compiled
from gatelight.nn import buffers, threads
from gatelight.nn.crew import begin, even_part
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.kernels import GROUP
from gatelight.nn.panels import lay_out_row, panel_columns, shape_in_parts, units_of
from gatelight.nn.product import linear_back, rows_times_turned
from gatelight.nn.recurrence_backward import recurrence_backward
from gatelight.nn.recurrence_forward import recurrence_forward, uneven
from gatelight.nn.transposing import MOVE_WORK, PART, transpose_rows

Array = np.ndarray[Any, np.dtype[Any]]

GAINED = 4
"""Sequences at work in a step, on average, from which on it is worth it to put weights into panels."""

Weights = Mapping[str, Sequence[Array]]
"""By kind ("weight_ih", …), without the biases where there are none; an array for each direction."""


@cache
def kinds_of(cell: str, bias: bool = True) -> tuple[str, ...]:
    """The kinds of weights that a layer of this cell has."""
    biases = ("bias_ih", "bias_hh") if bias else ()
    return "weight_ih", "weight_hh", *biases, *(("weight_peephole",) if EQUATIONS[cell].peepholes else ())


class Way(NamedTuple):
    """What a layer computed forward, and what its way back needs of it."""

    cell: str
    first: Array  # [T] and
    lengths: Array  # [B]: a packing's
    token: Array | None
    distinct: int
    weight_ih: Sequence[Array]  # [G, D] each
    weight_hh: Array  # [directions, G, ≥ H], or in parts of so many units, unless 0
    peephole: Array | None
    h_0: Array
    c_0: Array
    h_n: Array
    c_n: Array
    units: int
    # The last are those that may be large.
    x: Array
    hidden: Array  # [N, directions·H]
    gates: Array
    cells: Array


def layer_forward(
    cell: str, x: Array, token: Array | None, first: Array, lengths: Array, weights: Weights,
    h_0: Array | None = None, c_0: Array | None = None, keep: bool = True,
    order: Array | None = None,
) -> Way:  # fmt: skip
    """x [N, D], or [U, D] with token int32 [N]; first [T], lengths [B]; states [directions, B, H].

    States that are None are zeros. Without `keep` there is no way back.
    With `order` [B] the last states stand at these places.
    """
    weight_ih, weight_hh = weights["weight_ih"], weights["weight_hh"]
    directions, (size, hidden_size) = len(weight_hh), weight_hh[0].shape
    none = buffers.nothing((directions, size), x.dtype) if "bias_hh" not in weights else None
    bias_ih = none.reshape(-1) if none is not None else _joined(weights["bias_ih"])
    # Where the gates of a step are more than its input products, there is room between these for the others.
    each = max(size, len(EQUATIONS[cell].saved) * hidden_size) if keep and token is None else size
    # To put the recurrent ones into panels takes as long as some steps of one sequence, which gain nothing.
    in_panels = (len(x) if token is None else len(token)) >= GAINED * len(first)
    units, count = 0, threads.threads()
    if in_panels:
        units = units_of(hidden_size, size, x.dtype, count)
        if units == hidden_size and count > 1:
            units = units_of(hidden_size, size, x.dtype, count, uneven(directions, lengths, GROUP, count))
    table = rows_times_turned(x, weight_ih, bias_ih, each)
    step_weight, stacked = prepared(weight_hh, units)
    shape = directions, len(lengths), hidden_size
    h_0, c_0 = initial_states(cell, shape, x.dtype, h_0, c_0)
    peephole = _stacked(weights["weight_peephole"]) if EQUATIONS[cell].peepholes else None
    hidden, h_n, c_n, gates, cells = recurrence_forward(
        cell, table, token, first, lengths, step_weight,
        _stacked(weights["bias_hh"]) if none is None else none, peephole, h_0, c_0, keep, overwrite=True,
        order=order, units=units,
    )  # fmt: skip
    return Way(
        cell, first, lengths, token, len(table), weight_ih, stacked, peephole, h_0, c_0,
        h_n, c_n, units, x, hidden, gates, cells,
    )  # fmt: skip


def initial_states(
    cell: str, shape: tuple[int, int, int], dtype: Any, h_0: Array | None, c_0: Array | None
) -> tuple[Array, Array]:
    """States [directions, B, H] before the first step: zeros where they are None; some cells have no c."""
    h_0 = or_zeros(h_0, shape, dtype)
    if not EQUATIONS[cell].has_cell_state:
        return h_0, buffers.nothing((*shape[:2], 0), dtype)
    return h_0, or_zeros(c_0, shape, dtype)


def or_zeros(given: Array | None, shape: tuple[int, ...], dtype: Any) -> Array:
    """What is given, or zeros that are not to be written to."""
    return buffers.nothing(shape, dtype) if given is None else given


def prepared(weight_hh: Sequence[Array], units: int, way_back: bool = True) -> tuple[Array, Array]:
    """Recurrent weights [G, H] of each direction as kernels want them, with rows that begin at lines.

    That is, transposed, [directions, H, ≥ G], and for the way back [directions, G, ≥ H]; both in panels, in
    parts of so many units, unless these are 0. Without a `way_back` the second may be as they are.
    """
    directions, (size, hidden_size), dtype = len(weight_hh), weight_hh[0].shape, weight_hh[0].dtype
    form, back = (hidden_size, buffers.line_up(size, dtype)), (size, buffers.line_up(hidden_size, dtype))
    if units:
        form = shape_in_parts(hidden_size, size // hidden_size, hidden_size, units, dtype)
        back = shape_in_parts(size, 1, hidden_size, units, dtype)
    step_weight = buffers.empty((directions, *form), dtype)
    if not units and directions == 1 and (not way_back or buffers.begins_lines(weight_hh[0])):
        stacked = weight_hh[0][None]
    else:
        stacked = buffers.empty((directions, *back), dtype)
    given = weight_hh[0], weight_hh[-1], step_weight, stacked, units
    threads.share(_all_prepared, given, directions * size * hidden_size * MOVE_WORK)
    return step_weight, stacked


@compiled
def _prepared_part(
    weight_hh: Any, other_hh: Any, step_weight: Any, stacked: Any, units: int, each: int, parts: int, k: int
) -> None:
    (G, H), wide, d, begin = weight_hh.shape, step_weight.shape[2], k // parts, k % parts * each
    end, given, panels = min(G, begin + each), weight_hh if d == 0 else other_hh, step_weight.shape[1] // H
    out, row = step_weight.reshape(-1, H, wide), begin
    while row < end:
        place, to, some = d * panels, 0, end - row
        if units > 0:
            # Where a row's unit stands among those of its part, which has so many of each gate.
            of_part, unit = row % H // units, row % H % units
            have = min(units, H - of_part * units)
            column = row // H * have + unit
            place += of_part * ((G // H * units + wide - 1) // wide) + column // wide
            to, some = column % wide - row, min(some, have - unit, wide - column % wide)
        transpose_rows(given.reshape(1, G, -1), out[place : place + 1], to, row, row + some)
        row += some
    if stacked.ctypes.data != weight_hh.ctypes.data:
        for row in range(begin, end):
            lay_out_row(given, row, stacked, d, units)


@compiled
def _all_prepared(
    weight_hh: Any, other_hh: Any, step_weight: Any, stacked: Any, units: int, crew: Any, helpers: int
) -> int:
    G = len(weight_hh)
    each = even_part(G, helpers, panel_columns(weight_hh) if units > 0 else PART)
    parts = (G + each - 1) // each
    given = weight_hh, other_hh, step_weight, stacked, units, each, parts
    return int(begin(_prepared_part, given, crew, helpers, len(step_weight) * parts))


class Gradients(NamedTuple):
    """Of the input and the states before the first step, and of each kind of weights by direction."""

    x: Array  # empty unless asked for
    h_0: Array
    c_0: Array
    weights: dict[str, Sequence[Array]]


def layer_backward(
    way: Way, d_hidden: Array, d_h_n: Array | None, d_c_n: Array | None, need_x: bool,
    wanted: Mapping[str, bool], overwrite: bool = False,
) -> Gradients:  # fmt: skip
    """From the gradients of hidden and the last states (None: zeros) to all that are `wanted`, by kind.

    With `overwrite` the way is lost: it cannot be gone twice.
    """
    directions = len(way.weight_hh)
    d_table, d_weight_hh, d_bias_hh, d_peephole, d_h_0, d_c_0 = recurrence_backward(
        way.cell, d_hidden,
        or_zeros(d_h_n, way.h_0.shape, way.h_0.dtype), or_zeros(d_c_n, way.c_0.shape, way.c_0.dtype),
        way.distinct, way.token, way.first, way.lengths, way.weight_hh, way.peephole, way.h_0, way.c_0,
        way.hidden, way.gates, way.cells, wanted.get("bias_hh", False), overwrite, True, way.units,
    )  # fmt: skip
    d_x, d_weight_ih, d_bias_ih = linear_back(
        d_table, way.x, way.weight_ih, need_x, wanted["weight_ih"], wanted.get("bias_ih", False)
    )
    found: dict[str, Sequence[Array]] = {
        "weight_ih": _apart(d_weight_ih, directions),
        "weight_hh": list(d_weight_hh),
        "bias_ih": _apart(d_bias_ih, directions),
        "bias_hh": list(d_bias_hh),
        "weight_peephole": list(d_peephole),
    }
    return Gradients(d_x, d_h_0, d_c_0, {kind: found[kind] for kind, asked in wanted.items() if asked})


def _joined(parts: Sequence[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _stacked(parts: Sequence[Array]) -> Array:
    if len(parts) == 1:
        return parts[0][None]
    return np.stack(parts, out=buffers.empty((len(parts), *parts[0].shape), parts[0].dtype))


def _apart(joined: Array, directions: int) -> Sequence[Array]:
    if directions == 1:
        return [joined]
    each = len(joined) // directions
    return [joined[d * each : (d + 1) * each] for d in range(directions)]
