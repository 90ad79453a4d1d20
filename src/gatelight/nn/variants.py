"""Cells with other functions than the papers': by the equations only, for models that come from elsewhere.

hard_sigmoid gates (Keras before 2.3), other activations, and GRU whose reset gate acts before the recurrent
product (Cho et al. 2014; Keras 1 and 2). Knows nothing of files or layers; legend as in `equations`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import elu, hardsigmoid, linear, softplus, softsign

from gatelight.errors import DataError
from gatelight.nn import reference
from gatelight.nn.equations import EQUATIONS, Cell
from gatelight.nn.packing import Packing
from gatelight.nn.status import count

if TYPE_CHECKING:
    from gatelight.nn.equations import Step

Function = Callable[[Tensor], Tensor]

FUNCTIONS: dict[str, Function] = {
    "linear": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    # Two functions bear the name hard_sigmoid: slope 1/5 in Keras 1, 2 and ONNX, 1/6 in Keras 3 and torch.
    "hard_sigmoid_fifth": lambda x: (0.2 * x + 0.5).clamp(0, 1),
    "hard_sigmoid_sixth": hardsigmoid,
    "softplus": softplus,
    "softsign": softsign,
    "elu": elu,
}
GATE, STATE = "sigmoid", "tanh"  # what the papers, the kernels and torch.nn have


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
