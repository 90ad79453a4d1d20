"""Models of ours as files of Keras, and beside them a vocabulary file for what Keras does not keep.

Nothing is replaced unless it is wholly written.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatelight.errors import DataError, MissingExtraError
from gatelight.estimators.classifier import TextClassifier
from gatelight.files import file_written_aside
from gatelight.interop.keras.architecture import Entry
from gatelight.interop.keras.as_classifier import imported_of
from gatelight.interop.keras.blueprint import Blueprint
from gatelight.interop.keras.files import CONFIG, METADATA, VARIABLES, WEIGHTS, keras_3_groups
from gatelight.interop.keras.imported import ImportedModel
from gatelight.interop.keras.layers import ABSENT, Array, Embedding, Pool
from gatelight.interop.keras.reading import ENDING, FORMAT, KIND
from gatelight.interop.keras.recurrent import keras_entry
from gatelight.text.vocabulary import UNK_ID

INPUT, MARK, MARKED = "input", "absent_steps", "without_absent_steps"
# What the files say of themselves: the layout is that of these versions, which later ones read too.
KERAS_2, KERAS_3 = "2.4.0", "3.0.0"

Model = TextClassifier | ImportedModel


@dataclass(frozen=True)
class Written:
    """One layer for Keras, its arrays in Keras's order and the layers it takes."""

    entry: Entry
    arrays: Sequence[Array] = ()
    inputs: tuple[str, ...] = ()


def to_json(source: Model, out: Path) -> list[Path]:
    """Write OUT.json (`model.to_json()`), OUT.h5 (`model.save_weights`) and the vocabulary file.

    Raises DataError for what Keras has no layer for; OSError when the disk refuses.
    """
    written = layers(source)
    text = (
        json.dumps({**architecture_of(written), "keras_version": KERAS_2, "backend": "tensorflow"}, indent=1)
        + "\n"
    )
    weights = _hdf5(lambda file: _legacy_weights(file, written))
    stem = _stem(out, ".json")
    return _write(source, stem, {".json": text.encode("ascii"), ".h5": weights})


def to_h5(source: Model, out: Path) -> list[Path]:
    """Write OUT.h5, architecture and weights in one (`model.save("….h5")`), and the vocabulary file.

    Raises as `to_json`.
    """
    written = layers(source)

    def whole(file: Any) -> None:
        file.attrs["keras_version"], file.attrs["backend"] = KERAS_2, "tensorflow"
        file.attrs["model_config"] = json.dumps(architecture_of(written))
        _legacy_weights(file.create_group("model_weights"), written)

    return _write(source, _stem(out, ".h5"), {".h5": _hdf5(whole)})


def to_keras(source: Model, out: Path) -> list[Path]:
    """Write OUT.keras, the archive of Keras 3 (`model.save("….keras")`), and the vocabulary file.

    Raises as `to_json`.
    """
    written = layers(source)
    parts: dict[str, str | bytes] = {
        METADATA: json.dumps({"keras_version": KERAS_3, "date_saved": time.strftime("%Y-%m-%d@%H:%M:%S")}),
        CONFIG: json.dumps(architecture_of(written)),
        WEIGHTS: _hdf5(lambda file: _weights_of_keras_3(file, written)),
    }
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return _write(source, _stem(out, ".keras"), {".keras": held.getvalue()})


def layers(source: Model) -> list[Written]:
    """Every layer for Keras, the input first; DataError, naming it, for one that Keras has not."""
    if isinstance(source, ImportedModel):
        model = source
    else:
        source.check_without_wide("Keras")
        model = imported_of(source.model_)
    form = model.blueprint.input
    shape = [None, *((form.steps,) if form.in_steps else ()), *((form.features,) if form.features else ())]
    config = {"batch_input_shape": shape, "dtype": "float32" if form.features else "int32"}
    out = [Written(Entry("InputLayer", INPUT, config))]
    for number, layer in enumerate(model.blueprint.layers):
        before = out[-1].entry.name
        if isinstance(layer, Pool) and layer.masked:
            out += _marked(model.blueprint, before)
            before = MARKED
        kind, config = layer.to_keras()
        out.append(
            Written(Entry(kind, layer.name, config), layer.to_arrays(model.of_layer(number)), (before,))
        )
    names = [layer.entry.name for layer in out]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise DataError(f"the layer {twice!r} has a name that is needed for another; rename it")
    return out


def _marked(plan: Blueprint, before: str) -> Iterator[Written]:
    """A table that lowers steps which do not count: Keras's maximum goes over all steps."""
    first = plan.layers[0]
    assert isinstance(first, Embedding)
    table = np.zeros((first.vocabulary, 1), np.float32)
    table[0] = ABSENT
    config = {"input_dim": first.vocabulary, "output_dim": 1, "trainable": False}
    yield Written(Entry("Embedding", MARK, config), [table], (INPUT,))
    yield Written(Entry("Add", MARKED, {}), (), (before, MARK))


def architecture_of(written: list[Written]) -> dict[str, Any]:
    """The architecture JSON: Sequential, or a graph where absent steps are marked."""
    entries = [
        keras_entry(layer.entry.kind, {"name": layer.entry.name, **layer.entry.config}) for layer in written
    ]
    config: dict[str, Any] = {"name": "gatelight", "layers": entries}
    kind = "Sequential"
    if any(layer.entry.name == MARKED for layer in written):
        kind = "Model"
        config |= {"input_layers": [[INPUT, 0, 0]], "output_layers": [[written[-1].entry.name, 0, 0]]}
        for layer, entry in zip(written, entries, strict=True):
            entry["name"] = layer.entry.name
            entry["inbound_nodes"] = [[[name, 0, 0, {}] for name in layer.inputs]] if layer.inputs else []
    return {**keras_entry(kind, config), "module": "keras"}


def _stem(out: Path, ending: str) -> Path:
    return out.with_name(out.name.removesuffix(ending))


def _write(source: Model, stem: Path, contents: dict[str, bytes]) -> list[Path]:
    vocabulary = _vocabulary(source)
    if vocabulary is not None:
        contents = {**contents, ENDING: (json.dumps(vocabulary) + "\n").encode("ascii")}
    paths = []
    for ending, content in contents.items():
        path = stem.with_name(stem.name + ending)
        with file_written_aside(path) as aside:
            aside.write_bytes(content)
        paths.append(path)
    return paths


def _vocabulary(model: Model) -> dict[str, Any] | None:
    """What to write beside a model; None for one that reads no texts."""
    start = {"kind": KIND, "format": FORMAT}
    if isinstance(model, ImportedModel):
        if model.reading is None:
            return None
        return {**start, **model.reading.to_dict(), "classes": model.classes}
    reading, vocabulary, classes = model.reading_, model.vocabulary_, model.known_classes()
    return {
        **start,
        "tokenizer": reading.tokenizer.settings(),
        "tokens": vocabulary.tokens,
        "unknown": None if reading.unknown == "drop" else UNK_ID,
        "length": reading.max_length,
        "truncation": reading.truncation,
        "padding": "post" if model.model_.config.pool == "flatten" else None,
        "classes": classes.plain(),
        "multilabel": classes.multilabel,
    }


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
    group.attrs["layer_names"] = [layer.entry.name.encode() for layer in written]
    group.attrs["keras_version"], group.attrs["backend"] = KERAS_2, "tensorflow"
    group.create_group("top_level_model_weights").attrs.create("weight_names", [], dtype="S1")
    for layer in written:
        own = group.create_group(layer.entry.name)
        names = [f"{layer.entry.name}/{number}:0" for number in range(len(layer.arrays))]
        own.attrs.create("weight_names", [name.encode() for name in names], dtype=None if names else "S1")
        for name, array in zip(names, layer.arrays, strict=True):
            own.create_dataset(name, data=array)


def _weights_of_keras_3(file: Any, written: list[Written]) -> None:
    """Groups named after the class and numbered, arrays numbered in `vars`."""
    file.create_group("vars")
    groups = keras_3_groups([layer.entry for layer in written])
    for layer, (entry, place) in zip(written, groups, strict=True):
        inside = VARIABLES.get(entry.kind, ("vars",))
        each = len(layer.arrays) // len(inside)
        for half, path in enumerate(inside):
            variables = file.create_group(f"layers/{place}/{path}")
            for index, array in enumerate(layer.arrays[half * each : (half + 1) * each]):
                variables.create_dataset(str(index), data=array)
