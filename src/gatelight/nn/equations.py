"""The four cells, one short pure function each, in their papers' symbols: the reference of every faster path.

Legend: `Wx` is the input product with its bias, [n, G]; `U` [G, H] and `b` [G] the recurrent weight and bias,
so `b.addmm(h, U.T)` is U h + b; `h`, `c` [n, H] the state before the step; `p` [3, H] the peepholes. Each
returns the state after the step and what `Cell.saved` names. Every tensor is of one floating type, on one
device; none is changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what reads only the gates' names must not wait for torch
    from torch import Tensor

    Step = Callable[
        [Tensor, Tensor, Tensor | None, Tensor, Tensor, Tensor | None],
        tuple[Tensor, Tensor | None, tuple[Tensor, ...]],
    ]


@dataclass(frozen=True)
class Cell:
    """What a cell consists of, as data; kernels, layers, traces and file formats read the gate order here."""

    name: str
    gates: tuple[str, ...]  # blocks of H rows in weight_ih, weight_hh and both biases, in this order
    peepholes: tuple[str, ...]  # rows of weight_peephole, in this order
    has_cell_state: bool
    saved: tuple[str, ...]  # blocks of H that a traced step leaves per row, in this order
    step: Step

    @property
    def traced(self) -> tuple[str, ...]:
        """What a trace tells of each step, by name."""
        gates = tuple(name for name in self.gates if name in self.saved)
        return (*gates, *(("cell_state",) if self.has_cell_state else ()), "hidden_state")


def rnn(
    Wx: Tensor, h: Tensor, c: Tensor | None, U: Tensor, b: Tensor, p: Tensor | None
) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
    """Elman 1990, "Finding structure in time", with tanh."""
    h = (Wx + b.addmm(h, U.T)).tanh()
    return h, None, ()


def lstm(
    Wx: Tensor, h: Tensor, c: Tensor | None, U: Tensor, b: Tensor, p: Tensor | None
) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
    """Hochreiter & Schmidhuber 1997 with the forget gate of Gers, Schmidhuber & Cummins 2000."""
    assert c is not None
    i, f, g, o = (Wx + b.addmm(h, U.T)).chunk(4, dim=-1)
    i = i.sigmoid()
    f = f.sigmoid()
    g = g.tanh()
    o = o.sigmoid()
    c = f * c + i * g
    h = o * c.tanh()
    return h, c, (i, f, g, o)


def peephole(
    Wx: Tensor, h: Tensor, c: Tensor | None, U: Tensor, b: Tensor, p: Tensor | None
) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
    """Gers, Schraudolph & Schmidhuber 2002: i and f see c(t−1), o sees c(t), through diagonal weights."""
    assert c is not None
    assert p is not None
    p_i, p_f, p_o = p.unbind(0)
    i, f, g, o = (Wx + b.addmm(h, U.T)).chunk(4, dim=-1)
    i = (i + p_i * c).sigmoid()
    f = (f + p_f * c).sigmoid()
    g = g.tanh()
    c = f * c + i * g
    o = (o + p_o * c).sigmoid()
    h = o * c.tanh()
    return h, c, (i, f, g, o)


def gru(
    Wx: Tensor, h: Tensor, c: Tensor | None, U: Tensor, b: Tensor, p: Tensor | None
) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
    """Cho et al. 2014 in PyTorch's form: two biases, the reset gate applied after the recurrent product."""
    r, z, n = Wx.chunk(3, dim=-1)
    u_r, u_z, u_n = b.addmm(h, U.T).chunk(3, dim=-1)
    r = (r + u_r).sigmoid()
    z = (z + u_z).sigmoid()
    n = (n + r * u_n).tanh()
    h = (1 - z) * n + z * h
    return h, None, (r, z, n, u_n)


_LSTM_GATES = ("input_gate", "forget_gate", "candidate", "output_gate")
_GRU_GATES = ("reset_gate", "update_gate", "candidate")

EQUATIONS: dict[str, Cell] = {
    cell.name: cell
    for cell in (
        Cell("rnn", ("hidden_state",), (), False, (), rnn),
        Cell("lstm", _LSTM_GATES, (), True, _LSTM_GATES, lstm),
        Cell(
            "peephole", _LSTM_GATES, ("input_gate", "forget_gate", "output_gate"), True, _LSTM_GATES, peephole
        ),
        Cell("gru", _GRU_GATES, (), False, (*_GRU_GATES, "recurrent_candidate"), gru),
    )
}
