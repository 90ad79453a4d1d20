"""ONNX files that gatelight wrote become the same again; others give one clear error."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from made_up_reviews import TINY, make_reviews
from onnx import TensorProto, numpy_helper
from onnx_cases import network

import gatelight
from gatelight.errors import MissingExtraError, ModelFileError
from gatelight.interop import onnx as interop

CASES = 400
REVIEWS = make_reviews(80, 3)


@pytest.fixture(scope="module")
def model() -> gatelight.TextClassifier:
    settings = {**TINY, "cell": "peephole", "pool": "attention", "epochs": 1}
    return gatelight.TextClassifier(**settings).fit(REVIEWS.texts, REVIEWS.labels, baseline=True)


@pytest.fixture(scope="module")
def whole(model: gatelight.TextClassifier, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "model.onnx"
    interop.save(model, path)
    return path.read_bytes()


@pytest.mark.parametrize("settings", [{}, {"cell": "gru", "bidirectional": True, "layers": 2, "pool": "max"}])
def test_a_text_classifier_comes_back(settings: dict[str, object], tmp_path: Path) -> None:
    """Vocabulary, reading, classes and card figures travel in the file, so the same bits come out."""
    model = gatelight.TextClassifier(**{**TINY, "cell": "peephole", "epochs": 1, **settings})
    model.fit(REVIEWS.texts, REVIEWS.labels, baseline=True)
    interop.save(model, tmp_path / "model.onnx")
    again = interop.load(tmp_path / "model.onnx")
    assert np.array_equal(again.predict_proba(REVIEWS.texts), model.predict_proba(REVIEWS.texts))
    assert again.get_params() == model.get_params()
    assert again.validation_ is not None
    assert again.baseline_ is None
    interop.save(model, tmp_path / "small.onnx", quantize=True)
    small = interop.load(tmp_path / "small.onnx").predict_proba(REVIEWS.texts)
    assert 0 < np.abs(small - model.predict_proba(REVIEWS.texts)).max() < 0.05


@pytest.mark.filterwarnings("ignore")
def test_a_file_of_another_maker_is_left_to_onnx_runtime(tmp_path: Path) -> None:
    """Ours are known by their notes, not by their shape; a network alone has no words to read."""
    path = tmp_path / "torch.onnx"
    torch.onnx.export(torch.nn.LSTM(2, 3), (torch.randn(4, 1, 2),), str(path), dynamo=False)
    interop.save(network(), tmp_path / "network.onnx")
    for other in (path, tmp_path / "network.onnx"):
        with pytest.raises(ModelFileError, match=r"no text classifier that gatelight wrote.*ONNX Runtime"):
            interop.load(other)


def test_mutated_files_give_an_error_or_a_model(whole: bytes, tmp_path: Path) -> None:
    """Whatever bytes come, nothing may crash or raise what the command line would show as a traceback."""
    rng = np.random.default_rng(11)
    given, path = np.frombuffer(whole, np.uint8), tmp_path / "model.onnx"
    told = []
    for _ in range(CASES):
        data = given.copy()
        kind, begin = rng.integers(4), rng.integers(len(given))
        if kind == 0:
            data = data[:begin]
        elif kind == 1:
            places = rng.integers(len(data), size=rng.integers(1, 4))
            data[places] = rng.integers(256, size=len(places))
        elif kind == 2:
            data = np.concatenate([data[:begin], rng.integers(256, size=9, dtype=np.uint8), data[begin:]])
        else:
            data = np.concatenate([data[:begin], data[begin + rng.integers(1, 60) :]])
        path.write_bytes(data.tobytes())
        try:
            interop.load(path)
        except ModelFileError as error:
            told.append(str(error))
    assert CASES // 3 < len(told) < CASES
    assert all(str(path) in line and "\n" not in line for line in told)


Change = Callable[[onnx.ModelProto], object]


def note(**settings: object) -> Change:
    """Change settings of the network in the file's notes."""

    def change(model: onnx.ModelProto) -> None:
        entry = next(entry for entry in model.metadata_props if entry.key == "gatelight.config.json")
        told = json.loads(entry.value)
        entry.value = json.dumps({**told, "model": {**told["model"], **settings}})

    return change


def weight(name: str, **fields: object) -> Change:
    def change(model: onnx.ModelProto) -> None:
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
        array = numpy_helper.to_array(tensor).copy()
        if "array" in fields:
            array = np.asarray(fields["array"], np.float32)
        tensor.CopyFrom(numpy_helper.from_array(array, name))
        if "dims" in fields:
            tensor.dims[:] = fields["dims"]  # type: ignore[call-overload]
        if "location" in fields:
            tensor.data_location = TensorProto.EXTERNAL
            entry = tensor.external_data.add()
            entry.key, entry.value = "location", str(fields["location"])

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (note(layers=10**9), "layers are told of"),
        (note(hidden=10**9), "too few for hidden"),
        (note(vocabulary_size=10**9), "1000000000"),
        (note(cell="import os"), "cell is"),
        (note(cell="lstm"), "do not go together"),
        (weight("head.weight", array=[[np.nan]]), "undefined numbers"),
        (weight("head.weight", array=[[1.0]]), "head.weight"),
        (weight("head.weight", dims=[10**9, 10**9]), "fit|whole"),
        (weight("head.weight", location="/etc/passwd"), "another file|whole"),
        (weight("memory.0.0.W", array=np.zeros((1, 7, 6))), "fit"),
    ],
)
def test_files_that_promise_or_ask_for_what_they_may_not(
    change: Change, message: str, whole: bytes, tmp_path: Path
) -> None:
    """Sizes are believed only as far as weights vouch for them, and only numbers are read from a file."""
    path, parsed = tmp_path / "model.onnx", onnx.load_model_from_string(whole)
    change(parsed)
    path.write_bytes(parsed.SerializeToString())
    with pytest.raises(ModelFileError, match=message):
        interop.load(path)


def test_no_file_and_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two most frequent mistakes: the wrong name, and an install without the extra."""
    with pytest.raises(ModelFileError, match="there is no file"):
        interop.load(tmp_path)
    (tmp_path / "notes.txt").write_text("no model")
    with pytest.raises(ModelFileError, match=r"notes.txt is no whole ONNX file"):
        interop.load(tmp_path / "notes.txt")
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "gatelight.interop.onnx")
    with pytest.raises(MissingExtraError, match=r"gatelight\[onnx\]"):
        import_module("gatelight.interop.onnx")
