"""A stack of recurrent layers over packed rows: the parameters' way into the arithmetic.

Knows nothing of padded tensors (see `layers`), nor of words or ids beyond row numbers of a table. The
arithmetic itself is in the operators, in torch's own kernels or in the equations (see `status`).
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatelight.errors import DataError
from gatelight.nn.arithmetic import arithmetic_of
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.foreign_tools import refuse_tools, transformed
from gatelight.nn.layer_arrays import kinds_of
from gatelight.nn.layer_function import run_layers, runs_whole
from gatelight.nn.packing import Packing
from gatelight.nn.padding import AnyPacking, Layout, State, check_rows
from gatelight.nn.status import BACKENDS, Path, count, path_of
from gatelight.nn.trace import LayerTrace, Trace

_ROWS = torch.empty(0)  # given any batch sizes, torch.nn's check_input takes packed rows [N, D] for such


class Stack(nn.RNNBase):
    """What the four layers share: torch.nn's parameters, run over packed rows; a subclass names its cell."""

    cell: ClassVar[str]
    backend: str = "auto"
    mode: str
    weight_hh_l0: Tensor

    def packed(
        self, x: Tensor, packing: AnyPacking, token: Tensor | None = None, initial: State | None = None
    ) -> tuple[Tensor, State]:
        """Run all layers over packed rows; returns hidden [N, dirs·H] of the last layer and the final state.

        x [N, D] holds the packed rows, or with token (int32 [N]) the inputs [U, D] of the distinct tokens:
        their input product is then done once each. States are [layers·dirs, B, H] in packed order, (h, c) for
        LSTMs.
        Raises ValueError or RuntimeError, as torch.nn does, for types or sizes that do not fit.
        """
        refuse_tools(x)
        path = self._check(x, packing, token)
        if path == "torch":
            return self._by_torch(x, packing, token, initial)
        with without_autocast(x):
            x = x.to(self.weight_hh_l0.dtype)
            if path == "kernels" and isinstance(packing, Packing):
                found = self._whole(x, packing, token, initial, None)
                if found is not None:
                    return found
            hidden, state, _ = self._run(path, self._table(0, x, path), packing, token, initial)
        return hidden, state

    def _whole(
        self, x: Tensor, packing: Packing, token: Tensor | None, initial: State | None, layout: Layout | None
    ) -> tuple[Tensor, State] | None:
        """Each layer as one step of autograd, padded if there is a layout; None where that cannot be."""
        states = self._states(initial, packing, x.dtype)
        kinds = kinds_of(self.cell, self.bias)
        names = _names(kinds, self.num_layers, self._directions)
        weights = [[self._parameter(name) for name in layer] for layer in names]
        dropout = self.dropout if self.training else 0.0
        if not runs_whole(x, states, weights):
            return None
        hidden, last = run_layers(self.cell, x, token, packing, kinds, weights, states, dropout, layout)
        count("kernels")
        return hidden, self._final(last)

    def packed_from_table(
        self, table: Tensor, packing: Packing, token: Tensor | None, initial: State | None = None
    ) -> tuple[Tensor, State]:
        """As `packed` with the first layer's input product ready: table [U, dirs·G] made by `input_table`."""
        columns = self._directions * len(self.weight_hh_l0)
        if table.dim() != 2 or table.shape[1] != columns:
            raise RuntimeError(f"table must be of shape [U, {columns}], got {list(table.shape)}")
        if table.dtype != self.weight_hh_l0.dtype:
            raise ValueError(
                f"table is of type {table.dtype}, the weights are of type {self.weight_hh_l0.dtype}"
            )
        check_rows(table, packing, token)
        with without_autocast(table):
            hidden, state, _ = self._run(self._own_path(), table, packing, token, initial)
        return hidden, state

    def input_table(self, x: Tensor) -> Tensor:
        """The first layer's input product with its bias, [U, dirs·G], of x [U, D]; kept for fixed inputs."""
        self.check_input(x, _ROWS)
        with without_autocast(x):
            return self._table(0, x.to(self.weight_hh_l0.dtype), self._own_path())

    def trace_packed(
        self, x: Tensor, packing: Packing, token: Tensor | None = None, initial: State | None = None
    ) -> Trace:
        """Every gate, cell state and hidden state of each real step, for the call form of `packed`."""
        self._check(x, packing, token)
        with torch.no_grad(), without_autocast(x):
            table = self._table(0, x.to(self.weight_hh_l0.dtype), self._own_path())
        return self.trace_from_table(table, packing, token, initial)

    def trace_from_table(
        self, table: Tensor, packing: Packing, token: Tensor | None, initial: State | None = None
    ) -> Trace:
        """As `trace_packed` with the table made by `input_table`."""
        with torch.no_grad(), without_autocast(table):
            _, _, layers = self._run(self._own_path(), table, packing, token, initial, trace=True)
        return Trace(EQUATIONS[self.cell], packing, self.hidden_size, self._directions, tuple(layers))

    def extra_repr(self) -> str:
        """torch's own line, and the backend when one was asked for."""
        return super().extra_repr() + (f", backend={self.backend!r}" if self.backend != "auto" else "")

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

    def path(self) -> Path:
        """Who computes: decided by the weights, since the input must be of their type and on their device."""
        kind = "rnn_relu" if self.mode == "RNN_RELU" else self.cell
        weight = self._parameter("weight_hh_l0")
        path = path_of(kind, weight.device.type, weight.dtype, self.backend)[0]
        if path == "kernels" and not torch.compiler.is_compiling() and transformed():
            return "equations"
        return path

    def _own_path(self) -> Path:
        """As `path` for tables and traces, which torch's kernels do not offer."""
        if self.mode == "RNN_RELU":
            raise DataError(
                "nonlinearity 'relu' runs in torch's own kernels, without table or trace; use 'tanh'"
            )
        path = self.path()
        return "equations" if path == "torch" else path

    def _check(self, x: Tensor, packing: AnyPacking, token: Tensor | None) -> Path:
        self.check_input(x, _ROWS)
        check_rows(x, packing, token)
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

    def _of_layer(self, name: str, layer: int) -> list[Tensor]:
        """One parameter of a layer, for each direction."""
        return [self._parameter(each) for each in _names((name,), layer + 1, self._directions)[layer]]

    def _parameter(self, name: str) -> Tensor:
        # torch's lookup takes its time; what is no parameter may be computed from one.
        found = self._parameters.get(name)
        return getattr(self, name) if found is None else found

    def _table(self, layer: int, x: Tensor, path: Path) -> Tensor:
        weight = _joined(self._of_layer("weight_ih", layer))
        bias = _joined(self._of_layer("bias_ih", layer)) if self.bias else None
        return arithmetic_of(path).linear(x, weight, bias)

    def _run(
        self,
        path: Path,
        table: Tensor,
        packing: AnyPacking,
        token: Tensor | None,
        initial: State | None,
        trace: bool = False,
    ) -> tuple[Tensor, State, list[LayerTrace]]:
        """All layers from the first one's table on, and what each left to trace."""
        h_0, c_0 = self._states(initial, packing, table.dtype)
        if not torch.compiler.is_compiling():  # there a run is not yet one
            count(path)
        arithmetic = arithmetic_of(path)
        equation = EQUATIONS[self.cell]
        last: list[tuple[Tensor, Tensor]] = []
        traced: list[LayerTrace] = []
        hidden = table
        for layer in range(self.num_layers):
            if layer:
                if self.dropout and self.training:
                    hidden = nn.functional.dropout(hidden, self.dropout)
                table, token = self._table(layer, hidden, path), None
            weight_hh = _stacked(self._of_layer("weight_hh", layer))
            hidden, h_n, c_n, saved, cells = arithmetic.recurrence(
                self.cell,
                table,
                token,
                packing,
                weight_hh,
                _stacked(self._of_layer("bias_hh", layer))
                if self.bias
                else weight_hh.new_zeros(weight_hh.shape[:2]),
                _stacked(self._of_layer("weight_peephole", layer)) if equation.peepholes else None,
                None if h_0 is None else h_0[layer],
                None if c_0 is None else c_0[layer],
                trace,
            )
            last.append((h_n, c_n))
            if trace:
                traced.append(
                    LayerTrace(hidden.numpy(force=True), saved.numpy(force=True), cells.numpy(force=True))
                )
        return hidden, self._final(last), traced

    def _states(
        self, initial: State | None, packing: AnyPacking, dtype: torch.dtype
    ) -> tuple[Tensor | None, Tensor | None]:
        """h_0 and c_0 as [layers, directions, B, H], once they are known to fit."""
        if initial is None:
            return None, None
        shape = self.num_layers, self._directions
        h_0, *rest = (
            part.to(dtype).unflatten(0, shape)  # type: ignore[no-untyped-call]
            for part in self._checked(initial, packing.sequences)
        )
        return h_0, rest[0] if rest else None

    def _final(self, last: list[tuple[Tensor, Tensor]]) -> State:
        """The state after the last step from each layer's."""
        h = _joined([h for h, _ in last])
        return (h, _joined([c for _, c in last])) if EQUATIONS[self.cell].has_cell_state else h

    def _by_torch(
        self, x: Tensor, packing: AnyPacking, token: Tensor | None, initial: State | None
    ) -> tuple[Tensor, State]:
        """torch's own kernels over the same rows; they know no sequence of length zero, so those stay out."""
        if initial is None:
            h = x.new_zeros(self.num_layers * self._directions, packing.sequences, self.hidden_size)
            initial = (h, h) if EQUATIONS[self.cell].has_cell_state else h
        parts = self._checked(initial, packing.sequences)
        if not packing.rows:
            return x.new_zeros(0, self._directions * self.hidden_size), initial
        count("torch")
        alive = int(packing.alive[0])
        begin = [part[:, :alive].contiguous() for part in parts]
        rows = PackedSequence(
            x if token is None else x.index_select(0, token), torch.from_numpy(packing.alive)
        )
        output, end = super().forward(rows, tuple(begin) if len(begin) == 2 else begin[0])
        ends = end if isinstance(end, tuple) else (end,)
        last = [
            torch.cat((now, part[:, alive:].to(now)), dim=1) for now, part in zip(ends, parts, strict=True)
        ]
        return output.data, (last[0], last[1]) if len(last) == 2 else last[0]


@cache
def _names(kinds: tuple[str, ...], layers: int, directions: int) -> list[list[str]]:
    """Of each layer the names of its parameters, kind by kind."""
    suffixes = ("", "_reverse")[:directions]
    return [[f"{kind}_l{n}{suffix}" for kind in kinds for suffix in suffixes] for n in range(layers)]


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _stacked(parts: list[Tensor]) -> Tensor:
    return parts[0].unsqueeze(0) if len(parts) == 1 else torch.stack(parts)


def without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """The layers compute in their weights' own type: a half type's rounding errors add up over the steps."""
    kind = x.device.type
    return torch.autocast(kind, enabled=False) if torch.is_autocast_enabled(kind) else nullcontext()
