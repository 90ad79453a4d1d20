"""Packed rows → hidden states: four recurrent cells that stand in for torch.nn's.

What only computes with fixed weights does not wait for torch: the layers are imported when they are first
asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gatelight.lazily import lazily
from gatelight.nn.packing import Packing, pack, pack_alive
from gatelight.nn.status import Status, status
from gatelight.nn.trace import Trace

if TYPE_CHECKING:
    from gatelight.nn.layers import CELLS, GRU, LSTM, RNN, PeepholeLSTM

__all__ = [
    "CELLS",
    "GRU",
    "LSTM",
    "RNN",
    "Packing",
    "PeepholeLSTM",
    "Status",
    "Trace",
    "pack",
    "pack_alive",
    "status",
]

_LAYERS = ("CELLS", "GRU", "LSTM", "RNN", "PeepholeLSTM")

__getattr__, __dir__ = lazily(__name__, dict.fromkeys(_LAYERS, "layers"), globals())
