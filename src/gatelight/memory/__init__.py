"""Packed rows → hidden states: four recurrent cells that stand in for torch.nn's.

Knows nothing of text, words or models.
"""

from gatelight.memory.layers import CELLS, GRU, LSTM, RNN, PeepholeLSTM
from gatelight.memory.packing import Packing, pack, pack_alive
from gatelight.memory.status import Status, status
from gatelight.memory.trace import Trace

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
