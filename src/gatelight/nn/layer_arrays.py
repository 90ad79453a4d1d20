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

from gatelight.nn.equations import EQUATIONS
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.gemm import linear_back, rows_times_turned, transposed
from gatelight.nn.kernels.recurrence import recurrence_backward, recurrence_forward

Array = np.ndarray[Any, np.dtype[Any]]

Weights = Mapping[str, Sequence[Array]]
"""By kind ("weight_ih", …), without the biases where there are none; an array for each direction."""


@cache
def kinds_of(cell: str, bias: bool = True) -> tuple[str, ...]:
    """The kinds of weights that a layer of this cell has."""
    biases = ("bias_ih", "bias_hh") if bias else ()
    return "weight_ih", "weight_hh", *biases, *(("weight_peephole",) if EQUATIONS[cell].peepholes else ())


class Saved(NamedTuple):
    """What a layer computed forward, and what its backward pass needs of it."""

    cell: str
    first: Array  # [T] and
    lengths: Array  # [B]: a packing's
    token: Array | None
    distinct: int
    weight_ih: Sequence[Array]  # [G, D] each
    weight_hh: Array  # [directions, G, H]
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
    cell: str, x: Array, token: Array | None, first: Array, lengths: Array, weights: Weights,
    h_0: Array | None = None, c_0: Array | None = None, keep: bool = True,
    order: Array | None = None,
) -> Saved:  # fmt: skip
    """x [N, D], or [U, D] with token int32 [N]; first [T], lengths [B]; states [directions, B, H].

    States that are None are zeros. Without `keep` there is no backward pass.
    With `order` [B] the last states stand at these places.
    """
    weight_ih, weight_hh = weights["weight_ih"], weights["weight_hh"]
    directions, (size, hidden_size) = len(weight_hh), weight_hh[0].shape
    none = buffers.nothing((directions, size), x.dtype) if "bias_hh" not in weights else None
    bias_ih = none.reshape(-1) if none is not None else _joined(weights["bias_ih"])
    # Where the gates of a step are more than its input products, there is room between these for the others.
    each = max(size, len(EQUATIONS[cell].saved) * hidden_size) if keep and token is None else size
    table = rows_times_turned(x, weight_ih, bias_ih, each)
    shape = directions, len(lengths), hidden_size
    h_0, c_0 = initial_states(cell, shape, x.dtype, h_0, c_0)
    peephole = _stacked(weights["weight_peephole"]) if EQUATIONS[cell].peepholes else None
    hidden, h_n, c_n, gates, cells = recurrence_forward(
        cell, table, token, first, lengths, transposed(weight_hh),
        _stacked(weights["bias_hh"]) if none is None else none, peephole, h_0, c_0, keep, overwrite=True,
        order=order,
    )  # fmt: skip
    return Saved(
        cell, first, lengths, token, len(table), weight_ih, _stacked(weight_hh), peephole, h_0, c_0,
        h_n, c_n, x, hidden, gates, cells,
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


class Gradients(NamedTuple):
    """Of the input and the states before the first step, and of each kind of weights by direction."""

    x: Array  # empty unless asked for
    h_0: Array
    c_0: Array
    weights: dict[str, Sequence[Array]]


def layer_backward(
    saved: Saved, d_hidden: Array, d_h_n: Array | None, d_c_n: Array | None, need_x: bool,
    wanted: Mapping[str, bool], overwrite: bool = False,
) -> Gradients:  # fmt: skip
    """From the gradients of hidden and the last states (None: zeros) to all that are `wanted`, by kind.

    With `overwrite` what was saved is lost: the pass cannot be run twice.
    """
    directions = len(saved.weight_hh)
    d_table, d_weight_hh, d_bias_hh, d_peephole, d_h_0, d_c_0 = recurrence_backward(
        saved.cell, d_hidden,
        or_zeros(d_h_n, saved.h_0.shape, saved.h_0.dtype), or_zeros(d_c_n, saved.c_0.shape, saved.c_0.dtype),
        saved.distinct, saved.token, saved.first, saved.lengths, saved.weight_hh, saved.peephole,
        saved.h_0, saved.c_0, saved.hidden, saved.gates, saved.cells, wanted.get("bias_hh", False),
        overwrite, True,
    )  # fmt: skip
    d_x, d_weight_ih, d_bias_ih = linear_back(
        d_table, saved.x, saved.weight_ih, need_x, wanted["weight_ih"], wanted.get("bias_ih", False)
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
