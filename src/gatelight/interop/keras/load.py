"""Keras's files become a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from gatelight.errors import DataError, ModelFileError
from gatelight.interop.keras.architecture import Architecture, Entry, parsed
from gatelight.interop.keras.blueprint import KINDS, Blueprint
from gatelight.interop.keras.files import read
from gatelight.interop.keras.imported import ImportedModel
from gatelight.interop.keras.layers import ABSENT, Array, Embedding, Form, Layer, Pool
from gatelight.interop.keras.reading import ForeignReading, of_keras
from gatelight.interop.keras.recurrent import Recurrent

LAYERS = {name: layer for layer in KINDS.values() for name in layer.classes}
SUPPORTED = sorted({*LAYERS, "TimeDistributed", "InputLayer"})
MOST_VOCABULARY = 256 << 20  # bytes
AT_EACH_STEP = ("Dense", "Activation", "Dropout")
WITH_WEIGHTS = {name for name, layer in LAYERS.items() if layer.shapes is not Layer.shapes}


def load(*files: str | Path, vocabulary: str | Path | None = None) -> ImportedModel:
    """Read a model: one `.keras` or whole `.h5`, or an architecture (JSON, `.h5`, `.keras`) and weights.

    vocabulary: a vocabulary file, by which the model reads texts (the docs).
    Raises ModelFileError for files that are missing or damaged, DataError for what is not supported (named
    with its layer) or does not fit together, MissingExtraError without h5py.
    """
    parts = read([Path(file) for file in files])
    plan = blueprint(parts.architecture)
    held = parts.arrays(WITH_WEIGHTS)
    weights: dict[str, Array] = {}
    for number, (layer, form, _) in enumerate(plan.forms()):
        arrays = held.get(layer.name, [])
        if layer.shapes(form) and not arrays:
            raise ModelFileError(
                f"the files hold no weights of the layer {layer.name!r}; they are incomplete"
            )
        try:
            own = layer.of_arrays(arrays)
        except (ValueError, IndexError) as error:
            if isinstance(error, DataError):
                raise
            shapes = ", ".join(str(list(array.shape)) for array in arrays) or "none"
            raise DataError(
                f"the weights of the layer {layer.name!r} have the shapes {shapes}, which do not fit its "
                "settings"
            ) from None
        weights |= {f"{number}.{name}": array for name, array in own.items()}
    _check_marks(parts.architecture, held, plan)
    model = ImportedModel(plan, weights)
    return model if vocabulary is None else _with_vocabulary(model, Path(vocabulary))


def blueprint(found: Architecture) -> Blueprint:
    """The layers of an architecture; raises DataError, naming the layer, for what is not supported."""
    layers = tuple(_layer(entry) for entry in found.layers)
    shape = found.shape
    if layers and isinstance(layers[0], Embedding):
        return Blueprint(Form(shape[0] if shape else None), layers)
    if shape is None or not 1 <= len(shape) <= 2 or shape[-1] is None:
        raise DataError(f"the input's shape is {shape}; expected [steps, features] or [features]")
    return Blueprint(Form(shape[0], shape[1]) if len(shape) == 2 else Form(None, shape[0], False), layers)


def _layer(entry: Entry) -> Layer:
    if entry.kind not in SUPPORTED:
        raise DataError(
            f"the layer {entry.name!r} is {entry.kind!r:.60}, which is not supported; supported are "
            f"{', '.join(SUPPORTED)}"
        )
    if entry.kind == "TimeDistributed":
        within = entry.within()
        if within.kind not in AT_EACH_STEP:
            raise DataError(
                f"the layer {entry.name!r} wraps {within.kind!r:.60}, which is not supported there"
            )
        layer = replace(LAYERS[within.kind].of_keras(within), name=entry.name)
        within.finish()
    else:
        layer = LAYERS[entry.kind].of_keras(entry)
    entry.finish()
    return layer


def _check_marks(found: Architecture, held: Mapping[str, Sequence[Array]], plan: Blueprint) -> None:
    """Raise DataError unless what is added before a maximum does nothing but keep absent steps out of it."""
    first = plan.layers[0]
    for number, (entry, layer) in enumerate(zip(found.layers, plan.layers, strict=True)):
        if not isinstance(layer, Pool) or entry.mark is None:
            continue
        before, arrays = plan.layers[number - 1], held.get(entry.mark, [])
        fits = isinstance(first, Embedding) and first.masks
        fits = fits and isinstance(before, Recurrent) and before.state == "tanh" and len(arrays) == 1
        if not fits or (arrays[0][0] > ABSENT).any() or arrays[0][1:].any():
            raise DataError(
                f"what is added to the steps before the layer {layer.name!r} is no mark of absent steps; "
                "that is not supported"
            )


def _with_vocabulary(model: ImportedModel, path: Path) -> ImportedModel:
    """The model as one that reads texts by a vocabulary file, `Tokenizer.to_json()` or JSON of tokens to ids.

    Raises DataError when the file does not fit the model, ModelFileError when it is missing or damaged.
    """
    try:
        with path.open("rb") as file:
            told = parsed(file.read(MOST_VOCABULARY + 1), str(path), MOST_VOCABULARY)
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist; expected the vocabulary file of a model") from None
    steps = model.blueprint.input.steps
    try:
        if told.get("class_name") == "Tokenizer":
            return ImportedModel(model.blueprint, model.weights, of_keras(told, steps))
        if "tokens" not in told:
            padding = "pre" if steps else None
            told = {"tokens": told, "length": steps, "padding": padding, "truncation": "tail"}
        reading = ForeignReading.from_dict(told)
        classes = None if told.get("multilabel") else told.get("classes")
        return ImportedModel(model.blueprint, model.weights, reading, classes)
    except (DataError, ModelFileError) as error:
        raise type(error)(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelFileError(
            f"{path} is no vocabulary file ({type(error).__name__}: {error!s:.80})"
        ) from None
