"""The vocabulary file: what a text model needs and Keras does not keep, as one JSON mapping (the docs).

Also read: `Tokenizer.to_json()` of Keras, and a plain mapping of tokens to ids.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.classifier import TextClassifier
from gatelight.interop.keras.architecture import parsed
from gatelight.interop.keras.as_classifier import classifier_weights
from gatelight.interop.keras.imported import ImportedModel
from gatelight.interop.keras.reading import ForeignReading, of_keras
from gatelight.interop.text_classifier import config_of, from_parts
from gatelight.models.config import ClassifierConfig
from gatelight.text.vocabulary import UNK_ID

KIND, FORMAT = "gatelight vocabulary", 1
ENDING = ".vocabulary.json"
MOST_BYTES = 256 << 20


def vocabulary_of(model: TextClassifier | ImportedModel) -> dict[str, Any] | None:
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
        "counts": vocabulary.counts.tolist(),
        "unknown": None if reading.unknown == "drop" else UNK_ID,
        "length": reading.max_length,
        "truncation": reading.truncation,
        "padding": "post" if model.model_.config.pool == "flatten" else None,
        "classes": classes.plain(),
        "multilabel": classes.multilabel,
        "model": config_of(model),
    }


def with_vocabulary(model: ImportedModel, path: Path) -> TextClassifier | ImportedModel:
    """The model as one that reads texts by the file; the `TextClassifier` itself if gatelight wrote both.

    Raises DataError when the file does not fit the model, ModelFileError when it is missing or damaged.
    """
    try:
        with path.open("rb") as file:
            told = parsed(file.read(MOST_BYTES + 1), str(path), MOST_BYTES)
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist; expected the vocabulary file of a model") from None
    steps = model.blueprint.input.steps
    try:
        if isinstance(told.get("model"), dict):
            return _text_classifier(model, told)
        if told.get("class_name") == "Tokenizer":
            return ImportedModel(model.blueprint, model.weights, of_keras(told, steps))
        if "tokens" not in told:
            padding = "pre" if steps else None
            told = {"tokens": told, "length": steps, "padding": padding, "truncation": "tail"}
        reading = ForeignReading.from_dict(told)
        return ImportedModel(model.blueprint, model.weights, reading, told.get("classes"))
    except (DataError, ModelFileError) as error:
        raise type(error)(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelFileError(
            f"{path} is no vocabulary file ({type(error).__name__}: {error!s:.80})"
        ) from None


def _text_classifier(model: ImportedModel, told: Mapping[str, Any]) -> TextClassifier:
    """The model that was exported, with the weights that came."""
    weights = classifier_weights(model, ClassifierConfig.from_dict(told["model"]["model"]))
    if weights is None:
        raise DataError("the layers are not those of the model that this vocabulary file was written with")
    lines = (json.dumps(pair) + "\n" for pair in zip(told["tokens"], told["counts"], strict=True))
    return from_parts(told["model"], "".join(lines), weights)
