"""Our layers' weights as inputs of ONNX's recurrent operators, and back; knows no graph.

W [dirs, G, D], R [dirs, G, H], B [dirs, 2G] (both biases), P [dirs, 3H].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.interop.gate_orders import ONNX, ONNX_PEEPHOLES, in_order
from gatelight.nn.equations import EQUATIONS

OPERATORS = {"rnn": "RNN", "lstm": "LSTM", "peephole": "LSTM", "gru": "GRU"}
Array = NDArray[Any]


def operator_inputs(
    cell: str, weights: Mapping[str, Array], layer: int, suffixes: Sequence[str]
) -> dict[str, Array]:
    """One layer's parameters, by torch's names → W, R, B and P as there are any."""
    ours, theirs = EQUATIONS[cell].gates, ONNX[cell]

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
        found["P"] = np.stack([in_order(row, EQUATIONS[cell].peepholes, ONNX_PEEPHOLES) for row in rows])
    return found


def layer_weights(
    cell: str, inputs: Mapping[str, Array], layer: int, suffixes: Sequence[str]
) -> dict[str, Array]:
    """What `operator_inputs` made → the layer's parameters by torch's names; both biases zero without B."""
    ours, theirs = EQUATIONS[cell].gates, ONNX[cell]
    weights: dict[str, Array] = {}
    for place, end in enumerate(suffixes):
        name = f"_l{layer}{end}"
        weights["weight_ih" + name] = in_order(inputs["W"][place], theirs, ours)
        weights["weight_hh" + name] = in_order(inputs["R"][place], theirs, ours)
        if "B" in inputs:
            for kind, half in zip(("bias_ih", "bias_hh"), np.split(inputs["B"][place], 2), strict=True):
                weights[kind + name] = in_order(half, theirs, ours)
        if EQUATIONS[cell].peepholes:
            row = in_order(inputs["P"][place], ONNX_PEEPHOLES, EQUATIONS[cell].peepholes)
            weights["weight_peephole" + name] = row.reshape(len(ONNX_PEEPHOLES), -1)
    return weights
