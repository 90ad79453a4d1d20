"""The side file: what a text model needs and Keras does not keep, as one JSON mapping (docs/keras.md).

Also read: `Tokenizer.to_json()` of Keras, and a plain mapping of tokens to ids. Knows no weights.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators import saving
from gatelight.estimators.classifier import TextClassifier
from gatelight.interop.keras.as_classifier import classifier_of
from gatelight.interop.keras.imported import ImportedModel
from gatelight.interop.keras.reading import ForeignReading, of_keras
from gatelight.interop.keras.sequential import Chain
from gatelight.models.classifier_config import ClassifierConfig
from gatelight.models.saving import save_weights
from gatelight.text.vocabulary import FILE_NAME as VOCABULARY_FILE
from gatelight.text.vocabulary import UNK_ID

KIND, FORMAT = "gatelight side file", 1
MOST_BYTES = 256 << 20


def side_file(model: TextClassifier | ImportedModel) -> dict[str, Any] | None:
    """What to write beside a model; None for one that reads no texts."""
    start = {"kind": KIND, "format": FORMAT}
    if isinstance(model, ImportedModel):
        if model.reading is None:
            return None
        return {**start, **model.reading.to_dict(), "classes": model.classes}
    reading, vocabulary, classes = model.reading_, model.vocabulary_, model.known_classes()
    config = {"kind": saving.CLASSIFIER, "format": saving.FORMAT, **model.saved_config()}
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
        "model": {**config, "baseline": False},
    }


def with_side_file(chain: Chain, path: Path) -> TextClassifier | ImportedModel:
    """A chain that reads texts as the side file says; the very `TextClassifier` when gatelight wrote both.

    Raises DataError when the file does not fit the chain, ModelFileError when it is missing or damaged.
    """
    side = _read(path)
    try:
        if side.get("kind") == KIND and isinstance(side.get("model"), dict):
            return _text_classifier(chain, side)
        if side.get("class_name") == "Tokenizer":
            return ImportedModel(chain, of_keras(side, chain.blueprint.input.steps))
        if "tokens" not in side:
            steps = chain.blueprint.input.steps
            side = {
                "tokens": side,
                "length": steps,
                "padding": "pre" if steps else None,
                "truncation": "tail",
            }
        return ImportedModel(chain, ForeignReading.from_dict(side), side.get("classes"))
    except (DataError, ModelFileError) as error:
        raise type(error)(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{path} is no side file ({type(error).__name__}: {error!s:.80})") from None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ModelFileError(f"{path} has {path.stat().st_size:,} bytes, too many for a side file")
        side = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist; expected the side file of a model") from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{path} is no readable JSON ({error!s:.100})") from None
    if not isinstance(side, dict):
        raise ModelFileError(f"{path} holds JSON, but no mapping; see docs/keras.md for the side file")
    return side


def _text_classifier(chain: Chain, side: Mapping[str, Any]) -> TextClassifier:
    """The model that was exported: its folder as it was, with the weights of the chain."""
    config = ClassifierConfig.from_dict(side["model"]["model"])
    network = classifier_of(chain, config)
    if network is None:
        raise DataError("the layers are not those of the model that this side file was written with")
    with tempfile.TemporaryDirectory(prefix="gatelight-") as place:
        folder = Path(place)
        save_weights(network, folder / saving.MODEL_FILE)
        (folder / saving.CONFIG_FILE).write_text(json.dumps({**side["model"], "baseline": False}))
        lines = (json.dumps(pair) + "\n" for pair in zip(side["tokens"], side["counts"], strict=True))
        (folder / VOCABULARY_FILE).write_text("".join(lines), encoding="ascii")
        return TextClassifier.load(folder)
