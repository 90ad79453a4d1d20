"""ONNX files read: ours become what they were, others' run as ONNX Runtime runs them, bad ones are named."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from made_up_reviews import TINY, make_reviews
from onnx import TensorProto, helper, numpy_helper
from onnx_cases import LENGTHS, SAME, batch, network, run
from torch import nn

import gatelight
from gatelight.errors import DataError
from gatelight.interop import onnx as interop
from gatelight.interop.onnx.accuracy import accuracy_change
from gatelight.interop.onnx.graph import Graph
from gatelight.models.pools import POOLS
from gatelight.nn import CELLS

Array = np.ndarray[Any, np.dtype[Any]]


@pytest.mark.parametrize("cell", CELLS)
def test_networks_and_layers_come_back_to_the_bit(cell: str, tmp_path: Path) -> None:
    """Carried out and home again a model must be the very same, not only about the same."""
    for pool in POOLS:
        model = network(cell=cell, pool=pool, bidirectional=True, layers=2)
        interop.save(model, tmp_path / "model.onnx")
        again = interop.load(tmp_path / "model.onnx")
        assert again.config == model.config
        assert not again.training
        state = again.state_dict()
        assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    layer = CELLS[cell](3, 4, 2, bias=False, batch_first=True, bidirectional=True)
    interop.save(layer, tmp_path / "layer.onnx")
    again = interop.load(tmp_path / "layer.onnx")
    assert repr(again) == repr(layer)
    assert all(torch.equal(again.get_parameter(name), value) for name, value in layer.named_parameters())


def test_a_text_classifier_comes_back(tmp_path: Path) -> None:
    """Vocabulary, reading, classes and card figures travel in the file, so the same bits come out."""
    reviews = make_reviews(80, 3)
    model = gatelight.TextClassifier(**{**TINY, "cell": "peephole", "epochs": 1})
    model.fit(reviews.texts, reviews.labels, baseline=True)
    interop.save(model, tmp_path / "model.onnx")
    again = interop.load(tmp_path / "model.onnx")
    assert np.array_equal(again.predict_proba(reviews.texts), model.predict_proba(reviews.texts))
    assert again.get_params() == model.get_params()
    assert again.validation_ == model.validation_ or again.validation_ is not None
    assert again.baseline_ is None
    again.save(tmp_path / "folder")
    assert np.array_equal(
        gatelight.load(tmp_path / "folder").predict_proba(reviews.texts), model.predict_proba(reviews.texts)
    )


def test_the_accuracy_change_of_int8_weights(tmp_path: Path) -> None:
    """Smaller weights that cost accuracy in silence would be a bad bargain."""
    reviews, more = make_reviews(120, 3), make_reviews(50, 4)
    model = gatelight.TextClassifier(**{**TINY, "epochs": 3}).fit(reviews.texts, reviews.labels)
    plain, small = tmp_path / "plain.onnx", tmp_path / "small.onnx"
    interop.save(model, plain)
    interop.save(model, small, quantize=True)
    nothing = accuracy_change(model, plain, more.texts, more.labels)
    assert (nothing.same, nothing.moved, nothing.before) == (1.0, 0.0, nothing.after)
    change = accuracy_change(model, small, more.texts, more.labels)
    assert 0 < change.moved < 0.05
    assert change.after.n == 50
    assert change.to_dict()["same"] == change.same > 0.9
    assert f"accuracy {change.before.accuracy:.2%} -> {change.after.accuracy:.2%}" in str(change)
    interop.save(network(), tmp_path / "network.onnx")
    with pytest.raises(DataError, match="not of a text classifier"):
        accuracy_change(model, tmp_path / "network.onnx", more.texts, more.labels)


# --- other makers -----------------------------------------------------------------------------------------

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
INPUTS = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")


def one_operator(
    path: Path, kind: str, weights: dict[str, Array], given: tuple[str, ...], **attributes: Any
) -> None:
    """A graph of one operator whose weights lie in the file."""
    kinds, ranks = {"sequence_lens": TensorProto.INT32}, {"sequence_lens": 1, "Y": 4}

    def value(name: str) -> onnx.ValueInfoProto:
        shape = [f"{name}{axis}" for axis in range(ranks.get(name, 3))]
        return helper.make_tensor_value_info(name, kinds.get(name, TensorProto.FLOAT), shape)

    places = INPUTS[: 8 if kind == "LSTM" else 6]
    names = [name if name in given or name in weights else "" for name in places]
    outputs = ["Y", "Y_h", "Y_c"][: 3 if kind == "LSTM" else 2]
    graph = helper.make_graph(
        [helper.make_node(kind, names, outputs, name="the memory", **attributes)],
        "one",
        [value(name) for name in given],
        [value(name) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())


VARIANTS: list[tuple[str, dict[str, Any], str]] = [
    ("RNN", {}, "kernels"),
    ("RNN", {"activations": ["Relu"]}, "torch"),
    ("RNN", {"activations": ["Softsign"]}, "equations"),
    ("LSTM", {}, "kernels"),
    ("LSTM", {"peepholes": True}, "kernels"),
    ("LSTM", {"activations": ["HardSigmoid", "Tanh", "Tanh"]}, "equations"),
    ("LSTM", {"activations": ["Sigmoid", "Relu", "Relu"]}, "equations"),
    ("GRU", {"linear_before_reset": 1}, "kernels"),
    ("GRU", {}, "equations"),
    ("GRU", {"activations": ["HardSigmoid", "Softsign"], "linear_before_reset": 1}, "equations"),
]


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("kind", "options", "path"), VARIANTS, ids=str)
def test_operators_of_other_makers(
    kind: str, options: dict[str, Any], path: str, direction: str, tmp_path: Path
) -> None:
    """Orders, directions, functions, both places of the reset gate; ragged lengths, from given states."""
    rng = np.random.default_rng(4)
    directions, rows = (2 if direction == "bidirectional" else 1), GATES[kind] * 5

    def random(*shape: int) -> Array:
        return rng.normal(size=shape).astype(np.float32) * 0.4

    weights = {"W": random(directions, rows, 3), "R": random(directions, rows, 5)}
    attributes: dict[str, Any] = {"hidden_size": 5, "direction": direction}
    attributes |= {name: value for name, value in options.items() if name != "peepholes"}
    if "activations" in options:
        attributes["activations"] = options["activations"] * directions
    if options.get("peepholes"):
        weights["P"] = random(directions, 15)
    feeds = {"X": random(9, 6, 3), "sequence_lens": np.array([3, 2, 9, 1, 5, 9], np.int32)}
    feeds["initial_h"] = random(directions, 6, 5)
    if kind == "LSTM":
        feeds["initial_c"] = random(directions, 6, 5)
    for bias, given in itertools.product((True, False), (tuple(feeds), ("X",))):
        kept = {**weights, **({"B": random(directions, 2 * rows)} if bias else {})}
        one_operator(tmp_path / "one.onnx", kind, kept, given, **attributes)
        expected = run(tmp_path / "one.onnx", **{name: feeds[name] for name in given})
        graph = interop.load(tmp_path / "one.onnx")
        assert [(name, how) for name, how, _ in graph.paths()] == [("the memory", path)]
        found = graph(**{name: torch.from_numpy(feeds[name]) for name in given})
        for part, wanted in zip(found, expected.values(), strict=True):
            np.testing.assert_allclose(part.detach().numpy(), wanted, rtol=0, atol=SAME)


def test_batch_first_operators(tmp_path: Path) -> None:
    """layout=1, which ONNX Runtime does not run on a CPU: the same numbers, other axes."""
    rng = np.random.default_rng(4)
    weights = {"W": rng.normal(size=(2, 15, 3)).astype(np.float32)}
    weights["R"] = rng.normal(size=(2, 15, 5)).astype(np.float32)
    x, h = torch.randn(6, 9, 3), torch.randn(6, 2, 5)
    found = {}
    for layout in (0, 1):
        one_operator(
            tmp_path / "one.onnx", "GRU", weights, ("X", "initial_h"), hidden_size=5, layout=layout,
            linear_before_reset=1, direction="bidirectional",
        )  # fmt: skip
        found[layout] = interop.load(tmp_path / "one.onnx")
    y, last = found[1](x, h)
    wanted, end = found[0](x.transpose(0, 1), h.transpose(0, 1))
    torch.testing.assert_close(y, wanted.permute(2, 0, 1, 3))
    torch.testing.assert_close(last, end.transpose(0, 1))


class Whole(nn.Module):
    """As people stack layers: embedding, LSTM both ways, GRU, a maximum over the steps, a softmax."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(6)
        self.embedding = nn.Embedding(11, 4)
        self.lstm = nn.LSTM(4, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 6, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        steps, end = self.gru(self.lstm(self.embedding(ids))[0])
        return torch.softmax(self.head(steps.max(1)[0] - steps[:, -1] * 0.5 + end[0]), -1)


@pytest.mark.filterwarnings("ignore")
def test_a_file_that_pytorch_wrote(tmp_path: Path) -> None:
    """PyTorch's exporter surrounds its LSTMs by a dozen nodes that work out shapes and states."""
    model, path = Whole().eval(), tmp_path / "torch.onnx"
    ids = torch.randint(0, 11, (3, 7))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (ids,), str(path), dynamo=False, input_names=["ids"],
            dynamic_axes={"ids": {0: "batch", 1: "steps"}},
        )  # fmt: skip
    graph = interop.load(path)
    assert isinstance(graph, Graph)
    assert [how for _, how, _ in graph.paths()] == ["kernels"] * 3
    for shape in ((3, 7), (2, 4), (1, 1)):
        ids = torch.randint(0, 11, shape)
        torch.testing.assert_close(graph(ids), model(ids), rtol=0, atol=SAME)


@pytest.mark.parametrize("pool", POOLS)
def test_our_own_graphs_run_as_anybodys(pool: str, tmp_path: Path) -> None:
    """Without our notes the same file is a graph like any other, and gives what ONNX Runtime gives."""
    model = network(pool=pool, bidirectional=True, layers=2, cell="peephole")
    path = tmp_path / "model.onnx"
    interop.save(model, path, quantize=pool == "mean")
    stripped = onnx.load(path)
    del stripped.metadata_props[:]
    path.write_bytes(stripped.SerializeToString())
    graph = interop.load(path)
    assert graph.inputs == ("ids", "lengths")
    _, lengths, padded = batch()
    feeds = {"ids": padded, "lengths": lengths.astype(np.int32)}
    expected = run(path, **feeds)
    found = graph(**{name: torch.from_numpy(array) for name, array in feeds.items()})
    assert graph.outputs == tuple(expected)
    for part, wanted in zip(found, expected.values(), strict=True):
        np.testing.assert_allclose(part.detach().numpy(), wanted, rtol=0, atol=SAME)
    assert len(LENGTHS) == len(found[0])
