"""The layers as one PyTorch operator, `gatelight::recurrent`, with its gradient.

Knows tensors on the CPU, of one dtype, float32 or float64; the arithmetic is in `recurrent`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatelight.nn.equations import EQUATIONS
from gatelight.nn.linear import array_of, check_dtype
from gatelight.nn.packing import Packing, check_index, pack
from gatelight.nn.padding import AnyPacking
from gatelight.nn.recurrent import LayerPass, Pass, RecurrentLayers, kinds_of

Tensors = list[Tensor]
Layers = Sequence[Mapping[str, Tensors]]
"""By kind, in the order of `kinds_of`, the parameters of each direction."""
Array = np.ndarray[Any, np.dtype[Any]]


def recurrent(
    cell: str, x: Tensor, index: Tensor | None, packing: AnyPacking, layers: Layers, h_0: Tensor, c_0: Tensor,
    masks: Tensors,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Run layers over packed rows as `RecurrentLayers.forward`; differentiable once in every floating tensor.

    x [N, D], or [U, D] with index int32 [N]; h_0, c_0 [layers · directions, B, H] in packed order, c_0 with
    H = 0 in a cell without a cell state; masks [N, F] between the layers, or none. Returns hidden [N, F] and
    the last states. Raises TypeError for another dtype than float32 or float64, or unequal ones.
    """
    kinds, directions = tuple(layers[0]), len(layers[0]["weight_hh"])
    weights = [weight for layer in layers for kind in kinds for weight in layer[kind]]
    given = x, h_0, c_0, *weights, *masks
    check_dtype(*given)
    keep = torch.is_grad_enabled() and any(one.requires_grad for one in given)
    lengths = packing.lengths if isinstance(packing.lengths, Tensor) else torch.from_numpy(packing.lengths)
    hidden, h_n, c_n, _ = torch.ops.gatelight.recurrent(
        cell, x, index, lengths, weights, "bias_ih" in kinds, directions, h_0, c_0, masks, keep
    )
    return hidden, h_n, c_n


def _layers(cell: str, weights: Tensors, bias: bool, directions: int) -> RecurrentLayers:
    kinds, arrays = kinds_of(cell, bias), [array_of(weight) for weight in weights]
    of_kinds = [arrays[k : k + directions] for k in range(0, len(arrays), directions)]
    return RecurrentLayers(
        cell, [dict(zip(kinds, of_kinds[k:], strict=False)) for k in range(0, len(of_kinds), len(kinds))]
    )


def _packing(x: Tensor, index: Tensor | None, lengths: Tensor) -> Packing:
    """The rows' plan; kernels trust it, and a program traced for one batch may bring the lengths of another.

    Raises RuntimeError for lengths that are not those of the rows, IndexError for numbers of no row.
    """
    rows = len(x) if index is None else len(index)
    falling = array_of(lengths)
    packing = pack(falling)
    if packing.rows != rows or not np.array_equal(packing.lengths, falling):
        raise RuntimeError(
            f"lengths {falling.tolist()!r:.60} are not a packing of the {rows} rows that were given"
        )
    if index is not None:
        check_index(array_of(index), len(x))
    return packing


def _by_layer(state: Array, directions: int) -> list[Array]:
    return [state[k : k + directions] for k in range(0, len(state), directions)]


def _forward(
    cell: str, x: Tensor, index: Tensor | None, lengths: Tensor, weights: list[Tensor], bias: bool,
    directions: int, h_0: Tensor, c_0: Tensor, masks: list[Tensor], keep: bool,
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:  # fmt: skip
    packing, layers = _packing(x, index, lengths), _layers(cell, weights, bias, directions)
    state = list(zip(*(_by_layer(array_of(part), directions) for part in (h_0, c_0)), strict=True))
    done = layers.forward(
        array_of(x), None if index is None else array_of(index), packing, state, keep,
        masks=[array_of(mask) for mask in masks],
    )  # fmt: skip
    kept = [array for one in done.layers for array in (one.gates, one.cells)] if keep else []
    kept += [one.hidden for one in done.layers[:-1]] if keep else []
    h_n = np.concatenate([one.h_n for one in done.layers])
    c_n = np.concatenate([one.c_n for one in done.layers])
    hidden, h, c, *others = map(torch.from_numpy, (done.hidden, h_n, c_n, *kept))
    return hidden, h, c, others


def _forward_shapes(
    cell: str, x: Tensor, index: Tensor | None, lengths: Tensor, weights: list[Tensor], bias: bool,
    directions: int, h_0: Tensor, c_0: Tensor, masks: list[Tensor], keep: bool,
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:  # fmt: skip
    rows, layers = (x if index is None else index).shape[0], h_0.shape[0] // directions
    width, saved = directions * h_0.shape[2], len(EQUATIONS[cell].saved)
    kept = [x.new_empty(rows, k) for _ in range(layers) for k in (saved * width, directions * c_0.shape[2])]
    kept += [x.new_empty(rows, width) for _ in range(layers - 1)]
    return x.new_empty(rows, width), torch.empty_like(h_0), torch.empty_like(c_0), kept if keep else []


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    cell, x, index, lengths, weights, bias, directions, h_0, c_0, masks, keep = inputs
    hidden, _, _, kept = output
    ctx.form, ctx.keep, ctx.counts = (cell, bias, directions), keep, (len(weights), len(masks))
    ctx.save_for_backward(x, index, lengths, h_0, c_0, hidden, *weights, *masks, *kept)
    ctx.set_materialize_grads(False)  # else each step would fill zeros as large as all that is kept


def _gradient(
    ctx: Any, d_hidden: Tensor | None, d_h_n: Tensor | None, d_c_n: Tensor | None, d_kept: Any
) -> tuple[Any, ...]:
    if not ctx.keep:
        raise RuntimeError(
            "gatelight::recurrent was run with keep=False; run it with keep=True for a gradient"
        )
    x, index, lengths, h_0, c_0, hidden, *others = ctx.saved_tensors
    count, gaps = ctx.counts
    weights, masks, kept = others[:count], others[count : count + gaps], others[count + gaps :]
    (cell, bias, directions), needs = ctx.form, ctx.needs_input_grad
    asked = [any(needs[4][k : k + directions]) for k in range(0, count, directions)]
    d_x, d_h_0, d_c_0, d_weights = torch.ops.gatelight.recurrent_backward(
        cell, torch.zeros_like(hidden) if d_hidden is None else d_hidden, d_h_n, d_c_n, x, index, lengths,
        weights, bias, directions, h_0, c_0, masks, hidden, kept, needs[1], asked,
    )  # fmt: skip
    each = [
        d
        for found, ask in zip(d_weights, asked, strict=True)
        for d in (found if ask else [None] * directions)
    ]
    d_x, d_h_0, d_c_0 = (
        found if need else None for found, need in ((d_x, needs[1]), (d_h_0, needs[7]), (d_c_0, needs[8]))
    )
    return None, d_x, None, None, each, None, None, d_h_0, d_c_0, [None] * gaps, None


def _backward(
    cell: str, d_hidden: Tensor, d_h_n: Tensor | None, d_c_n: Tensor | None, x: Tensor, index: Tensor | None,
    lengths: Tensor, weights: list[Tensor], bias: bool, directions: int, h_0: Tensor, c_0: Tensor,
    masks: list[Tensor], hidden: Tensor, kept: list[Tensor], need_x: bool, needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:  # fmt: skip
    packing, layers = _packing(x, index, lengths), _layers(cell, weights, bias, directions)
    number = len(layers.layers)
    saved, gaps = [array_of(one) for one in kept], [array_of(one) for one in masks]
    outputs = [*saved[2 * number :], array_of(hidden)]
    inputs = [array_of(x), *(h * gaps[k] if gaps else h for k, h in enumerate(outputs[:-1]))]
    h, c = (_by_layer(array_of(part), directions) for part in (h_0, c_0))
    done = [
        LayerPass(inputs[k], h[k], c[k], h[k], c[k], outputs[k], saved[2 * k], saved[2 * k + 1])
        for k in range(number)
    ]
    kinds = kinds_of(cell, bias)
    wanted = [
        [kind for kind, need in zip(kinds, needs[k:], strict=False) if need]
        for k in range(0, len(needs), len(kinds))
    ]
    d_h_n_of, d_c_n_of = (
        [None] * number if part is None else _by_layer(array_of(part), directions) for part in (d_h_n, d_c_n)
    )
    number_of_rows = None if index is None else array_of(index)
    found = layers.backward(
        Pass(cell, packing, number_of_rows, gaps, done), array_of(d_hidden),
        list(zip(d_h_n_of, d_c_n_of, strict=True)), wanted, need_x,
    )  # fmt: skip
    nothing = np.empty(0, layers.dtype)
    d_weights = [of_layer.get(kind, nothing) for of_layer in found.weights for kind in kinds]
    d_h_0, *d_c_0 = (np.concatenate(parts) for parts in zip(*found.state, strict=True))
    arrays = found.rows, d_h_0, *(d_c_0 or [np.empty(c_0.shape, layers.dtype)])
    d_x, d_h, d_c = map(torch.from_numpy, arrays)
    return d_x, d_h, d_c, [torch.from_numpy(array) for array in d_weights]


def _backward_shapes(
    cell: str, d_hidden: Tensor, d_h_n: Tensor | None, d_c_n: Tensor | None, x: Tensor, index: Tensor | None,
    lengths: Tensor, weights: list[Tensor], bias: bool, directions: int, h_0: Tensor, c_0: Tensor,
    masks: list[Tensor], hidden: Tensor, kept: list[Tensor], need_x: bool, needs: list[bool],
) -> tuple[Tensor, Tensor, Tensor, list[Tensor]]:  # fmt: skip
    of_kinds = zip(weights[::directions], needs, strict=True)
    d_weights = [w.new_empty((directions, *w.shape) if need else 0) for w, need in of_kinds]
    d_x = x.new_empty(x.shape if need_x else (0, 0))
    return d_x, torch.empty_like(h_0), torch.empty_like(c_0), d_weights


def _refuse(ctx: Any, *gradients: Any) -> None:
    # Without this torch would only warn, and the second derivative would silently be wrong.
    raise RuntimeError(
        "the compiled layers have no second derivative; build the layer with backend='reference' for that"
    )


def _register(name: str, compute: Any, shapes: Any, gradient: Any, setup: Any = None) -> None:
    # torch.library.custom_op would do the same, but it imports the compiler, which takes over a second.
    schema = torch.library.infer_schema(compute, mutates_args=(), op_name=name)
    _LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))  # type: ignore[no-untyped-call]
    _LIBRARY.impl(name, compute, "CPU")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"gatelight::{name}", shapes, lib=_LIBRARY)
    torch.library.register_autograd(f"gatelight::{name}", gradient, setup_context=setup, lib=_LIBRARY)


_LIBRARY = torch.library.Library("gatelight", "DEF")  # type: ignore[no-untyped-call]
_register("recurrent", _forward, _forward_shapes, _gradient, _setup)
_register("recurrent_backward", _backward, _backward_shapes, _refuse)
