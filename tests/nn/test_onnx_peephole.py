"""Rung 1 for peepholes: ONNX's LSTM operator with random weights, by its reference evaluator and its runtime.

ONNX's example for peepholes has all weights equal, which cannot see a swapped gate.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from layer_cases import LENGTHS, random, random_layer, random_state
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from gatelight.nn import LSTM, PeepholeLSTM

# All sides compute in float32 over at most 10 steps, and gates near their steepest point quadruple nothing.
SAME_IN_FLOAT32 = 2e-6

IOFC = (0, 3, 1, 2)  # blocks of PyTorch's order i, f, g, o that give ONNX's i, o, f, c
IOF = (0, 2, 1)  # rows of our peepholes i, f, o that give ONNX's i, o, f
OPSET = 14
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


def blocks(weight: torch.Tensor, order: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The rows of `weight` with its equal blocks in this order."""
    parts = weight.detach().chunk(len(order))
    return torch.cat([parts[k] for k in order]).numpy()


def onnx_feeds(layer: Any, directions: int) -> dict[str, np.ndarray[Any, Any]]:
    """W [dirs, 4H, D], R [dirs, 4H, H], B [dirs, 8H], P [dirs, 3H] as ONNX wants them."""
    feeds: dict[str, list[np.ndarray[Any, Any]]] = {"W": [], "R": [], "B": [], "P": []}
    for suffix in ("", "_reverse")[:directions]:
        weight = {
            key: layer.get_parameter(f"{key}_l0{suffix}")
            for key in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        }
        feeds["W"].append(blocks(weight["weight_ih"], IOFC))
        feeds["R"].append(blocks(weight["weight_hh"], IOFC))
        feeds["B"].append(np.concatenate([blocks(weight["bias_ih"], IOFC), blocks(weight["bias_hh"], IOFC)]))
        feeds["P"].append(blocks(layer.get_parameter(f"weight_peephole_l0{suffix}").flatten(), IOF))
    return {key: np.stack(values) for key, values in feeds.items()}


def onnx_model(hidden: int, direction: str, inputs: tuple[str, ...]) -> onnx.ModelProto:
    """One LSTM operator; inputs that are left out are empty names."""
    names = [name if name in inputs else "" for name in INPUTS]
    node = helper.make_node("LSTM", names, ["Y", "Y_h", "Y_c"], hidden_size=hidden, direction=direction)
    kinds = {"sequence_lens": TensorProto.INT32}
    graph = helper.make_graph(
        [node],
        "peephole",
        [helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), None) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("Y", "Y_h", "Y_c")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_peephole_agrees_with_the_reference_evaluator(backend: str) -> None:
    """A gate, a peephole row or a state in the wrong place shows: all is random."""
    layer = random_layer(PeepholeLSTM, 5, 6, dtype=torch.float32, backend=backend)
    x, state = random(10, 4, 5, seed=3, dtype=torch.float32), random_state(layer, 4, pair=True)
    inputs = tuple(name for name in INPUTS if name != "sequence_lens")
    evaluator = ReferenceEvaluator(onnx_model(6, "forward", inputs))
    Y, Y_h, Y_c = evaluator.run(
        None,
        {
            **onnx_feeds(layer, 1),
            "X": x.numpy(),
            "initial_h": state[0].numpy(),
            "initial_c": state[1].numpy(),
        },
    )
    output, (h_n, c_n) = layer(x, state)
    for found, expected in ((output, Y[:, 0]), (h_n, Y_h), (c_n, Y_c)):
        np.testing.assert_allclose(found.detach().numpy(), expected, rtol=0, atol=SAME_IN_FLOAT32)


@pytest.mark.parametrize("lengths", [LENGTHS["ragged"], LENGTHS["all equal"], LENGTHS["alone"]], ids=str)
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_peephole_agrees_with_onnx_runtime_both_ways(backend: str, lengths: list[int]) -> None:
    """An independent, compiled implementation, on ragged lengths, in both directions at once."""
    layer = random_layer(PeepholeLSTM, 5, 6, bidirectional=True, dtype=torch.float32, backend=backend)
    sequences, steps = len(lengths), max(lengths)
    x = random(steps, sequences, 5, seed=3, dtype=torch.float32)
    state = random_state(layer, sequences, pair=True)
    session = onnxruntime.InferenceSession(
        onnx_model(6, "bidirectional", INPUTS).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    feeds = onnx_feeds(layer, 2)
    feeds |= {"X": x.numpy(), "initial_h": state[0].numpy(), "initial_c": state[1].numpy()}
    Y, Y_h, Y_c = session.run(None, {**feeds, "sequence_lens": np.array(lengths, np.int32)})
    output, (h_n, c_n) = layer(x, state, lengths=lengths)
    expected = Y.transpose(0, 2, 1, 3).reshape(steps, sequences, 12)
    for found, wanted in ((output, expected), (h_n, Y_h), (c_n, Y_c)):
        np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=0, atol=SAME_IN_FLOAT32)


def test_the_comparison_can_fail() -> None:
    """Peepholes of this size move the outputs far beyond the tolerance, so agreement means something."""
    layer = random_layer(PeepholeLSTM, 5, 6, dtype=torch.float32)
    plain = LSTM(5, 6)
    plain.load_state_dict({key: value for key, value in layer.state_dict().items() if "peephole" not in key})
    x = random(10, 4, 5, seed=3, dtype=torch.float32)
    assert (layer(x)[0] - plain(x)[0]).abs().max() > 1000 * SAME_IN_FLOAT32
