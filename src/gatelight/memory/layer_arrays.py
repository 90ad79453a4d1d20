"""A whole recurrent layer on arrays, input product and recurrence: forward, and back to all its gradients.

Knows packed rows and weights as torch.nn's layers hold them, one array for each direction; no parameters and
no autograd. Arrays are C-contiguous and of one dtype, float32 or float64. The bits are those of the operators
`linear` and `recurrence` one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from gatelight.compiled import compiled
from gatelight.memory import buffers, threads
from gatelight.memory.crew import begin, even_part
from gatelight.memory.equations import EQUATIONS
from gatelight.memory.kernels import GROUP
from gatelight.memory.panels import lay_out_row, panel_columns, shape_in_parts, shape_of, units_of
from gatelight.memory.product import few_rows, linear_back, rows_times, rows_times_turned
from gatelight.memory.recurrence_backward import recurrence_backward
from gatelight.memory.recurrence_forward import After, recurrence_forward, uneven
from gatelight.memory.transposing import MOVE_WORK, PART, transpose_rows

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
    cell: str,
    x: Array,
    token: Array | None,
    first: Array,
    lengths: Array,
    weights: Weights,
    h_0: Array | None = None,
    c_0: Array | None = None,
    keep: bool = True,
    after: After | None = None,
    order: Array | None = None,
) -> Way:
    """x [N, D], or [U, D] with token int32 [N]; first [T], lengths [B]; states [directions, B, H].

    States that are None are zeros. Without `keep` there is no way back. `after` goes with each task.
    With `order` [B] the last states stand at these places.
    """
    weight_ih, weight_hh = weights["weight_ih"], weights["weight_hh"]
    directions, (size, hidden_size) = len(weight_hh), weight_hh[0].shape
    none = buffers.nothing((directions, size), x.dtype) if "bias_hh" not in weights else None
    bias_ih = none.reshape(-1) if none is not None else _joined(weights["bias_ih"])
    # Where the gates of a step are more than its input products, there is room between these for the others.
    each = max(size, len(EQUATIONS[cell].saved) * hidden_size) if keep and token is None else size
    # To put them into panels takes as long as some steps of one sequence, which gain nothing.
    in_panels = (len(x) if token is None else len(token)) >= GAINED * len(first)
    units, count = 0, threads.threads()
    if in_panels:
        units = units_of(hidden_size, size, x.dtype, count)
        if units == hidden_size and count > 1:
            units = units_of(hidden_size, size, x.dtype, count, uneven(directions, lengths, GROUP, count))
    if few_rows(x, weight_ih):
        table = rows_times_turned(x, weight_ih, bias_ih, each)
        _, step_weight, stacked = _prepared(weight_ih, weight_hh, 0, in_panels, units)
    else:
        table_weight, step_weight, stacked = _prepared(weight_ih, weight_hh, x.shape[1], in_panels, units)
        table = rows_times(x, table_weight, bias_ih, directions, each)
    shape = directions, len(lengths), hidden_size
    h_0 = buffers.nothing(shape, x.dtype) if h_0 is None else h_0
    if not EQUATIONS[cell].has_cell_state:
        c_0 = buffers.nothing((*shape[:2], 0), x.dtype)
    elif c_0 is None:
        c_0 = buffers.nothing(shape, x.dtype)
    peephole = _stacked(weights["weight_peephole"]) if EQUATIONS[cell].peepholes else None
    hidden, h_n, c_n, gates, cells = recurrence_forward(
        cell, table, token, first, lengths, step_weight,
        _stacked(weights["bias_hh"]) if none is None else none, peephole, h_0, c_0, keep, overwrite=True,
        after=after, order=order, units=units,
    )  # fmt: skip
    return Way(
        cell, first, lengths, token, len(table), weight_ih, stacked, peephole, h_0, c_0,
        h_n, c_n, units, x, hidden, gates, cells,
    )  # fmt: skip


def _prepared(
    weight_ih: Sequence[Array], weight_hh: Sequence[Array], dim: int, in_panels: bool, units: int
) -> tuple[Array, Array, Array]:
    """Weights [G, D] and [G, H] of each direction as kernels want them.

    That is, with rows that begin at lines, the transposed ones [1, dim, ≥ directions·G], where dim is D or,
    for none of these, 0, and [directions, H, ≥ G], and the recurrent ones [directions, G, ≥ H] for the way
    back. Or large ones in panels, each direction's by itself, where that is asked for, and the recurrent ones
    in parts of so many units.
    """
    directions, (size, hidden_size) = len(weight_ih), weight_hh[0].shape
    dtype = weight_ih[0].dtype
    form, back = shape_of(hidden_size, size, dtype, False), shape_of(size, hidden_size, dtype, False)
    if units:
        form = shape_in_parts(hidden_size, size // hidden_size, hidden_size, units, dtype)
        back = shape_in_parts(size, 1, hidden_size, units, dtype)
    table = shape_of(dim, size, dtype, in_panels)
    shape = (directions, *table) if table[0] > dim else (1, dim, buffers.line_up(directions * size, dtype))
    both, cut = buffers.empty((prod(shape) + directions * prod(form),), dtype), prod(shape)
    table_weight, step_weight = both[:cut].reshape(shape), both[cut:].reshape(directions, *form)
    if not units and directions == 1 and buffers.begins_lines(weight_hh[0]):
        stacked = weight_hh[0][None]
    else:
        stacked = buffers.empty((directions, *back), dtype)
    given = weight_ih[0], weight_ih[-1], weight_hh[0], weight_hh[-1], table_weight, step_weight, stacked
    threads.share(_all_prepared, (*given, units), directions * size * (dim + hidden_size) * MOVE_WORK)
    return table_weight, step_weight, stacked


@compiled
def _prepared_part(
    weight_ih: Any, other_ih: Any, weight_hh: Any, other_hh: Any, table_weight: Any, step_weight: Any,
    stacked: Any, units: int, each: int, parts: int, k: int,
) -> None:  # fmt: skip
    directions, (G, D), H = len(step_weight), weight_ih.shape, weight_hh.shape[1]
    d, begin, of_input = k // parts % directions, k % parts * each, k >= parts * directions
    end = min(G, begin + each)
    # One call for both: its code is long.
    if of_input:
        given, depth, laid = weight_ih if d == 0 else other_ih, D, table_weight
    else:
        given, depth, laid = weight_hh if d == 0 else other_hh, H, step_weight
    panels, out = laid.shape[1] // max(1, depth), laid.reshape(-1, max(1, depth), laid.shape[2])
    wide = laid.shape[2] if panels > 1 else G
    # In rows those of both directions' input weights stand side by side.
    at, first = (d * panels, 0) if len(laid) == directions else (0, d * G)
    row = begin
    while row < end:
        place, to, some = at + row // wide, first - row // wide * wide, wide - row % wide
        if units > 0 and not of_input:
            # Where a row's unit stands among those of its part, which has so many of each gate.
            of_part, unit = row % H // units, row % H % units
            have = min(units, H - of_part * units)
            column = row // H * have + unit
            place = at + of_part * ((G // H * units + wide - 1) // wide) + column // wide
            to, some = column % wide - row, min(have - unit, wide - column % wide)
        some = min(end - row, some)
        transpose_rows(given.reshape(1, G, -1), out[place : place + 1], to, row, row + some)
        row += some
    if not of_input and stacked.ctypes.data != weight_hh.ctypes.data:
        for row in range(begin, end):
            lay_out_row(given, row, stacked, d, units)


@compiled
def _all_prepared(
    weight_ih: Any, other_ih: Any, weight_hh: Any, other_hh: Any, table_weight: Any, step_weight: Any,
    stacked: Any, units: int, crew: Any, helpers: int,
) -> int:  # fmt: skip
    G = len(weight_hh)
    in_panels = units > 0 or table_weight.shape[1] > weight_ih.shape[1]
    each = even_part(G, helpers, panel_columns(weight_hh) if in_panels else PART)
    parts = (G + each - 1) // each
    given = (
        weight_ih, other_ih, weight_hh, other_hh, table_weight, step_weight, stacked, units, each, parts
    )  # fmt: skip
    tasks = len(step_weight) * parts
    return int(begin(_prepared_part, given, crew, helpers, 2 * tasks if table_weight.size else tasks))


class Gradients(NamedTuple):
    """Of the input and the states before the first step, and of each kind of weights by direction."""

    x: Array  # empty unless asked for
    h_0: Array
    c_0: Array
    weights: dict[str, Sequence[Array]]


def layer_backward(
    way: Way,
    d_hidden: Array,
    d_h_n: Array | None,
    d_c_n: Array | None,
    need_x: bool,
    wanted: Mapping[str, bool],
    overwrite: bool = False,
) -> Gradients:
    """From the gradients of hidden and the last states (None: zeros) to all that are `wanted`, by kind.

    With `overwrite` the way is lost: it cannot be gone twice.
    """
    directions = len(way.weight_hh)
    d_table, d_weight_hh, d_bias_hh, d_peephole, d_h_0, d_c_0 = recurrence_backward(
        way.cell, d_hidden,
        buffers.nothing(way.h_0.shape, way.h_0.dtype) if d_h_n is None else d_h_n,
        buffers.nothing(way.c_0.shape, way.c_0.dtype) if d_c_n is None else d_c_n,
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
