"""Cells with other functions, held against ONNX Runtime's operators, which have them too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from gatelight.interop.keras.layers import FUNCTIONS, Form, Signal
from gatelight.interop.keras.recurrent import Recurrent

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

# float32 sums in another order, fed back over a few steps.
SAME = 1e-5
T, D, H = 6, 3, 4
LENGTHS = [6, 2, 4]
# ONNX's gate order by ours: LSTM i o f c, GRU z r h.
ORDER = {"rnn": (0,), "lstm": (0, 3, 1, 2), "gru": (1, 0, 2)}
NAMES = {
    "sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "hard_sigmoid_fifth": "HardSigmoid",
    "softsign": "Softsign",
}  # fmt: skip


def by_onnx(
    cell: str, gate: str, state: str, reset_after: bool, x: Any, weights: list[Any]
) -> tuple[Any, Any]:
    """Y [T, B, H] and Y_h [B, H] of one operator."""
    w_ih, w_hh, b_ih, b_hh = (np.split(weight, len(ORDER[cell])) for weight in weights)
    ordered = [np.concatenate([part[place] for place in ORDER[cell]]) for part in (w_ih, w_hh, b_ih, b_hh)]
    given = {
        "X": x, "W": ordered[0][None], "R": ordered[1][None], "B": np.concatenate(ordered[2:])[None],
        "sequence_lens": np.array(LENGTHS, np.int32),
    }  # fmt: skip
    functions = {"rnn": [state], "lstm": [gate, state, state], "gru": [gate, state]}[cell]
    more = {"linear_before_reset": int(reset_after)} if cell == "gru" else {}
    node = onnx.helper.make_node(
        cell.upper(), list(given), ["Y", "Y_h"], hidden_size=H,
        activations=[NAMES[name] for name in functions], **more,
    )  # fmt: skip
    kinds = {np.dtype("f4"): onnx.TensorProto.FLOAT, np.dtype("i4"): onnx.TensorProto.INT32}
    take = [onnx.helper.make_tensor_value_info(k, kinds[v.dtype], v.shape) for k, v in given.items()]
    give = [onnx.helper.make_tensor_value_info(k, onnx.TensorProto.FLOAT, None) for k in ("Y", "Y_h")]
    graph = onnx.helper.make_graph([node], "cell", take, give)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
    y, y_h = runtime.InferenceSession(model.SerializeToString()).run(None, given)
    return y[:, 0], y_h[0]


@pytest.mark.parametrize(
    ("cell", "gate", "state", "reset_after"),
    [
        ("lstm", "hard_sigmoid_fifth", "tanh", True),
        ("lstm", "sigmoid", "relu", True),
        ("lstm", "hard_sigmoid_fifth", "softsign", True),
        ("gru", "sigmoid", "tanh", False),
        ("gru", "hard_sigmoid_fifth", "relu", False),
        ("gru", "hard_sigmoid_fifth", "tanh", True),
        ("rnn", "sigmoid", "relu", True),
    ],
)
def test_a_variant_is_what_onnx_computes(cell: str, gate: str, state: str, reset_after: bool) -> None:
    """Two like mistakes, in reading a foreign model and in computing it, would hide each other."""
    draw = np.random.default_rng(5)
    x = draw.normal(size=(T, len(LENGTHS), D)).astype("f4")
    mask = torch.arange(T) < torch.tensor(LENGTHS)[:, None]
    for all_steps in (False, True):
        layer = Recurrent("m", cell, H, gate, state, reset_after, all_steps, zeros_where_masked=all_steps)
        shapes = layer.shapes(Form(T, D))
        weights = {name: draw.normal(size=shape).astype("f4") for name, shape in shapes.items()}
        tensors = {name: torch.from_numpy(array) for name, array in weights.items()}
        found = layer.run(Signal(torch.from_numpy(x.swapaxes(0, 1)), mask), tensors).values
        steps, last = by_onnx(cell, gate, state, reset_after, x, list(weights.values()))
        expected = steps.swapaxes(0, 1) if all_steps else last
        scale = max(1.0, float(np.abs(expected).max()))  # relu lets a state grow
        assert np.abs(found.numpy() - expected).max() < SAME * scale
        assert layer.why_slow()


def test_the_two_hard_sigmoids_differ() -> None:
    """Keras 1 and 2 and ONNX mean one by the name, Keras 3 and torch another."""
    x = torch.tensor([-4.0, -2.75, -1.0, 0.0, 1.0, 2.75, 4.0])
    assert torch.allclose(FUNCTIONS["hard_sigmoid_fifth"](x), torch.tensor([0, 0, 0.3, 0.5, 0.7, 1, 1]))
    assert torch.allclose(FUNCTIONS["hard_sigmoid_sixth"](x), ((x + 3) / 6).clamp(0, 1))
