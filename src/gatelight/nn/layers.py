"""`RNN`, `LSTM`, `PeepholeLSTM`, `GRU`: drop-ins for torch.nn's, same constructor, call and state_dict keys.

Owns torch's call forms (padded, unbatched, PackedSequence, lengths=); the stack over packed rows does the
rest.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from gatelight.errors import DataError
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.foreign_tools import ForeignTools, refuse_tools
from gatelight.nn.packing import Packing, pack_alive
from gatelight.nn.padding import (
    AnyPacking,
    Lengths,
    State,
    packed_rows,
    packing_of,
    padded_steps,
    reordered,
)
from gatelight.nn.stack import Stack
from gatelight.nn.status import count
from gatelight.nn.trace import Trace


class Layer(ForeignTools, Stack):
    """torch.nn's call forms over the stack."""

    def __init_subclass__(cls) -> None:
        _, _, *arguments = inspect.signature(nn.RNNBase.__init__).parameters.values()  # but self and the mode
        backend = inspect.Parameter("backend", inspect.Parameter.KEYWORD_ONLY, default="auto")
        cls.__signature__ = inspect.Signature([*arguments, backend])  # type: ignore[attr-defined]

    def __init__(self, *args: Any, backend: str = "auto", **options: Any) -> None:
        """Arguments as torch.nn's layer of that name, but no projection.

        Backend "reference" selects the equations. Raises what torch.nn raises, and DataError for a projection
        or an unknown backend.
        """
        super().__init__(*args, **options)
        if self.proj_size:
            raise DataError(
                f"proj_size={self.proj_size}: projections are not offered; leave it out, or use torch.nn.LSTM"
            )
        self._use(backend)

    def forward(
        self, input: Tensor | PackedSequence, hx: State | None = None, *, lengths: Lengths | None = None
    ) -> tuple[Tensor | PackedSequence, State]:
        """As torch.nn's layer of that name; `lengths` [B] says how many steps of each sequence are real.

        Outputs beyond a length are zeros, and the final state is that of the last real step; a sequence of
        length zero ends in its initial state. Raises what torch.nn raises for types or sizes that do not fit.
        """
        refuse_tools(input)
        if isinstance(input, Tensor) and lengths is None and self.path() == "torch":
            count("torch")
            return super().forward(input, hx)  # type: ignore[no-any-return]
        if isinstance(input, PackedSequence):
            rows, initial = self._of_packed(input, hx, lengths)
            hidden, state = self.packed(input.data, rows, None, initial)
            packed = PackedSequence(hidden, input.batch_sizes, input.sorted_indices, input.unsorted_indices)
            return packed, reordered(state, input.unsorted_indices)
        x, packing, initial, batch_first = self._of_padded(input, hx, lengths)
        output, state = self._run_padded(x, packing, initial, batch_first)
        if input.dim() == 2:
            return output.squeeze(1), _map(state, lambda s: s.squeeze(1))
        return output, state

    def trace(
        self, input: Tensor | PackedSequence, hx: State | None = None, *, lengths: Lengths | None = None
    ) -> Trace:
        """Every gate, cell state and hidden state of each real step, from the path that `forward` runs."""
        if isinstance(input, PackedSequence):
            packing, initial = self._of_packed(input, hx, lengths)
            return self.trace_packed(input.data, packing, None, initial)
        x, padded, initial, batch_first = self._of_padded(input, hx, lengths)
        assert isinstance(padded, Packing)  # a trace is not compiled
        return self.trace_packed(packed_rows(x, padded, batch_first), padded, None, initial)

    def _run_padded(
        self, x: Tensor, packing: AnyPacking, initial: State | None, batch_first: bool
    ) -> tuple[Tensor, State]:
        """Outputs padded as x is, and the final state in the order of its sequences."""
        steps = x.shape[1 if batch_first else 0]
        hidden, state = self.packed(packed_rows(x, packing, batch_first), packing, None, initial)
        if isinstance(packing, Packing) and not packing.uniform:
            state = reordered(state, torch.from_numpy(packing.positions).to(hidden.device))
        return padded_steps(hidden, packing, steps, batch_first), state

    def _of_packed(
        self, input: PackedSequence, hx: State | None, lengths: Lengths | None
    ) -> tuple[Packing, State | None]:
        """The packing and the initial state in packed order."""
        if lengths is not None:
            name = type(self).__name__
            raise ValueError(f"{name}: a PackedSequence brings its lengths; leave out lengths=")
        order = input.sorted_indices
        packing = pack_alive(input.batch_sizes.numpy(), None if order is None else order.cpu().numpy())
        if hx is not None:
            self._checked(hx, packing.sequences)
            hx = reordered(hx, order)
        return packing, hx

    def _of_padded(
        self, input: Tensor, hx: State | None, lengths: Lengths | None
    ) -> tuple[Tensor, AnyPacking, State | None, bool]:
        """The input in 3 dimensions, its packing, the state in packed order, whether sequences come first."""
        dim = input.dim()
        if dim not in (2, 3):
            name = type(self).__name__
            raise ValueError(f"{name}: Expected input to be 2D or 3D, got {dim}D tensor instead")
        for part in () if hx is None else self._parts(hx):
            if (of := part.dim()) != dim:
                raise RuntimeError(
                    f"For {dim}-D input, the initial state should also be {dim}-D but got a {of}-D tensor"
                )
        batch_first = self.batch_first and dim == 3
        if dim == 2:
            input = input.unsqueeze(1)
            hx = None if hx is None else _map(hx, lambda s: s.unsqueeze(1))
        one, other, size = input.shape
        if size != self.input_size:
            self.check_input(input, None)
        sequences, steps = (one, other) if batch_first else (other, one)
        packing = packing_of(lengths, sequences, steps)
        if hx is not None:
            self._checked(hx, sequences)
            if isinstance(packing, Packing) and not packing.uniform:
                hx = reordered(hx, torch.from_numpy(packing.order).to(input.device))
        return input, packing, hx, batch_first


class RNN(Layer, nn.RNN):  # type: ignore[misc]  # forward also takes lengths=
    """Elman's plain recurrence with tanh; `nonlinearity="relu"` runs in torch's own kernels."""

    cell = "rnn"


class LSTM(Layer, nn.LSTM):  # type: ignore[misc]  # forward also takes lengths=
    """Long short-term memory with input, forget and output gates."""

    cell = "lstm"


class GRU(Layer, nn.GRU):  # type: ignore[misc]  # forward also takes lengths=
    """Gated recurrent unit in PyTorch's form: the reset gate acts after the recurrent product."""

    cell = "gru"


class OwnLayer(Layer):
    """A cell that torch.nn has not: its parameters are as its equation says, of four gates at most.

    No subclass of torch.nn.LSTM, so that nobody mistakes it for one and leaves peepholes behind.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """Arguments as torch.nn.LSTM's, but no projection; backend "reference" selects the equations."""
        super().__init__("LSTM", *args, **options)
        equation, size = EQUATIONS[self.cell], self.hidden_size
        for name, parameter in list(self.named_parameters()):
            rows = parameter.detach()[: len(equation.gates) * size]
            setattr(self, name, nn.Parameter(rows.clone()))
        bound = 1 / math.sqrt(size)
        for layer in range(self.num_layers if equation.peepholes else 0):
            for suffix in ("", "_reverse")[: self._directions]:
                peephole = nn.Parameter(self.weight_hh_l0.new_empty(len(equation.peepholes), size))
                nn.init.uniform_(peephole, -bound, bound)
                self.register_parameter(f"weight_peephole_l{layer}{suffix}", peephole)


class PeepholeLSTM(OwnLayer):
    """LSTM whose gates see the cell state: weight_peephole_l{k} [3, H], rows input, forget, output gate."""

    cell = "peephole"


def _map(state: State, change: Callable[[Tensor], Tensor]) -> State:
    return (change(state[0]), change(state[1])) if isinstance(state, tuple) else change(state)


CELLS: dict[str, type[RNN] | type[LSTM] | type[OwnLayer] | type[GRU]] = {
    layer.cell: layer for layer in (RNN, LSTM, PeepholeLSTM, GRU)
}
