"""A classifier that starts from a language model: what it takes over, and which settings that leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatelight.errors import DataError
from gatelight.estimators.language_model import LanguageModel
from gatelight.estimators.preparation import Start
from gatelight.estimators.settings import IN_MEMORY, SUBWORD_ROWS, preset
from gatelight.models.classifier import Classifier
from gatelight.text.encoding import NumberedTexts
from gatelight.text.vocabulary import PAD_ID

TAKEN_OVER = (
    "tokenizer", "lowercase", "clean", "min_count", "max_words", "cell", "embedding_dim", "hidden_size",
    "layers",
)  # fmt: skip


def language_model(given: Any) -> LanguageModel:
    """The fitted model that `from_lm` names or is; DataError or ModelFileError where it is none."""
    if isinstance(given, LanguageModel):
        if not hasattr(given, "model_"):
            raise DataError("from_lm is a LanguageModel that is not fitted yet: call its fit first")
        return given
    if not isinstance(given, str | Path):
        raise DataError(
            f"from_lm is of type {type(given).__name__}; expected the folder of a saved language model, or a "
            "fitted LanguageModel"
        )
    if given == IN_MEMORY:
        raise DataError("the language model was given in memory: set from_lm again before fitting")
    return LanguageModel.load(given)


def settings_after(
    model: LanguageModel, settings: Mapping[str, Any], chosen: Mapping[str, Any]
) -> dict[str, Any]:
    """`settings` with all that the model decides; DataError where `chosen`, the user's own, says otherwise.

    A language model reads in one direction, so the classifier does. It knows no character n-grams.
    """
    decided = {name: model.settings_[name] for name in TAKEN_OVER} | {"bidirectional": False, "vectors": None}
    decided["embedding_dim"] = model.model_.config.dim  # given vectors decided it
    if settings["unknown"] in SUBWORD_ROWS and "unknown" not in chosen:
        decided["unknown"] = "unk"
    for name, value in decided.items():
        if name in chosen and chosen[name] is not value and chosen[name] != value:
            raise DataError(
                f"{name} is {chosen[name]!r}, but the language model decides it: {value!r}; leave {name} "
                "out, or train a language model that has it"
            )
    if chosen.get("unknown") in SUBWORD_ROWS:
        raise DataError(
            f"unknown is {chosen['unknown']!r}, but a language model knows no character n-grams; use "
            "'unk', 'drop', 'nearest' or a byte model, to which nothing is unknown"
        )
    return {**settings, **decided}


def resolved(settings: Mapping[str, Any]) -> tuple[dict[str, Any], LanguageModel | None]:
    """All settings, those that a language model decides among them, and that model.

    What is as in the preset `default` counts as not chosen.
    """
    if settings["from_lm"] is None:
        return dict(settings), None
    model = language_model(settings["from_lm"])
    usual = preset("default")
    chosen = {
        name: value
        for name, value in settings.items()
        if name in usual and value is not usual[name] and value != usual[name]
    }
    return settings_after(model, settings, chosen), model


def start_from(model: LanguageModel, texts: NumberedTexts) -> Start:
    """The model's vocabulary and a copy of its vectors."""
    table = model.model_.embedding.weight.detach().numpy().copy()
    table[PAD_ID] = 0  # of tied weights it is an output's too
    counts = texts.counts()
    known = sum(count for token, count in counts.items() if token in model.vocabulary_)
    fraction = known / max(sum(counts.values()), 1)
    return Start(model.vocabulary_, table.shape[1], table, "a language model's", fraction)


def copy_recurrent_layers(model: LanguageModel, classifier: Classifier) -> None:
    """Copy the model's recurrent layers into a classifier of the same shape."""
    classifier.memory.load_state_dict(model.model_.memory.state_dict())
