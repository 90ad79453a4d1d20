"""What gates do: how long units remember, and which move most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.tracing import Trace

Floats = NDArray[np.float64]
KEEPING = {"lstm": "forget_gate", "peephole": "forget_gate", "gru": "update_gate"}


def half_lives(trace: Trace, layer: int = 0, direction: int = 0) -> Floats:
    """Return after how many tokens half of what a unit holds is left, [H]; inf where nothing is forgotten.

    From the mean of log f over all tokens of the trace: ln ½ ÷ mean, f being the forget gate, or a GRU's
    update gate. 0 where f was 0 at some token. Raises DataError for a cell without such a gate.
    """
    if trace.cell not in KEEPING:
        raise DataError(f"a {trace.cell} has no gate that keeps: it writes all over at every step")
    logs = np.zeros(trace.hidden_size)
    with np.errstate(divide="ignore"):
        for text in range(len(trace)):
            kept = trace.gate(KEEPING[trace.cell], text, layer, direction)
            logs += np.log(kept.astype(np.float64)).sum(axis=0)
        tokens = sum(map(len, trace.steps))
        lives: Floats = np.log(0.5) / np.minimum(logs / max(tokens, 1), -0.0)
    return np.abs(lives)


def activity_order(trace: Trace, text: int = 0, layer: int = 0, direction: int = 0) -> NDArray[np.int64]:
    """Return the units [H], those whose hidden state moves most over the text first."""
    moved = trace.gate("hidden_state", text, layer, direction)
    return np.argsort(-moved.std(axis=0) if len(moved) else np.zeros(moved.shape[1]), kind="stable")
