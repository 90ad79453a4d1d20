"""A `TextClassifier`'s settings, checked and sorted into what each floor below wants; knows no text.

What the tokenizer, the model and the training loop can check themselves is left to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gatelight.errors import DataError
from gatelight.models.classifier_config import ClassifierConfig
from gatelight.text.encoding import TRUNCATIONS
from gatelight.text.oov import UNKNOWN_POLICIES
from gatelight.text.tokenizers import KINDS, tokenizer
from gatelight.text.vocabulary import SPECIALS

if TYPE_CHECKING:
    from gatelight.models.training_config import TrainingConfig

SPLITS = ("group", "random")
OF_MODEL = (
    "dim", "cell", "hidden", "layers", "bidirectional", "pool", "max_length", "dropout", "embedding_dropout",
    "word_dropout", "layer_dropout",
)  # fmt: skip
OF_TRAINING = (
    "optimizer", "learning_rate", "schedule", "clip", "weight_decay", "batch_size", "bucket", "epochs",
    "patience", "best_by", "average", "label_smoothing", "seed", "threads",
)  # fmt: skip
BUCKETS = 1 << 15
"""Rows for character n-grams: more keep apart what shares a row here, and take 4 · dim bytes each."""
PIECES = {"subword": BUCKETS, "spelled": 4 * BUCKETS}
"""Rows for the pieces that words are made of, policy by policy: more where all words are."""
CORPUS = "corpus"
ONE_HOT = "one-hot"
IN_MEMORY = "(given in memory)"


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with NumPy numbers (a grid search brings such) turned into Python's."""
    return {
        name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()
    }


def named(given: Any) -> str | None:
    """Return what a file of settings says of something that may have been given by name or in memory."""
    return None if given is None else str(given) if isinstance(given, str | Path) else IN_MEMORY


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise DataError for the first setting that cannot be used: its name, what came and what may come."""
    for name, choices in (("truncation", TRUNCATIONS), ("unknown", UNKNOWN_POLICIES), ("split", SPLITS)):
        if not isinstance(settings[name], str) or settings[name] not in choices:
            raise DataError(f"{name} is {settings[name]!r}; expected one of {', '.join(choices)}")
    if not isinstance(settings["train_vectors"], bool):
        raise DataError(f"train_vectors is {settings['train_vectors']!r}; expected True or False")
    for name in ("min_count", "max_words"):
        value = settings[name]
        missing = value is None and name == "max_words"
        if not missing and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise DataError(f"{name} is {value!r}; expected a whole number, 1 or more")
    share = settings["validation_fraction"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise DataError(f"validation_fraction is {share!r}; expected a share from 0 (none) up to, but not, 1")
    if settings["layer_dropout"] and settings["layers"] == 1:
        raise DataError("layer_dropout acts between layers: give layers=2 or more, or layer_dropout=0")
    if settings["unknown"] == "spelled" and (
        settings["vectors"] is not None or not settings["train_vectors"]
    ):
        raise DataError(
            "unknown='spelled' makes every word's vector out of its letters: leave out vectors and "
            "train_vectors"
        )
    if settings["vectors"] is None and not settings["train_vectors"]:
        raise DataError(
            "these settings keep word vectors as they are (train_vectors=False) but there are none: give "
            "vectors=, a file of word vectors, a name of `gatelight data list` such as 'glove-6b-50d', or "
            "'corpus' to train them on these texts first"
        )
    tokenizer(settings["tokenizer"], lowercase=settings["lowercase"], clean=settings["clean"])
    classifier_config(settings)
    training_config(settings)


def classifier_config(
    settings: Mapping[str, Any],
    vocabulary_size: int | None = None,
    outputs: int = 1,
    multilabel: bool = False,
) -> ClassifierConfig:
    """Return the model's shape; raises DataError when a setting cannot be.

    Without `vocabulary_size` it is that of the tokenizer, where this has an alphabet of its own.
    """
    if vocabulary_size is None and settings["tokenizer"] in KINDS:
        alphabet = getattr(KINDS[settings["tokenizer"]], "alphabet", None)
        vocabulary_size = None if alphabet is None else len(SPECIALS) + len(alphabet)
    if (
        vocabulary_size is not None
        and isinstance(settings["vectors"], str)
        and settings["vectors"] == ONE_HOT
    ):
        settings = {**settings, "dim": vocabulary_size}
    return ClassifierConfig(
        vocabulary_size=vocabulary_size,
        outputs=outputs,
        multilabel=multilabel,
        train_embedding=settings["train_vectors"],
        buckets=PIECES.get(settings["unknown"], 0),
        **{name: settings[name] for name in OF_MODEL},
    )


def training_config(
    settings: Mapping[str, Any], class_numbers: Mapping[Any, int] | None = None
) -> TrainingConfig:
    """Return the loop's settings, class weights by class number; DataError when a setting cannot be."""
    from gatelight.models.training_config import TrainingConfig

    weight = settings["class_weight"]
    if isinstance(weight, Mapping):
        if class_numbers is None:
            weight = None  # the classes are not known yet
        else:
            strange = [label for label in weight if label not in class_numbers]
            if strange:
                raise DataError(
                    f"class_weight names {strange[0]!r}; the classes are "
                    f"{', '.join(map(repr, class_numbers))}"
                )
            weight = {class_numbers[label]: share for label, share in weight.items()}
    gradual = settings.get("gradual_unfreezing", False)
    if not isinstance(gradual, bool):
        raise DataError(f"gradual_unfreezing is {gradual!r}; expected True or False")
    return TrainingConfig(
        class_weight=weight,
        gradual_unfreezing=gradual and settings.get("from_lm") is not None,
        **{name: settings[name] for name in OF_TRAINING},
    )
