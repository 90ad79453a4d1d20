"""ONNX files that are damaged or meant to harm: one clear error, within a moment and little memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper
from onnx_cases import network

from gatelight.errors import MissingExtraError, ModelFileError
from gatelight.interop import onnx as interop
from gatelight.nn import GRU

CASES = 400  # of each file


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A network and a layer as bytes."""
    folder = tmp_path_factory.mktemp("whole")
    interop.save(network(pool="attention", cell="peephole"), folder / "network.onnx")
    interop.save(GRU(2, 3, bidirectional=True), folder / "layer.onnx", quantize=True)
    return {path.stem: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["network", "layer"])
def test_mutated_files_give_an_error_or_a_model(name: str, files: dict[str, bytes], tmp_path: Path) -> None:
    """Whatever bytes come, nothing may crash or raise what the command line would show as a traceback."""
    rng = np.random.default_rng(11)
    whole, path = np.frombuffer(files[name], np.uint8), tmp_path / "model.onnx"
    told = []
    for _ in range(CASES):
        data = whole.copy()
        kind = rng.integers(4)
        if kind == 0:
            data = data[: rng.integers(len(data))]
        elif kind == 1:
            places = rng.integers(len(data), size=rng.integers(1, 4))
            data[places] = rng.integers(256, size=len(places))
        elif kind == 2:
            at = rng.integers(len(data))
            data = np.concatenate([data[:at], rng.integers(256, size=9, dtype=np.uint8), data[at:]])
        else:
            begin, length = rng.integers(len(data)), rng.integers(1, 60)
            data = np.concatenate([data[:begin], data[begin + length :]])
        path.write_bytes(data.tobytes())
        try:
            interop.load(path)
        except ModelFileError as error:
            told.append(str(error))
    assert CASES // 3 < len(told) < CASES
    assert all(str(path) in line and "\n" not in line for line in told)


def changed(data: bytes, change: Callable[[onnx.ModelProto], object]) -> bytes:
    model = onnx.load_model_from_string(data)
    change(model)
    return bytes(model.SerializeToString())


def note(key: str, **settings: object) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        entry = next(entry for entry in model.metadata_props if entry.key == key)
        entry.value = json.dumps({**json.loads(entry.value), **settings})

    return change


def weight(name: str, **fields: object) -> Callable[[onnx.ModelProto], None]:
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


HOSTILE = [
    ("network", note("gatelight.classifier", layers=10**9), "layers are told of"),
    ("network", note("gatelight.classifier", hidden=10**9), "fit"),
    ("network", note("gatelight.classifier", vocabulary_size=10**9), "fit"),
    ("network", note("gatelight.classifier", cell="import os"), "cell is"),
    ("network", note("gatelight.classifier", cell="lstm"), "do not go together"),
    ("network", weight("head.weight", array=[[np.nan]]), "undefined numbers"),
    ("network", weight("head.weight", array=[[1.0]]), "head.weight"),
    ("network", weight("head.weight", dims=[10**9, 10**9]), "fit|whole"),
    ("network", weight("head.weight", location="/etc/passwd"), "another file|whole"),
    ("network", weight("memory.0.0.W", array=np.zeros((1, 7, 6))), "fit"),
    ("layer", note("gatelight.layer", num_layers=10**9), "layers are told of"),
    ("layer", note("gatelight.layer", hidden_size=10**9), "fit"),
    ("layer", note("gatelight.layer", hidden_size=-1), "fit"),
    ("layer", note("gatelight.layer", device="cuda"), "fit"),
]


@pytest.mark.parametrize(("name", "change", "message"), HOSTILE)
def test_files_that_promise_or_ask_for_what_they_may_not(
    name: str,
    change: Callable[[onnx.ModelProto], object],
    message: str,
    files: dict[str, bytes],
    tmp_path: Path,
) -> None:
    """Sizes are believed only as far as weights vouch for them, and only numbers are read from a file."""
    path = tmp_path / "model.onnx"
    path.write_bytes(changed(files[name], change))
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
