"""Recurrent layers on arrays, one above the other, all directions: forward, and back to every gradient.

Knows packed rows and weights as torch.nn's layers hold them; no parameters, no autograd and no torch. Arrays
are C-contiguous and of one dtype, float32 or float64. Legend: U distinct inputs, N packed rows, D input size,
G gates × H, F = directions × H.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from gatelight.nn.equations import EQUATIONS
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.gemm import lined, panels, rows_times, transposed_times
from gatelight.nn.kernels.recurrence import recurrence_backward, recurrence_forward
from gatelight.nn.packing import Packing
from gatelight.nn.status import count
from gatelight.nn.trace import LayerTrace, Trace

Array = np.ndarray[Any, np.dtype[Any]]

Weights = Mapping[str, Sequence[Array]]
"""Of one layer by kind ("weight_ih", …), an array for each direction; both biases may be missing."""

State = Sequence[tuple[Array, ...]]
"""Of each layer (h [directions, B, H],) or (h, c), in packed order."""


@cache
def kinds_of(cell: str, bias: bool = True) -> tuple[str, ...]:
    """The kinds of weights that a layer of this cell has."""
    biases = ("bias_ih", "bias_hh") if bias else ()
    return "weight_ih", "weight_hh", *biases, *(("weight_peephole",) if EQUATIONS[cell].peepholes else ())


def parameter_shapes(
    cell: str, input_size: int, hidden_size: int, directions: int
) -> dict[str, tuple[int, ...]]:
    """The shapes of a layer's weights by name, in the order of its state_dict."""
    size, peepholes = len(EQUATIONS[cell].gates) * hidden_size, len(EQUATIONS[cell].peepholes)
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (size, input_size), "weight_hh": (size, hidden_size), "bias_ih": (size,),
        "bias_hh": (size,), "weight_peephole": (peepholes, hidden_size),
    }  # fmt: skip
    suffixes = ("", "_reverse")[:directions]
    groups = [kinds_of(cell)[:4], kinds_of(cell)[4:]]  # peepholes stand behind all else
    return {f"{kind}_l0{end}": shapes[kind] for kinds in groups for end in suffixes for kind in kinds}


def layer_weights(cell: str, named: Mapping[str, Array], number: int = 0) -> Weights:
    """The weights of layer `number` among arrays that are named as in a layer's state_dict."""
    both = [f"_l{number}{end}" for end in ("", "_reverse")]
    found = {kind: [named[kind + end] for end in both if kind + end in named] for kind in kinds_of(cell)}
    return {kind: weights for kind, weights in found.items() if weights}


class LayerPass(NamedTuple):
    """What one layer was given and computed; gates and cells have rows only if they were to be kept."""

    x: Array  # [U, D] or [N, D]
    h_0: Array  # [directions, B, H]
    c_0: Array  # the same, or [directions, B, 0] in a cell without a cell state
    h_n: Array
    c_n: Array
    hidden: Array  # [N, F]
    gates: Array  # [N, directions · S · H], as `Cell.saved` says
    cells: Array  # [N, F], or [N, 0]


@dataclass(frozen=True, eq=False)
class Pass:
    """All layers' forward pass over the rows of a packing."""

    cell: str
    packing: Packing
    index: Array | None
    masks: Sequence[Array]
    layers: list[LayerPass]

    @property
    def hidden(self) -> Array:
        """The last layer's hidden states [N, F]."""
        return self.layers[-1].hidden

    @property
    def state(self) -> State:
        """Each layer's state after the last step."""
        pair = EQUATIONS[self.cell].has_cell_state
        return [(one.h_n, one.c_n) if pair else (one.h_n,) for one in self.layers]

    def trace(self) -> Trace:
        """Every gate, cell state and hidden state, of a pass that was to be kept."""
        directions, _, size = self.layers[0].h_0.shape
        layers = tuple(LayerTrace(one.hidden, one.gates, one.cells) for one in self.layers)
        return Trace(EQUATIONS[self.cell], self.packing, size, directions, layers)


class Gradients(NamedTuple):
    """Of the inputs [U, D], the state before the first step, and each layer's weights by kind."""

    rows: Array  # empty unless asked for
    state: State
    weights: list[dict[str, Array]]  # [directions, …]


class _Ready(NamedTuple):
    """A layer's weights as the forward pass reads them."""

    weight_ih: Array  # transposed, in panels
    bias_ih: Array  # [directions · G]
    weight_hh: Array  # [directions, H, ≥ G], transposed
    bias_hh: Array  # [directions, G]
    peephole: Array | None  # [directions, 3, H]


class RecurrentLayers:
    """The weights of layers of one cell, made ready once; they must not change while this is used."""

    def __init__(self, cell: str, layers: Sequence[Weights]) -> None:
        """`layers` from the first to the last, as `layer_weights` gives them."""
        self.cell, self.layers = cell, list(layers)
        first = self.layers[0]["weight_hh"]
        self.directions, self.hidden_size, self.dtype = len(first), first[0].shape[1], first[0].dtype
        self.columns = len(first) * len(first[0])  # directions · G, the width of input products
        self.row_bytes = self.directions * self.hidden_size * self.dtype.itemsize  # of hidden states
        self._ready = [self._made_ready(weights) for weights in self.layers]

    def _made_ready(self, weights: Weights) -> _Ready:
        none = buffers.nothing((self.directions, self.columns // self.directions), self.dtype)
        bias_ih, bias_hh = (_stacked(weights[k]) if k in weights else none for k in ("bias_ih", "bias_hh"))
        peephole = _stacked(weights["weight_peephole"]) if EQUATIONS[self.cell].peepholes else None
        weight_ih = panels(_joined(weights["weight_ih"]).T)
        weight_hh = lined([weight.T for weight in weights["weight_hh"]])
        return _Ready(weight_ih, bias_ih.reshape(-1), weight_hh, bias_hh, peephole)

    def input_table(self, x: Array) -> Array:
        """x [U, D] → the first layer's input products with their bias [U, directions · G]."""
        return rows_times(x, self._ready[0].weight_ih, self._ready[0].bias_ih)

    def forward(
        self, rows: Array, index: Array | None, packing: Packing, state: State | None = None,
        keep: bool = False, *, table: bool = False, masks: Sequence[Array] = (),
    ) -> Pass:  # fmt: skip
        """Run all layers over packed rows.

        rows [U, D] are the distinct inputs and index int32 [N] says which of them each packed row is (None:
        rows are the packed rows); with `table` they are their input products, as `input_table` makes them.
        A state of None is zeros. With `keep` there can be a backward pass, or a trace. `masks` [N, F]
        multiply what each layer gives to the next (dropout). Row numbers are not checked.
        """
        count("kernels")
        done: list[LayerPass] = []
        cell, x, row_of = EQUATIONS[self.cell], rows, index
        shape = self.directions, packing.sequences, self.hidden_size
        zeros = buffers.nothing(shape, self.dtype), buffers.nothing((*shape[:2], 0), self.dtype)
        for number, ready in enumerate(self._ready):
            h_0, *c = (zeros[0],) if state is None else state[number]
            c_0 = (c[0] if c else zeros[0]) if cell.has_cell_state else zeros[1]
            products = x if table and not number else rows_times(x, ready.weight_ih, ready.bias_ih)
            hidden, h_n, c_n, gates, cells = recurrence_forward(
                self.cell, products, row_of, packing.first, packing.lengths, ready.weight_hh, ready.bias_hh,
                ready.peephole, h_0, c_0, keep,
            )  # fmt: skip
            done.append(LayerPass(x, h_0, c_0, h_n, c_n, hidden, gates, cells))
            x, row_of = hidden * masks[number] if masks[number:] else hidden, None
        return Pass(self.cell, packing, index, masks, done)

    def backward(
        self, done: Pass, d_hidden: Array, d_state: Sequence[tuple[Array | None, ...]] | None = None,
        wanted: Sequence[Collection[str]] | None = None, need_rows: bool = True,
    ) -> Gradients:  # fmt: skip
        """From the gradients of hidden [N, F] and of the last state (None: zeros) to all others.

        `wanted` names for each layer the kinds of weights whose gradient is asked for (None: all).
        """
        d_0: list[tuple[Array, ...]] = []
        of_weights: list[dict[str, Array]] = []
        pair, d_x, packing = EQUATIONS[self.cell].has_cell_state, d_hidden, done.packing
        for number in reversed(range(len(self.layers))):
            one, weights, ready = done.layers[number], self.layers[number], self._ready[number]
            asked = [kind for kind in weights if wanted is None or kind in wanted[number]]
            d_h, d_c = (None, None) if d_state is None else (*d_state[number], None)[:2]
            index = None if number else done.index
            distinct = len(one.hidden) if index is None else len(one.x)
            d_table, d_h_0, d_c_0, found = recurrence_backward(
                self.cell, d_x, _or_zeros(d_h, one.h_0), _or_zeros(d_c, one.c_0), distinct, index,
                packing.first, packing.lengths, weights["weight_hh"], ready.peephole, one.h_0, one.c_0,
                one.hidden, one.gates, one.cells, asked,
            )  # fmt: skip
            if "weight_ih" in asked or "bias_ih" in asked:
                found["weight_ih"], found["bias_ih"] = transposed_times(d_table, one.x)
            if number > 0 or need_rows:
                weight = _joined(weights["weight_ih"])
                d_x = rows_times(d_table, panels(weight), buffers.nothing(weight.shape[1:], self.dtype))
            else:
                d_x = np.empty((0, 0), self.dtype)
            d_0.append((d_h_0, d_c_0) if pair else (d_h_0,))
            shapes = {kind: (self.directions, *weights[kind][0].shape) for kind in asked}
            of_weights.append({kind: found[kind].reshape(shape) for kind, shape in shapes.items()})
            if number and done.masks:
                d_x *= done.masks[number - 1]
        return Gradients(d_x, d_0[::-1], of_weights[::-1])


def _or_zeros(given: Array | None, like: Array) -> Array:
    return buffers.nothing(like.shape, like.dtype) if given is None else given


def _stacked(parts: Sequence[Array]) -> Array:
    if len(parts) == 1:
        return parts[0][None]
    return np.stack(parts, out=buffers.empty((len(parts), *parts[0].shape), parts[0].dtype))


def _joined(parts: Sequence[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
