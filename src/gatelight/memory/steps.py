"""One time step of one sequence for each cell, forward and backward, for compiled kernels.

The readable equations are in equations.py; these are the same, elementwise over H. A cell is a
NamedTuple class: Numba compiles the kernels once for each, and keeps them in its cache.
Knows nothing of batches or of the matrix products around a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numba.extending import overload

from gatelight.memory.activations import JIT, sigmoid, tanh


class RNNCell(NamedTuple):
    """Weights that a step of the plain RNN reads itself: none (a placeholder array [1, 1])."""

    unused: Any


class LSTMCell(NamedTuple):
    """Weights that a step of the LSTM reads itself: none (a placeholder array [1, 1])."""

    unused: Any


class PeepholeCell(NamedTuple):
    """Weights that a step of the peephole LSTM reads itself: the rows i, f, o of [directions, 3, H]."""

    peephole: Any


class GRUCell(NamedTuple):
    """Weights that a step of the GRU reads itself: none (a placeholder array [1, 1])."""

    unused: Any


def step(cell: Any, d: int, x: Any, u: Any, h: Any, c: Any, saved: Any, cell_state: Any, hidden: Any) -> None:
    """Advance one sequence by one step in direction d.

    x [G]: input product; u [G]: recurrent product with its bias; h, c [H]: state, replaced;
    saved [S·H]: gates; cell_state [H]: c (cells without a cell state: empty); hidden [H].
    """
    raise NotImplementedError("only compiled kernels call this")


def step_back(
    cell: Any,
    d: int,
    saved: Any,
    c_before: Any,
    cell_state: Any,
    h_before: Any,
    hidden: Any,
    d_hidden: Any,
    d_h: Any,
    d_c: Any,
    d_gates: Any,
    d_peephole: Any,
) -> None:
    """Take one sequence one step back in direction d.

    d_hidden [H]: gradient of this step's output; d_h, d_c [H]: gradient of the state after the step,
    replaced by that of the state before it, less what passes through the recurrent product; d_gates [K·H]:
    gradient of the input product, then what else that of the recurrent product holds; d_peephole [3, H]:
    added to.
    """
    raise NotImplementedError("only compiled kernels call this")


# Numba wants the same bare parameters here as in the functions that are returned.
@overload(step, jit_options=JIT, inline="always")
def _step(cell, d, x, u, h, c, saved, cell_state, hidden):  # type: ignore[no-untyped-def]
    return _STEPS[cell.instance_class][0]


@overload(step_back, jit_options=JIT, inline="always")
def _step_back(  # type: ignore[no-untyped-def]
    cell, d, saved, c_before, cell_state, h_before, hidden, d_hidden, d_h, d_c, d_gates, d_peephole
):
    return _STEPS[cell.instance_class][1]


def _rnn(cell, d, x, u, h, c, saved, cell_state, hidden):  # type: ignore[no-untyped-def]
    for j in range(h.shape[0]):
        value = tanh(x[j] + u[j])
        h[j] = value
        hidden[j] = value


def _rnn_back(  # type: ignore[no-untyped-def]
    cell, d, saved, c_before, cell_state, h_before, hidden, d_hidden, d_h, d_c, d_gates, d_peephole
):
    one = hidden.dtype.type(1)
    for j in range(hidden.shape[0]):
        value = (d_h[j] + d_hidden[j]) * (one - hidden[j] * hidden[j])
        d_gates[j] = value
        d_h[j] = 0


def _lstm(cell, d, x, u, h, c, saved, cell_state, hidden):  # type: ignore[no-untyped-def]
    H = h.shape[0]
    for j in range(H):
        i = sigmoid(x[j] + u[j])
        f = sigmoid(x[H + j] + u[H + j])
        g = tanh(x[2 * H + j] + u[2 * H + j])
        o = sigmoid(x[3 * H + j] + u[3 * H + j])
        state = f * c[j] + i * g
        squashed = tanh(state)
        saved[j] = i
        saved[H + j] = f
        saved[2 * H + j] = g
        saved[3 * H + j] = o
        c[j] = state
        cell_state[j] = state
        h[j] = o * squashed
        hidden[j] = o * squashed


def _lstm_back(  # type: ignore[no-untyped-def]
    cell, d, saved, c_before, cell_state, h_before, hidden, d_hidden, d_h, d_c, d_gates, d_peephole
):
    H = hidden.shape[0]
    one = hidden.dtype.type(1)
    for j in range(H):
        i = saved[j]
        f = saved[H + j]
        g = saved[2 * H + j]
        o = saved[3 * H + j]
        squashed = tanh(cell_state[j])
        d_out = d_h[j] + d_hidden[j]
        d_state = d_c[j] + d_out * o * (one - squashed * squashed)
        d_c[j] = d_state * f
        d_h[j] = 0
        d_gates[j] = d_state * g * i * (one - i)
        d_gates[H + j] = d_state * c_before[j] * f * (one - f)
        d_gates[2 * H + j] = d_state * i * (one - g * g)
        d_gates[3 * H + j] = d_out * squashed * o * (one - o)


def _peephole(cell, d, x, u, h, c, saved, cell_state, hidden):  # type: ignore[no-untyped-def]
    H = h.shape[0]
    p = cell.peephole[d]
    for j in range(H):
        i = sigmoid(x[j] + u[j] + p[0, j] * c[j])
        f = sigmoid(x[H + j] + u[H + j] + p[1, j] * c[j])
        g = tanh(x[2 * H + j] + u[2 * H + j])
        state = f * c[j] + i * g
        o = sigmoid(x[3 * H + j] + u[3 * H + j] + p[2, j] * state)
        squashed = tanh(state)
        saved[j] = i
        saved[H + j] = f
        saved[2 * H + j] = g
        saved[3 * H + j] = o
        c[j] = state
        cell_state[j] = state
        h[j] = o * squashed
        hidden[j] = o * squashed


def _peephole_back(  # type: ignore[no-untyped-def]
    cell, d, saved, c_before, cell_state, h_before, hidden, d_hidden, d_h, d_c, d_gates, d_peephole
):
    H = hidden.shape[0]
    one = hidden.dtype.type(1)
    p = cell.peephole[d]
    for j in range(H):
        i = saved[j]
        f = saved[H + j]
        g = saved[2 * H + j]
        o = saved[3 * H + j]
        squashed = tanh(cell_state[j])
        d_out = d_h[j] + d_hidden[j]
        d_o = d_out * squashed * o * (one - o)
        d_state = d_c[j] + d_out * o * (one - squashed * squashed) + d_o * p[2, j]
        d_i = d_state * g * i * (one - i)
        d_f = d_state * c_before[j] * f * (one - f)
        d_c[j] = d_state * f + d_i * p[0, j] + d_f * p[1, j]
        d_h[j] = 0
        d_gates[j] = d_i
        d_gates[H + j] = d_f
        d_gates[2 * H + j] = d_state * i * (one - g * g)
        d_gates[3 * H + j] = d_o
    for j in range(H):
        d_peephole[0, j] += d_gates[j] * c_before[j]
        d_peephole[1, j] += d_gates[H + j] * c_before[j]
        d_peephole[2, j] += d_gates[3 * H + j] * cell_state[j]


def _gru(cell, d, x, u, h, c, saved, cell_state, hidden):  # type: ignore[no-untyped-def]
    H = h.shape[0]
    one = h.dtype.type(1)
    for j in range(H):
        r = sigmoid(x[j] + u[j])
        z = sigmoid(x[H + j] + u[H + j])
        n = tanh(x[2 * H + j] + r * u[2 * H + j])
        value = (one - z) * n + z * h[j]
        saved[j] = r
        saved[H + j] = z
        saved[2 * H + j] = n
        saved[3 * H + j] = u[2 * H + j]
        h[j] = value
        hidden[j] = value


def _gru_back(  # type: ignore[no-untyped-def]
    cell, d, saved, c_before, cell_state, h_before, hidden, d_hidden, d_h, d_c, d_gates, d_peephole
):
    H = hidden.shape[0]
    one = hidden.dtype.type(1)
    for j in range(H):
        r = saved[j]
        z = saved[H + j]
        n = saved[2 * H + j]
        recurrent = saved[3 * H + j]
        d_out = d_h[j] + d_hidden[j]
        d_n = d_out * (one - z) * (one - n * n)
        d_h[j] = d_out * z
        d_gates[j] = d_n * recurrent * r * (one - r)
        d_gates[H + j] = d_out * (h_before[j] - n) * z * (one - z)
        d_gates[2 * H + j] = d_n
        d_gates[3 * H + j] = d_n * r


_STEPS: dict[type, tuple[Callable[..., None], Callable[..., None]]] = {
    RNNCell: (_rnn, _rnn_back),
    LSTMCell: (_lstm, _lstm_back),
    PeepholeCell: (_peephole, _peephole_back),
    GRUCell: (_gru, _gru_back),
}
