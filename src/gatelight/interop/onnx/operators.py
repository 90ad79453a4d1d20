"""ONNX's recurrent operators beside our layers: gate orders as data, weights there and back. Knows no graph.

W [dirs, G, D], R [dirs, G, H], B [dirs, 2G] (both biases), P [dirs, 3H]; the operators' documentation gives
the orders in one letter each: LSTM "iofc", GRU "zrh", peepholes "iof".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.nn.equations import EQUATIONS

OPERATORS = {"rnn": "RNN", "lstm": "LSTM", "peephole": "LSTM", "gru": "GRU"}
_IOFC = ("input_gate", "output_gate", "forget_gate", "candidate")
GATES: dict[str, tuple[str, ...]] = {
    "rnn": ("hidden_state",),
    "lstm": _IOFC,
    "peephole": _IOFC,
    "gru": ("update_gate", "reset_gate", "candidate"),
}
PEEPHOLES = ("input_gate", "output_gate", "forget_gate")

Array = NDArray[Any]


def operator_inputs(
    cell: str, weights: Mapping[str, Array], layer: int, suffixes: Sequence[str]
) -> dict[str, Array]:
    """One layer's parameters, by torch's names → W, R, B and P as there are any."""
    ours, theirs = EQUATIONS[cell].gates, GATES[cell]

    def stacked(*kinds: str) -> Array:
        return np.stack(
            [
                np.concatenate([in_order(weights[f"{kind}_l{layer}{end}"], ours, theirs) for kind in kinds])
                for end in suffixes
            ]
        )

    found = {"W": stacked("weight_ih"), "R": stacked("weight_hh")}
    if f"bias_ih_l{layer}" in weights:
        found["B"] = stacked("bias_ih", "bias_hh")
    if EQUATIONS[cell].peepholes:
        rows = [weights[f"weight_peephole_l{layer}{end}"].reshape(-1) for end in suffixes]
        found["P"] = np.stack([in_order(row, EQUATIONS[cell].peepholes, PEEPHOLES) for row in rows])
    return found


def layer_weights(
    cell: str, inputs: Mapping[str, Array], layer: int, suffixes: Sequence[str]
) -> dict[str, Array]:
    """What `operator_inputs` made → the layer's parameters by torch's names; both biases zero without B."""
    ours, theirs = EQUATIONS[cell].gates, GATES[cell]
    weights: dict[str, Array] = {}
    for place, end in enumerate(suffixes):
        name = f"_l{layer}{end}"
        weights["weight_ih" + name] = in_order(inputs["W"][place], theirs, ours)
        weights["weight_hh" + name] = in_order(inputs["R"][place], theirs, ours)
        if "B" in inputs:
            for kind, half in zip(("bias_ih", "bias_hh"), np.split(inputs["B"][place], 2), strict=True):
                weights[kind + name] = in_order(half, theirs, ours)
        if EQUATIONS[cell].peepholes:
            row = in_order(inputs["P"][place], PEEPHOLES, EQUATIONS[cell].peepholes)
            weights["weight_peephole" + name] = row.reshape(len(PEEPHOLES), -1)
    return weights


def in_order(weight: Array, now: Sequence[str], wanted: Sequence[str]) -> Array:
    """The equal blocks of rows of `weight`, which stand in the order `now`, in the order `wanted`."""
    blocks = dict(zip(now, np.split(weight, len(now)), strict=True))
    return np.concatenate([blocks[name] for name in wanted])
