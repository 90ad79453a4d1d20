"""Models of ours as files of Keras, with a side file for what Keras does not keep: tokens, cut, classes.

Knows models and files, no layer's work (see `configs`). Nothing is replaced unless it is wholly written.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gatelight.errors import MissingExtraError
from gatelight.estimators.classifier import TextClassifier
from gatelight.files import file_written_aside
from gatelight.interop.keras.as_classifier import chain_of
from gatelight.interop.keras.configs import Written, layers, model
from gatelight.interop.keras.imported import ImportedModel
from gatelight.interop.keras.sequential import Chain
from gatelight.interop.keras.sidefile import side_file
from gatelight.interop.keras.sources import CONFIG, METADATA, WEIGHTS, snake_case

SIDE_ENDING = ".vocabulary.json"
# What the files say of themselves: the layout is that of these versions, which later ones read too.
KERAS_2, KERAS_3 = "2.4.0", "3.0.0"

Model = TextClassifier | ImportedModel


def to_json(source: Model, out: Path) -> list[Path]:
    """Write OUT.json (`model.to_json()`), OUT.h5 (`model.save_weights`) and the side file.

    Raises DataError for what Keras has no layer for; OSError when the disk refuses.
    """
    written = layers(_chain(source))
    text = json.dumps({**model(written), "keras_version": KERAS_2, "backend": "tensorflow"}, indent=1) + "\n"
    weights = _hdf5(lambda file: _legacy_weights(file, written))
    stem = _stem(out, ".json")
    return _write(source, stem, {".json": text.encode("ascii"), ".h5": weights})


def to_h5(source: Model, out: Path) -> list[Path]:
    """Write OUT.h5, architecture and weights in one (`model.save("….h5")`), and the side file.

    Raises as `to_json`.
    """
    written = layers(_chain(source))

    def whole(file: Any) -> None:
        file.attrs["keras_version"], file.attrs["backend"] = KERAS_2, "tensorflow"
        file.attrs["model_config"] = json.dumps(model(written))
        _legacy_weights(file.create_group("model_weights"), written)

    return _write(source, _stem(out, ".h5"), {".h5": _hdf5(whole)})


def to_keras(source: Model, out: Path) -> list[Path]:
    """Write OUT.keras, the archive of Keras 3 (`model.save("….keras")`), and the side file.

    Raises as `to_json`.
    """
    written = layers(_chain(source))
    parts: dict[str, str | bytes] = {
        METADATA: json.dumps({"keras_version": KERAS_3, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S")}),
        CONFIG: json.dumps(model(written)),
        WEIGHTS: _hdf5(lambda file: _weights_of_keras_3(file, written)),
    }
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return _write(source, _stem(out, ".keras"), {".keras": held.getvalue()})


def outputs(out: Path, *endings: str) -> list[Path]:
    """The files that an export may write, the side file among them."""
    stem = _stem(out, endings[0])
    return [stem.with_name(stem.name + ending) for ending in (*endings, SIDE_ENDING)]


def _chain(source: Model) -> Chain:
    return source.chain if isinstance(source, ImportedModel) else chain_of(source.model_)


def _stem(out: Path, ending: str) -> Path:
    return out.with_name(out.name.removesuffix(ending))


def _write(source: Model, stem: Path, contents: dict[str, bytes]) -> list[Path]:
    side = side_file(source)
    if side is not None:
        contents = {**contents, SIDE_ENDING: (json.dumps(side) + "\n").encode("ascii")}
    paths = []
    for ending, content in contents.items():
        path = stem.with_name(stem.name + ending)
        with file_written_aside(path) as aside:
            aside.write_bytes(content)
        paths.append(path)
    return paths


def _hdf5(fill: Callable[[Any], None]) -> bytes:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "keras", "writing Keras's HDF5 files") from error
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        fill(file)
    return held.getvalue()


def _legacy_weights(group: Any, written: list[Written]) -> None:
    """A group for each layer, whose arrays' names stand in an attribute, in order."""
    group.attrs["layer_names"] = [layer.name.encode() for layer in written]
    group.attrs["keras_version"], group.attrs["backend"] = KERAS_2, "tensorflow"
    group.create_group("top_level_model_weights").attrs.create("weight_names", [], dtype="S1")
    for layer in written:
        own = group.create_group(layer.name)
        names = [f"{layer.name}/{number}:0" for number in range(len(layer.arrays))]
        own.attrs.create("weight_names", [name.encode() for name in names], dtype=None if names else "S1")
        for name, array in zip(names, layer.arrays, strict=True):
            own.create_dataset(name, data=array)


def _weights_of_keras_3(file: Any, written: list[Written]) -> None:
    """Groups named after the class and numbered, arrays numbered in `vars`."""
    file.create_group("vars")
    seen: dict[str, int] = {}
    for layer in written:
        called = snake_case(layer.kind)
        number = seen.get(called, 0)
        seen[called] = number + 1
        place = f"layers/{called}_{number}" if number else f"layers/{called}"
        recurrent = layer.kind in ("LSTM", "GRU", "SimpleRNN")
        inside = {"Bidirectional": ("/forward_layer/cell", "/backward_layer/cell")}.get(
            layer.kind, ("/cell",) if recurrent else ("",)
        )
        each = len(layer.arrays) // len(inside)
        for half, path in enumerate(inside):
            variables = file.create_group(f"{place}{path}/vars")
            for index, array in enumerate(layer.arrays[half * each : (half + 1) * each]):
                variables.create_dataset(str(index), data=array)
