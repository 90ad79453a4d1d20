"""Keras's files become a chain with its weights, and that a model; knows no layer's work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.classifier import TextClassifier
from gatelight.interop.keras.architecture import Architecture
from gatelight.interop.keras.feedforward import Embedding, Pool
from gatelight.interop.keras.imported import ImportedModel
from gatelight.interop.keras.layers import blueprint
from gatelight.interop.keras.recurrent import Memory
from gatelight.interop.keras.sequential import Blueprint, Chain
from gatelight.interop.keras.sidefile import with_side_file
from gatelight.interop.keras.sources import read
from gatelight.interop.keras.weights import Array, converted, has_weights, is_padding_mark


def load(*files: str | Path, vocabulary: str | Path | None = None) -> TextClassifier | ImportedModel:
    """Read a model: one `.keras` or whole `.h5`, or an architecture (JSON, `.h5`, `.keras`) and weights.

    vocabulary: a side file, by which the model reads texts (docs/keras.md); a model that gatelight exported
    becomes the same `TextClassifier` again with its own.
    Raises as `chain`.
    """
    found = chain(*files)
    return ImportedModel(found) if vocabulary is None else with_side_file(found, Path(vocabulary))


def chain(*files: str | Path) -> Chain:
    """Read a model's layers and weights from the files that `load` takes.

    Raises ModelFileError for files that are missing or damaged, DataError for what is not supported (named
    with its layer) or does not fit together, MissingExtraError without h5py.
    """
    parts = read([Path(file) for file in files])
    plan = blueprint(parts.architecture)
    held = parts.arrays()
    weights: dict[str, Array] = {}
    for number, layer in enumerate(plan.layers):
        arrays = held.get(layer.name, [])
        if has_weights(layer) and not arrays:
            raise ModelFileError(
                f"the files hold no weights of the layer {layer.name!r}; they are incomplete"
            )
        weights |= {f"{number}.{name}": array for name, array in converted(layer, arrays).items()}
    _check_marks(parts.architecture, held, plan)
    return Chain(plan, weights)


def _check_marks(found: Architecture, held: Mapping[str, list[Array]], plan: Blueprint) -> None:
    """Raise DataError unless what is added before a maximum does nothing but keep absent steps out of it."""
    marks = [entry.padding.name for entry in found.layers if entry.padding]
    for number, layer in enumerate(plan.layers):
        if not isinstance(layer, Pool) or not layer.masked:
            continue
        first, before = plan.layers[0], plan.layers[number - 1]
        fits = isinstance(first, Embedding) and first.masks
        fits = fits and isinstance(before, Memory) and before.state == "tanh"
        if not fits or not all(is_padding_mark(held.get(name, [])) for name in marks):
            raise DataError(
                f"what is added to the steps before the layer {layer.name!r} is no mark of absent "
                "steps; that is not supported"
            )
