"""A stack of recurrent layers over packed rows: the parameters' way into the arithmetic.

The arithmetic itself is in the kernels, in torch's own or in the equations (see `status`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatelight.errors import DataError
from gatelight.nn import autograd, reference
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.foreign_tools import refuse_tools, transformed
from gatelight.nn.linear import array_of
from gatelight.nn.packing import Packing, check_index
from gatelight.nn.padding import AnyPacking, State, check_rows
from gatelight.nn.recurrent import RecurrentLayers, kinds_of
from gatelight.nn.status import BACKENDS, Path, count, path_of
from gatelight.nn.trace import Trace

_ROWS = torch.empty(0)  # given any batch sizes, torch.nn's check_input takes packed rows [N, D] for such
Weights = dict[str, list[Tensor]]  # of a layer by kind, a parameter for each direction


class Stack(nn.RNNBase):
    """What the four layers share: torch.nn's parameters, run over packed rows; a subclass names its cell."""

    cell: ClassVar[str]
    backend: str = "auto"
    mode: str
    weight_hh_l0: Tensor

    def packed(
        self, x: Tensor, packing: AnyPacking, index: Tensor | None = None, initial: State | None = None
    ) -> tuple[Tensor, State]:
        """Run all layers over packed rows; returns hidden [N, dirs·H] of the last layer and the final state.

        x [N, D] holds the packed rows, or with index (int32 [N]) the distinct inputs [U, D]: their input
        product is then done once each. States are [layers·dirs, B, H] in packed order, (h, c) for LSTMs.
        Raises ValueError or RuntimeError, as torch.nn does, for types or sizes that do not fit.
        """
        refuse_tools(x)
        path = self._check(x, packing, index)
        if path == "torch":
            return self._by_torch(x, packing, index, initial)
        with without_autocast(x):
            x = x.to(self.weight_hh_l0.dtype)
            state, masks = self._states(initial, packing, x), self._masks(packing, x)
            if path == "kernels":
                run = self.cell, x, index, packing, self._layers(), *state, masks
                hidden, *end = autograd.recurrent(*run)
            else:
                equation = EQUATIONS[self.cell]
                hidden, *end, _ = reference.recurrent(
                    equation, x, index, packing, self._layers(), *state, masks
                )
        return hidden, (end[0], end[1]) if EQUATIONS[self.cell].has_cell_state else end[0]

    def trace_packed(
        self, x: Tensor, packing: Packing, index: Tensor | None = None, initial: State | None = None
    ) -> Trace:
        """Every gate, cell state and hidden state of each real step, for the call form of `packed`."""
        if self.mode == "RNN_RELU":
            raise DataError("nonlinearity 'relu' runs in torch's own kernels, without a trace; use 'tanh'")
        path = self._check(x, packing, index)
        with torch.no_grad(), without_autocast(x):
            x = x.to(self.weight_hh_l0.dtype)
            h_0, c_0 = self._states(initial, packing, x)
            if path != "kernels":
                equation, layers = EQUATIONS[self.cell], self._layers()
                *_, traces = reference.recurrent(
                    equation, x, index, packing, layers, h_0, c_0, [], trace=True
                )
                return Trace(equation, packing, self.hidden_size, self._directions, tuple(traces))
            numbers = None if index is None else array_of(index)
            if numbers is not None:
                check_index(numbers, len(x))
            arrays = [{k: [array_of(w) for w in own] for k, own in each.items()} for each in self._layers()]
            shape = self.num_layers, self._directions
            h, c = (array_of(part).reshape(*shape, *part.shape[1:]) for part in (h_0, c_0))
            run = RecurrentLayers(self.cell, arrays).forward
            return run(array_of(x), numbers, packing, list(zip(h, c, strict=True)), keep=True).trace()

    def extra_repr(self) -> str:
        """torch's own line, and the backend when one was asked for."""
        return super().extra_repr() + (f", backend={self.backend!r}" if self.backend != "auto" else "")

    def path(self) -> Path:
        """Who computes: decided by the weights, since the input must be of their type and on their device."""
        kind = "rnn_relu" if self.mode == "RNN_RELU" else self.cell
        weight = self._parameter("weight_hh_l0")
        path = path_of(kind, weight.device.type, weight.dtype, self.backend)[0]
        if path == "kernels" and not torch.compiler.is_compiling() and transformed():
            return "equations"
        return path

    def _use(self, backend: str) -> None:
        if backend not in BACKENDS:
            raise DataError(f"backend {backend!r} is not known; use one of {', '.join(BACKENDS)}")
        if backend == "reference" and self.mode == "RNN_RELU":
            raise DataError(
                "nonlinearity 'relu' has no reference equation; leave backend at 'auto' (torch's kernels)"
            )
        self.backend = backend

    @property
    def _directions(self) -> int:
        return 2 if self.bidirectional else 1

    def _check(self, x: Tensor, packing: AnyPacking, index: Tensor | None) -> Path:
        self.check_input(x, _ROWS)
        check_rows(x, packing, index)
        if x.device != self.weight_hh_l0.device:
            raise RuntimeError(f"the input is on {x.device}, the weights are on {self.weight_hh_l0.device}")
        return self.path()

    def _parts(self, state: State) -> tuple[Tensor, ...]:
        """The state's tensors: (h, c) or (h,)."""
        name = type(self).__name__
        if EQUATIONS[self.cell].has_cell_state:
            if not isinstance(state, (tuple, list)) or len(state) != 2:
                raise RuntimeError(f"{name}: expected the state as a pair (h, c), got {type(state).__name__}")
            return tuple(state)
        if not isinstance(state, Tensor):
            raise TypeError(f"{name}: expected the state as one tensor h, got {type(state).__name__}")
        return (state,)

    def _checked(self, state: State, sequences: int) -> tuple[Tensor, ...]:
        """The state's tensors, once their sizes, type and device are known to fit."""
        expected = (self.num_layers * self._directions, sequences, self.hidden_size)
        parts = self._parts(state)
        weight = self.weight_hh_l0
        for name, part in zip(
            ("hidden[0]", "hidden[1]") if len(parts) == 2 else ("hidden",), parts, strict=True
        ):
            self.check_hidden_size(part, expected, f"Expected {name} size {{}}, got {{}}")
            if part.device != weight.device:
                raise RuntimeError(f"{name} is on {part.device}, the weights are on {weight.device}")
            if part.dtype != weight.dtype and not torch.is_autocast_enabled(part.device.type):
                raise RuntimeError(f"{name} is of type {part.dtype}, the weights are of type {weight.dtype}")
        return parts

    def _states(self, initial: State | None, packing: AnyPacking, x: Tensor) -> tuple[Tensor, Tensor]:
        """h_0 and c_0 [layers·dirs, B, H], zeros where none are given; c_0 empty in a cell without one."""
        shape = self.num_layers * self._directions, packing.sequences
        size = self.hidden_size * EQUATIONS[self.cell].has_cell_state
        if initial is None:
            return x.new_zeros(*shape, self.hidden_size), x.new_zeros(*shape, size)
        h_0, *c_0 = (part.to(x.dtype) for part in self._checked(initial, packing.sequences))
        return h_0, c_0[0] if c_0 else x.new_zeros(*shape, 0)

    def _masks(self, packing: AnyPacking, x: Tensor) -> list[Tensor]:
        """What dropout multiplies the hidden states between two layers by, drawn as torch draws it."""
        if not (self.dropout and self.training):
            return []
        ones = x.new_ones(packing.rows, self._directions * self.hidden_size)
        return [nn.functional.dropout(ones, self.dropout) for _ in range(self.num_layers - 1)]

    def _layers(self) -> list[Weights]:
        """The parameters of each layer."""
        names = _names(kinds_of(self.cell, self.bias), self.num_layers, self._directions)
        return [{kind: [self._parameter(n) for n in each] for kind, each in layer} for layer in names]

    def _parameter(self, name: str) -> Tensor:
        # torch's lookup takes its time; what is no parameter may be computed from one.
        found = self._parameters.get(name)
        return getattr(self, name) if found is None else found

    def _by_torch(
        self, x: Tensor, packing: AnyPacking, index: Tensor | None, initial: State | None
    ) -> tuple[Tensor, State]:
        """torch's own kernels over the same rows; they know no sequence of length zero, so those stay out."""
        parts = self._states(initial, packing, x)[: 1 + EQUATIONS[self.cell].has_cell_state]
        if not packing.rows:
            hidden = x.new_zeros(0, self._directions * self.hidden_size)
            return hidden, parts if len(parts) == 2 else parts[0]
        count("torch")
        alive = int(packing.alive[0])
        begin = tuple(part[:, :alive].contiguous() for part in parts)
        rows = x if index is None else x.index_select(0, index)
        given = PackedSequence(rows, torch.from_numpy(packing.alive))
        output, end = super().forward(given, begin if len(begin) == 2 else begin[0])
        ends = end if isinstance(end, tuple) else (end,)
        last = [
            torch.cat((now, part[:, alive:].to(now)), dim=1) for now, part in zip(ends, parts, strict=True)
        ]
        return output.data, (last[0], last[1]) if len(last) == 2 else last[0]


@cache
def _names(kinds: tuple[str, ...], layers: int, directions: int) -> list[list[tuple[str, list[str]]]]:
    """Of each layer the names of its parameters, kind by kind."""
    suffixes = ("", "_reverse")[:directions]
    return [[(kind, [f"{kind}_l{n}{end}" for end in suffixes]) for kind in kinds] for n in range(layers)]


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """The layers compute in their weights' own type: a half type's rounding errors add up over the steps."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
