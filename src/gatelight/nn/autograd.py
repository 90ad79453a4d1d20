"""The layers on tensors, with their gradient; where torch compiles, as an operator, `gatelight::recurrent`.

Knows tensors on the CPU, of one dtype, float32 or float64; the arithmetic is in `recurrent`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatelight.nn.kernels import buffers
from gatelight.nn.linear import array_of, check_dtype
from gatelight.nn.packing import Packing, check_index, pack
from gatelight.nn.padding import AnyPacking
from gatelight.nn.recurrent import Pass, RecurrentLayers, kinds_of

Tensors = list[Tensor]
Layers = Sequence[Mapping[str, Tensors]]
"""By kind, in the order of `kinds_of`, the parameters of each direction."""
Form = tuple[str, bool, int]
"""The cell, whether it has biases, and the number of directions."""
Array = np.ndarray[Any, np.dtype[Any]]


def recurrent(
    cell: str, x: Tensor, index: Tensor | None, packing: AnyPacking, layers: Layers, h_0: Tensor, c_0: Tensor,
    masks: Tensors,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Run layers over packed rows as `RecurrentLayers.forward`; differentiable once in every floating tensor.

    x [N, D], or [U, D] with index int32 [N]; h_0, c_0 [layers · directions, B, H] in packed order, c_0 with
    H = 0 in a cell without a cell state; masks [N, F] between the layers, or none. Returns hidden [N, F] and
    the last states. Raises TypeError for another dtype than float32 or float64, or unequal ones, and
    IndexError for numbers of no row.
    """
    kinds, directions = tuple(layers[0]), len(layers[0]["weight_hh"])
    weights = [weight for layer in layers for kind in kinds for weight in layer[kind]]
    check_dtype(x, h_0, c_0, *weights, *masks)
    form = cell, "bias_ih" in kinds, directions
    if not isinstance(packing, Packing) or torch.compiler.is_compiling():
        lengths = (
            packing.lengths if isinstance(packing.lengths, Tensor) else torch.from_numpy(packing.lengths)
        )
        found: tuple[Tensor, Tensor, Tensor] = torch.ops.gatelight.recurrent(
            *form, x, index, lengths, weights, h_0, c_0, masks
        )
        return found
    given = x, h_0, c_0, *weights
    keep = torch.is_grad_enabled() and any(one.requires_grad for one in given)
    return _Recurrent.apply(form, index, packing, masks, keep, *given)  # type: ignore[no-any-return, no-untyped-call]


class _Recurrent(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, form: Form, index: Tensor | None, packing: Packing, masks: Tensors, keep: bool, x: Tensor,
        h_0: Tensor, c_0: Tensor, *weights: Tensor,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        ctx.layers, ctx.done = _run(form, x, index, packing, weights, h_0, c_0, masks, keep)
        hidden, h_n, c_n = _results(ctx.done)
        ctx.form, ctx.weights = form, len(weights)
        # Of these only `index` is read again, but torch knows which were written over meanwhile.
        ctx.save_for_backward(hidden, index, x, h_0, c_0, *weights, *masks)
        ctx.set_materialize_grads(False)  # else zeros would be filled for what nobody used
        return hidden, h_n, c_n

    @staticmethod
    def backward(ctx: Any, *d_results: Tensor | None) -> tuple[Tensor | None, ...]:
        _, index, x, h_0, c_0, *others = ctx.saved_tensors
        asked: list[bool] = list(ctx.needs_input_grad[5:])
        if torch.is_grad_enabled():  # a second derivative may come, which the operator refuses
            lengths = torch.from_numpy(ctx.done.packing.lengths)
            given = x, index, lengths, others[: ctx.weights], h_0, c_0, others[ctx.weights :]
            found = torch.ops.gatelight.recurrent_backward(*ctx.form, *given, *d_results, asked[0], asked[3:])
        else:
            _check_index(index, x)
            found = _gradients(ctx.form, ctx.layers, ctx.done, d_results, asked[0], asked[3:])
        return (None,) * 5 + tuple(one if ask else None for one, ask in zip(found, asked, strict=True))


def _run(
    form: Form, x: Tensor, index: Tensor | None, packing: Packing, weights: Sequence[Tensor], h_0: Tensor,
    c_0: Tensor, masks: Tensors, keep: bool,
) -> tuple[RecurrentLayers, Pass]:  # fmt: skip
    cell, bias, directions = form
    _check_index(index, x)
    kinds, arrays = kinds_of(cell, bias), [array_of(weight) for weight in weights]
    of_kinds = [arrays[k : k + directions] for k in range(0, len(arrays), directions)]
    layers = RecurrentLayers(
        cell, [dict(zip(kinds, of_kinds[k:], strict=False)) for k in range(0, len(of_kinds), len(kinds))]
    )
    state = list(zip(*(_by_layer(array_of(part), directions) for part in (h_0, c_0)), strict=True))
    done = layers.forward(
        array_of(x), None if index is None else array_of(index), packing, state, keep,
        masks=[array_of(mask) for mask in masks],
    )  # fmt: skip
    return layers, done


def _results(done: Pass) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states, and the last ones of all layers."""
    h_n = np.concatenate([one.h_n for one in done.layers])
    c_n = np.concatenate([one.c_n for one in done.layers])
    hidden, h, c = map(torch.from_numpy, (done.hidden, h_n, c_n))
    return hidden, h, c


def _gradients(
    form: Form, layers: RecurrentLayers, done: Pass, d_results: Sequence[Tensor | None], need_x: bool,
    needs: Sequence[bool],
) -> list[Tensor]:  # fmt: skip
    """Of x, h_0, c_0 and the weights; empty for x unless `need_x`, and for weights that do not need them."""
    cell, bias, directions = form
    kinds, number = kinds_of(cell, bias), len(layers.layers)
    of_kinds = [any(needs[k : k + directions]) for k in range(0, len(needs), directions)]
    wanted = [
        [kind for kind, need in zip(kinds, of_kinds[k:], strict=False) if need]
        for k in range(0, len(of_kinds), len(kinds))
    ]
    d_hidden, *d_last = (None if one is None else array_of(one) for one in d_results)
    d_state = [[None] * number if part is None else _by_layer(part, directions) for part in d_last]
    d_hidden = buffers.zeros(done.hidden.shape, layers.dtype) if d_hidden is None else d_hidden
    found = layers.backward(done, d_hidden, list(zip(*d_state, strict=True)), wanted, need_x)
    nothing = [np.empty(0, layers.dtype)] * directions
    d_weights = [d for of_layer in found.weights for kind in kinds for d in of_layer.get(kind, nothing)]
    d_h_0, *d_c_0 = (np.concatenate(parts) for parts in zip(*found.state, strict=True))
    no_cells = np.empty((*d_h_0.shape[:2], 0), layers.dtype)
    return [torch.from_numpy(d) for d in (found.rows, d_h_0, *(d_c_0 or [no_cells]), *d_weights)]


def _by_layer(state: Array, directions: int) -> list[Array]:
    return [state[k : k + directions] for k in range(0, len(state), directions)]


def _check_index(index: Tensor | None, x: Tensor) -> None:
    if index is not None:
        check_index(array_of(index), len(x))


def _packing(x: Tensor, index: Tensor | None, lengths: Tensor) -> Packing:
    """The rows' plan; kernels trust it, and a program traced for one batch may bring the lengths of another.

    Raises RuntimeError for lengths that are not those of the rows.
    """
    rows = len(x) if index is None else len(index)
    falling = array_of(lengths)
    packing = pack(falling)
    if packing.rows != rows or not np.array_equal(packing.lengths, falling):
        raise RuntimeError(
            f"lengths {falling.tolist()!r:.60} are not a packing of the {rows} rows that were given"
        )
    return packing


def _forward(
    cell: str, bias: bool, directions: int, x: Tensor, index: Tensor | None, lengths: Tensor,
    weights: list[Tensor], h_0: Tensor, c_0: Tensor, masks: list[Tensor],
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    packing = _packing(x, index, lengths)
    return _results(_run((cell, bias, directions), x, index, packing, weights, h_0, c_0, masks, False)[1])


def _forward_shapes(
    cell: str, bias: bool, directions: int, x: Tensor, index: Tensor | None, lengths: Tensor,
    weights: list[Tensor], h_0: Tensor, c_0: Tensor, masks: list[Tensor],
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    rows = (x if index is None else index).shape[0]
    hidden = x.new_empty(rows, directions * h_0.shape[2])
    return hidden, torch.empty_like(h_0), torch.empty_like(c_0)


def _setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Any, ...]) -> None:
    *form, x, index, lengths, weights, h_0, c_0, masks = inputs
    ctx.form, ctx.counts = form, (len(weights), len(masks))
    ctx.save_for_backward(x, index, lengths, h_0, c_0, *weights, *masks)
    ctx.set_materialize_grads(False)


def _gradient(
    ctx: Any, d_hidden: Tensor | None, d_h_n: Tensor | None, d_c_n: Tensor | None
) -> tuple[Any, ...]:
    x, index, lengths, h_0, c_0, *others = ctx.saved_tensors
    count, gaps = ctx.counts
    need_x, needs = ctx.needs_input_grad[3], list(ctx.needs_input_grad[6])
    d_x, d_h_0, d_c_0, *d_weights = torch.ops.gatelight.recurrent_backward(
        *ctx.form, x, index, lengths, others[:count], h_0, c_0, others[count:], d_hidden, d_h_n, d_c_n,
        need_x, needs,
    )  # fmt: skip
    each = [d if need else None for d, need in zip(d_weights, needs, strict=True)]
    d_x = d_x if need_x else None
    return None, None, None, d_x, None, None, each, d_h_0, d_c_0, [None] * gaps


def _backward(
    cell: str, bias: bool, directions: int, x: Tensor, index: Tensor | None, lengths: Tensor,
    weights: list[Tensor], h_0: Tensor, c_0: Tensor, masks: list[Tensor], d_hidden: Tensor | None,
    d_h_n: Tensor | None, d_c_n: Tensor | None, need_x: bool, needs: list[bool],
) -> list[Tensor]:  # fmt: skip
    """Runs the layers once more: what they would keep for this is none of the operator's results."""
    form, packing = (cell, bias, directions), _packing(x, index, lengths)
    run = _run(form, x, index, packing, weights, h_0, c_0, masks, True)
    return _gradients(form, *run, (d_hidden, d_h_n, d_c_n), need_x, needs)


def _backward_shapes(
    cell: str, bias: bool, directions: int, x: Tensor, index: Tensor | None, lengths: Tensor,
    weights: list[Tensor], h_0: Tensor, c_0: Tensor, masks: list[Tensor], d_hidden: Tensor | None,
    d_h_n: Tensor | None, d_c_n: Tensor | None, need_x: bool, needs: list[bool],
) -> list[Tensor]:  # fmt: skip
    of_kinds = [any(needs[k // directions * directions :][:directions]) for k in range(len(needs))]
    d_weights = [w.new_empty(w.shape if need else 0) for w, need in zip(weights, of_kinds, strict=True)]
    d_x = x.new_empty(x.shape if need_x else (0, 0))
    return [d_x, torch.empty_like(h_0), torch.empty_like(c_0), *d_weights]


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
