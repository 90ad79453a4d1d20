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
from gatelight.memory import buffers, threads
from gatelight.memory.crew import begin, even_part
from gatelight.memory.equations import EQUATIONS
from gatelight.memory.product import few_rows, linear_back, rows_times, rows_times_turned
from gatelight.memory.recurrence_backward import recurrence_backward
from gatelight.memory.recurrence_forward import After, recurrence_forward
from gatelight.memory.rows import copy_row
from gatelight.memory.transposing import MOVE_WORK, PART, transpose_rows

Array = np.ndarray[Any, np.dtype[Any]]
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
    weight_hh: Array  # [directions, G, ≥ H]
    peephole: Array | None
    h_0: Array
    c_0: Array
    h_n: Array
    c_n: Array
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
    if few_rows(x, weight_ih):
        table = rows_times_turned(x, weight_ih, bias_ih, each)
        _, step_weight, stacked = _prepared(weight_ih, weight_hh, 0)
    else:
        table_weight, step_weight, stacked = _prepared(weight_ih, weight_hh, x.shape[1])
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
        after=after, order=order,
    )  # fmt: skip
    return Way(
        cell, first, lengths, token, len(table), weight_ih, stacked, peephole, h_0, c_0,
        h_n, c_n, x, hidden, gates, cells,
    )  # fmt: skip


def _prepared(weight_ih: Sequence[Array], weight_hh: Sequence[Array], dim: int) -> tuple[Array, Array, Array]:
    """Weights [G, D] and [G, H] of each direction as kernels want them.

    That is, with rows that begin at lines, the transposed ones [dim, ≥ directions·G], where dim is D or, for
    none of these, 0, and [directions, H, ≥ G], and the recurrent ones [directions, G, ≥ H] for the way back.
    """
    directions, (size, hidden_size) = len(weight_ih), weight_hh[0].shape
    dtype = weight_ih[0].dtype
    wide, each = buffers.line_up(directions * size, dtype), buffers.line_up(size, dtype)
    both, cut = buffers.empty((dim * wide + directions * hidden_size * each,), dtype), dim * wide
    table_weight = both[:cut].reshape(dim, wide)
    step_weight = both[cut:].reshape(directions, hidden_size, each)
    if directions == 1 and buffers.begins_lines(weight_hh[0]):
        stacked = weight_hh[0][None]
    else:
        stacked = buffers.lined((directions, size, hidden_size), dtype)
    given = weight_ih[0], weight_ih[-1], weight_hh[0], weight_hh[-1], table_weight, step_weight, stacked
    threads.share(_all_prepared, given, directions * size * (dim + hidden_size) * MOVE_WORK)
    return table_weight, step_weight, stacked


@compiled
def _prepared_part(
    weight_ih: Any, other_ih: Any, weight_hh: Any, other_hh: Any, table_weight: Any, step_weight: Any,
    stacked: Any, each: int, parts: int, k: int,
) -> None:  # fmt: skip
    directions, H = step_weight.shape[:2]
    G, D = weight_ih.shape
    d, begin, of_input = k // parts % directions, k % parts * each, k >= parts * directions
    end = min(G, begin + each)
    # One call for both: its code is long.
    if of_input:
        given, out = weight_ih if d == 0 else other_ih, table_weight.reshape(1, D, -1)
    else:
        given, out = weight_hh if d == 0 else other_hh, step_weight[d : d + 1]
    transpose_rows(given.reshape(1, G, -1), out, d * G if of_input else 0, begin, end)
    if not of_input and stacked.ctypes.data != weight_hh.ctypes.data:
        for row in range(begin, end):
            copy_row(given, row * H, stacked, (d * G + row) * stacked.shape[2], H)


@compiled
def _all_prepared(
    weight_ih: Any, other_ih: Any, weight_hh: Any, other_hh: Any, table_weight: Any, step_weight: Any,
    stacked: Any, crew: Any, helpers: int,
) -> int:  # fmt: skip
    G = len(weight_ih)
    each = even_part(G, helpers, PART)
    parts = (G + each - 1) // each
    given = (
        weight_ih, other_ih, weight_hh, other_hh, table_weight, step_weight, stacked, each, parts
    )  # fmt: skip
    tasks = len(step_weight) * parts
    return int(begin(_prepared_part, given, crew, helpers, 2 * tasks if len(table_weight) else tasks))


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
        way.hidden, way.gates, way.cells, wanted.get("bias_hh", False), overwrite, True,
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
