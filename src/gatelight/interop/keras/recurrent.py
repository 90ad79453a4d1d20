"""The memory of a chain: one recurrent layer, one or both directions, steps left out by a mask as in Keras.

Runs on the kernels where its functions are theirs, else by the equations (`Memory.path`). Knows no files.
Weights have the gate order of `memory.equations`, and two bias vectors each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from gatelight.errors import DataError
from gatelight.interop.keras.feedforward import FUNCTIONS, Form, Function, Layer, Shapes, Signal, Weights
from gatelight.nn import CELLS, Packing, pack, reference
from gatelight.nn.equations import EQUATIONS, Cell
from gatelight.nn.padding import packed_rows, padded_steps
from gatelight.nn.status import Path, count

if TYPE_CHECKING:
    from gatelight.nn.equations import Step

GATE, STATE = "sigmoid", "tanh"  # what the papers, the kernels and torch.nn have
NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
MERGES = ("concat", "sum", "ave", "mul")


@dataclass(frozen=True)
class Memory(Layer):
    """Steps of rows → hidden states of all steps (`all_steps`) or the last one.

    `merge` None: one direction, and `backwards` reads from the end, its steps coming out in that order; else
    both directions, merged so. At a step that does not count the state stays; what comes out there is the
    state before it, or zeros with `zeros_where_masked`.
    """

    cell: str
    hidden: int
    gate: str = GATE
    state: str = STATE
    reset_after: bool = True
    all_steps: bool = False
    backwards: bool = False
    merge: str | None = None
    zeros_where_masked: bool = False
    kind: ClassVar[str] = "memory"

    @property
    def functions(self) -> tuple[str, str, str, bool]:
        """The cell and its functions."""
        return self.cell, self.gate, self.state, self.reset_after

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What ends the weights' names, for each direction."""
        return ("", "_reverse") if self.merge else ("",)

    def path(self) -> tuple[Path, str]:
        """Who computes it, and why."""
        reason = why_not_kernels(*self.functions)
        return ("kernels", "the functions are the kernels'") if reason is None else ("equations", reason)

    def shapes(self, form: Form) -> Shapes:
        """As torch.nn's names them, without the layer's number."""
        rows = len(EQUATIONS[self.cell].gates) * self.hidden
        shapes = ((rows, form.row), (rows, self.hidden), (rows,), (rows,))
        return {
            name + suffix: shape
            for suffix in self.suffixes
            for name, shape in zip(NAMES, shapes, strict=True)
        }

    def after(self, form: Form) -> Form:
        """`hidden` features, twice as many where directions stand side by side."""
        self.steps_needed(form)
        features = self.hidden * (2 if self.merge == "concat" else 1)
        return Form(form.steps, features) if self.all_steps else Form(None, features, False)

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Read each direction, then merge."""
        forwards = self._direction(signal, weights, "", self.backwards)
        mask = signal.mask if self.all_steps else None
        if self.merge is None:
            return Signal(forwards, mask)
        backwards = self._direction(signal, weights, "_reverse", not self.backwards)
        if self.all_steps:
            backwards = backwards.flip(1)
        match self.merge:
            case "concat":
                return Signal(torch.cat([forwards, backwards], dim=-1), mask)
            case "sum":
                return Signal(forwards + backwards, mask)
            case "ave":
                return Signal((forwards + backwards) / 2, mask)
        return Signal(forwards * backwards, mask)

    def _direction(self, signal: Signal, weights: Weights, suffix: str, backwards: bool) -> Tensor:
        """[B, T, H] in the order of reading, or [B, H]."""
        values, mask = signal.values, signal.mask
        if backwards:
            values, mask = values.flip(1), None if mask is None else mask.flip(1)
        if mask is None:
            lengths = torch.full((len(values),), values.shape[1])
        else:  # real steps first, in their order: the memory then sees no others
            lengths = mask.sum(1)
            order = torch.argsort((~mask).to(torch.int8), dim=1, stable=True)
            values = values.gather(1, order.unsqueeze(-1).expand_as(values))
        packing = pack(lengths.numpy())
        rows, last = self._read(packed_rows(values, packing, True), packing, weights, suffix)
        if not self.all_steps:
            state = last[torch.from_numpy(packing.positions)]
            return state if mask is None or not self.zeros_where_masked else state * mask[:, -1:]
        steps = padded_steps(rows, packing, values.shape[1], True)
        if mask is None:
            return steps
        # Step t shows the newest real state: that of as many real steps as there are up to t.
        place = mask.cumsum(1) - 1
        shown = mask if self.zeros_where_masked else place >= 0
        place = place.clamp(min=0).unsqueeze(-1).expand(-1, -1, self.hidden)
        return steps.gather(1, place) * shown.unsqueeze(-1)

    def _read(self, x: Tensor, packing: Packing, weights: Weights, suffix: str) -> tuple[Tensor, Tensor]:
        """Packed rows [N, D] → hidden [N, H] and last state [B, H] in packed order."""
        own = {name: weights[name + suffix] for name in NAMES}
        if self.path()[0] == "equations":
            return run(variant(*self.functions), x, packing, *own.values())
        layer = CELLS[self.cell](x.shape[1], self.hidden, device="meta")
        layer.load_state_dict({f"{name}_l0": tensor for name, tensor in own.items()}, assign=True)
        hidden, state = layer.packed(x, packing)
        return hidden, (state[0] if isinstance(state, tuple) else state)[0]


def variant(cell: str, gate: str = GATE, state: str = STATE, reset_after: bool = True) -> Cell:
    """The cell "rnn", "lstm" or "gru" with these functions for its gates and for its candidate and state.

    Raises DataError for a cell or function that there is not.
    """
    if cell not in _STEPS:
        raise DataError(f"the cell {cell!r} has no variants; expected one of {', '.join(_STEPS)}")
    for name in (gate, state):
        if name not in FUNCTIONS:
            raise DataError(f"the function {name!r} is not known; expected one of {', '.join(FUNCTIONS)}")
    make = gru_reset_before if cell == "gru" and not reset_after else _STEPS[cell]
    return replace(EQUATIONS[cell], step=make(FUNCTIONS[gate], FUNCTIONS[state]), saved=())


def why_not_kernels(cell: str, gate: str = GATE, state: str = STATE, reset_after: bool = True) -> str | None:
    """The reason in words why no kernel computes this variant; None: it is one of the four cells."""
    if cell == "gru" and not reset_after:
        return "the reset gate acts before the recurrent product, the kernels' after it"
    if cell != "rnn" and gate != GATE:
        return f"the gates are {gate}, the kernels' {GATE}"
    return None if state == STATE else f"the activation is {state}, the kernels' {STATE}"


def run(
    cell: Cell,
    x: Tensor,
    packing: Packing,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias_ih: Tensor,
    bias_hh: Tensor,
) -> tuple[Tensor, Tensor]:
    """One layer, one direction, from zeros: x [N, D] packed rows → hidden [N, H], final state h [B, H].

    weight_ih [G, D], weight_hh [G, H] and both biases [G] have the gate order of `Cell.gates`.
    """
    count("equations")
    table = reference.linear(x, weight_ih, bias_ih)
    hidden, h_n, *_ = reference.recurrence(
        cell, table, None, packing, weight_hh.unsqueeze(0), bias_hh.unsqueeze(0), None, None, None
    )
    return hidden, h_n[0]


def rnn(gate: Function, state: Function) -> Step:
    """Elman 1990 with any activation."""

    def step(
        Wx: Tensor, h: Tensor, c: Tensor | None, U: Tensor, b: Tensor, p: Tensor | None
    ) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        return state(Wx + linear(h, U, b)), None, ()

    return step


def lstm(gate: Function, state: Function) -> Step:
    """LSTM with any functions; `state` is both the candidate's and the output's."""

    def step(
        Wx: Tensor, h: Tensor, c: Tensor | None, U: Tensor, b: Tensor, p: Tensor | None
    ) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        assert c is not None
        i, f, g, o = (Wx + linear(h, U, b)).chunk(4, dim=-1)
        c = gate(f) * c + gate(i) * state(g)
        h = gate(o) * state(c)
        return h, c, ()

    return step


def gru(gate: Function, state: Function) -> Step:
    """GRU with any functions, the reset gate after the recurrent product."""

    def step(
        Wx: Tensor, h: Tensor, c: Tensor | None, U: Tensor, b: Tensor, p: Tensor | None
    ) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        r, z, n = Wx.chunk(3, dim=-1)
        u_r, u_z, u_n = linear(h, U, b).chunk(3, dim=-1)
        z = gate(z + u_z)
        n = state(n + gate(r + u_r) * u_n)
        return (1 - z) * n + z * h, None, ()

    return step


def gru_reset_before(gate: Function, state: Function) -> Step:
    """GRU as Cho et al. 2014, eq. 8: the reset gate multiplies the state before the recurrent product."""

    def step(
        Wx: Tensor, h: Tensor, c: Tensor | None, U: Tensor, b: Tensor, p: Tensor | None
    ) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        r, z, n = Wx.chunk(3, dim=-1)
        U_r, U_z, U_n = U.chunk(3)
        b_r, b_z, b_n = b.chunk(3)
        r = gate(r + linear(h, U_r, b_r))
        z = gate(z + linear(h, U_z, b_z))
        n = state(n + linear(r * h, U_n, b_n))
        return (1 - z) * n + z * h, None, ()

    return step


_STEPS = {"rnn": rnn, "lstm": lstm, "gru": gru}
