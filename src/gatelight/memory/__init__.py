"""Packed rows → hidden states: four recurrent cells that stand in for torch.nn's.

Knows nothing of text, words or models. What only computes with fixed weights does not wait for torch: the
layers are imported when they are first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gatelight.memory.packing import Packing, pack, pack_alive
from gatelight.memory.status import Status, status
from gatelight.memory.trace import Trace

if TYPE_CHECKING:
    from gatelight.memory.layers import CELLS, GRU, LSTM, RNN, PeepholeLSTM

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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gatelight.memory' has no attribute {name!r}")
    value = getattr(import_module("gatelight.memory.layers"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
