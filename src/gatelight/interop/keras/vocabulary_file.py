"""The vocabulary file: what a text model needs and Keras does not keep, as one JSON mapping (the docs).

Also read: `Tokenizer.to_json()` of Keras, and a plain mapping of tokens to ids.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.classifier import TextClassifier
from gatelight.interop.keras.architecture import parsed
from gatelight.interop.keras.imported import ImportedModel
from gatelight.interop.keras.reading import ForeignReading, of_keras
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
        "unknown": None if reading.unknown == "drop" else UNK_ID,
        "length": reading.max_length,
        "truncation": reading.truncation,
        "padding": "post" if model.model_.config.pool == "flatten" else None,
        "classes": classes.plain(),
        "multilabel": classes.multilabel,
    }


def with_vocabulary(model: ImportedModel, path: Path) -> ImportedModel:
    """The model as one that reads texts by the file.

    Raises DataError when the file does not fit the model, ModelFileError when it is missing or damaged.
    """
    try:
        with path.open("rb") as file:
            told = parsed(file.read(MOST_BYTES + 1), str(path), MOST_BYTES)
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
