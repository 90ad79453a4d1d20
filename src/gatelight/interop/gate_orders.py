"""Gate orders of other formats, as data; ours stand in `nn.equations`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Order = tuple[str, ...]

_GRU: Order = ("update_gate", "reset_gate", "candidate")
_IOFC: Order = ("input_gate", "output_gate", "forget_gate", "candidate")
ONNX: dict[str, Order] = {"rnn": ("hidden_state",), "lstm": _IOFC, "peephole": _IOFC, "gru": _GRU}
ONNX_PEEPHOLES: Order = ("input_gate", "output_gate", "forget_gate")
KERAS: dict[str, Order] = {
    "rnn": ("hidden_state",),
    "lstm": ("input_gate", "forget_gate", "candidate", "output_gate"),
    "gru": _GRU,
}
# Keras 1 kept each gate apart (kernel, recurrent kernel, bias of one gate, then of the next).
KERAS_1: dict[str, Order] = {
    "lstm": ("input_gate", "candidate", "forget_gate", "output_gate"),
    "gru": _GRU,
}


def in_order(rows: NDArray[Any], now: Sequence[str], wanted: Sequence[str]) -> NDArray[Any]:
    """The equal blocks of rows, which stand in the order `now`, in the order `wanted`."""
    blocks = dict(zip(now, np.split(rows, len(now)), strict=True))
    return np.concatenate([blocks[gate] for gate in wanted])
