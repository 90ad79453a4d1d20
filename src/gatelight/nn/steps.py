"""One time step of each cell, forward and backward, for some elements of H at once in vector registers.

The readable equations are in equations.py; these are the same, from which compiled code is written. A cell is
a NamedTuple class: the kernels are compiled once for each, and kept in Numba's cache. Knows no arrays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from gatelight.nn.activations import sigmoid, tanh
from gatelight.nn.lanes import Lanes, fused


class RNNCell(NamedTuple):
    """Weights that a step of the plain RNN reads itself: none (a placeholder array [1, 1, 1])."""

    unused: Any


class LSTMCell(NamedTuple):
    """Weights that a step of the LSTM reads itself: none (a placeholder array [1, 1, 1])."""

    unused: Any


class PeepholeCell(NamedTuple):
    """Weights that a step of the peephole LSTM reads itself: the rows i, f, o of [directions, 3, H]."""

    peephole: Any


class GRUCell(NamedTuple):
    """Weights that a step of the GRU reads itself: none (a placeholder array [1, 1, 1])."""

    unused: Any


CELL_CLASSES: dict[str, type] = {"rnn": RNNCell, "lstm": LSTMCell, "peephole": PeepholeCell, "gru": GRUCell}
BLOCKS = {"rnn": 1, "lstm": 4, "peephole": 4, "gru": 4}
"""Blocks of H of a step's gradient: of the input product, then GRU's recurrent candidate."""

Several = list[Lanes]

# Forward: x, u the blocks of the input and the recurrent product, state c (h where a cell has none), p the
# peepholes; returned are what is saved, the cell state and the hidden state.


def _rnn(x: Several, u: Several, h: Lanes, p: Several) -> tuple[Several, Lanes | None, Lanes]:
    return [], None, tanh(x[0] + u[0])


def _lstm(x: Several, u: Several, c: Lanes, p: Several) -> tuple[Several, Lanes | None, Lanes]:
    i = sigmoid(x[0] + u[0])
    f = sigmoid(x[1] + u[1])
    g = tanh(x[2] + u[2])
    o = sigmoid(x[3] + u[3])
    c = fused(i, g, f * c)
    return [i, f, g, o], c, o * tanh(c)


def _peephole(x: Several, u: Several, c: Lanes, p: Several) -> tuple[Several, Lanes | None, Lanes]:
    i = sigmoid(x[0] + u[0] + p[0] * c)
    f = sigmoid(x[1] + u[1] + p[1] * c)
    g = tanh(x[2] + u[2])
    c = fused(i, g, f * c)
    o = sigmoid(x[3] + u[3] + p[2] * c)
    return [i, f, g, o], c, o * tanh(c)


def _gru(x: Several, u: Several, h: Lanes, p: Several) -> tuple[Several, Lanes | None, Lanes]:
    r = sigmoid(x[0] + u[0])
    z = sigmoid(x[1] + u[1])
    n = tanh(x[2] + r * u[2])
    return [r, z, n, u[2]], None, fused(z, h, (1.0 - z) * n)


# Backward: what was saved, the state c (h) before the step, c and h after it, the gradients d_h of the hidden
# and d_c of the cell state; returned are the gradient's blocks, d_c and d_h before the step, less what passes
# through the recurrent product, and what is added to the peepholes' gradient.

Back = tuple[Several, Lanes | None, Lanes | None, Several]


def _rnn_back(saved: Several, before: Lanes, c: Lanes, h: Lanes, d_h: Lanes, d_c: Lanes, p: Several) -> Back:
    return [d_h * (1.0 - h * h)], None, None, []


def _lstm_back(saved: Several, before: Lanes, c: Lanes, h: Lanes, d_h: Lanes, d_c: Lanes, p: Several) -> Back:
    i, f, g, o = saved
    squashed = tanh(c)
    d_c = d_c + d_h * o * (1.0 - squashed * squashed)
    d_i = d_c * g * i * (1.0 - i)
    d_f = d_c * before * f * (1.0 - f)
    d_g = d_c * i * (1.0 - g * g)
    d_o = d_h * squashed * o * (1.0 - o)
    return [d_i, d_f, d_g, d_o], d_c * f, None, []


def _peephole_back(
    saved: Several, before: Lanes, c: Lanes, h: Lanes, d_h: Lanes, d_c: Lanes, p: Several
) -> Back:
    i, f, g, o = saved
    squashed = tanh(c)
    d_o = d_h * squashed * o * (1.0 - o)
    d_c = d_c + d_h * o * (1.0 - squashed * squashed) + d_o * p[2]
    d_i = d_c * g * i * (1.0 - i)
    d_f = d_c * before * f * (1.0 - f)
    d_g = d_c * i * (1.0 - g * g)
    d_before = fused(d_c, f, d_i * p[0]) + d_f * p[1]
    return [d_i, d_f, d_g, d_o], d_before, None, [d_i * before, d_f * before, d_o * c]


def _gru_back(saved: Several, before: Lanes, c: Lanes, h: Lanes, d_h: Lanes, d_c: Lanes, p: Several) -> Back:
    r, z, n, recurrent = saved
    d_n = d_h * (1.0 - z) * (1.0 - n * n)
    d_r = d_n * recurrent * r * (1.0 - r)
    d_z = d_h * (before - n) * z * (1.0 - z)
    return [d_r, d_z, d_n, d_n * r], None, d_h * z, []


STEPS: dict[type, tuple[str, Callable[..., Any], Callable[..., Back]]] = {
    RNNCell: ("rnn", _rnn, _rnn_back),
    LSTMCell: ("lstm", _lstm, _lstm_back),
    PeepholeCell: ("peephole", _peephole, _peephole_back),
    GRUCell: ("gru", _gru, _gru_back),
}
"""For each class the cell's name, its step and its step back."""
