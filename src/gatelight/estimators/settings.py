"""The settings of every estimator: names, defaults, help and presets, and what the layers below make of them.

A class here is the constructor of its estimator, its `get_params`, what a saved model's `config.json` keeps
and the options of its command. What tokenizer, model and training can check themselves is left to them, and
NumPy is imported only where it is used: the help of a command waits for none of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gatelight.errors import DataError
from gatelight.estimators.language_rules import settled as settled_language
from gatelight.estimators.rules import AUTO, settled
from gatelight.launched import processes, rank

if TYPE_CHECKING:
    from gatelight.models.config import ClassifierConfig, LanguageModelConfig
    from gatelight.models.summary import Summary
    from gatelight.models.training_config import TrainingConfig


@dataclass(kw_only=True, eq=False, repr=False)
class ClassifierSettings:
    """What `TextClassifier` takes; `HELP` says what each means, the preset "default" is these values.

    What is None in `rules.RULES`, and the vectors "auto", are chosen by the data when it is fitted.
    """

    tokenizer: str = "word"
    lowercase: bool = True
    clean: bool = True
    min_count: int | None = None
    max_words: int | None = 50_000
    max_length: int | None = 600
    truncation: str = "head+tail"
    unknown: str = "unk"
    vectors: str | Any | None = AUTO
    embedding_dim: int | None = None
    train_vectors: bool = True
    wide: bool = True
    from_lm: Any = None
    gradual_unfreezing: bool = True
    cell: str = "lstm"
    hidden_size: int | None = None
    layers: int = 1
    bidirectional: bool = True
    pool: str = "max"
    dropout: float = 0.0
    embedding_dropout: float | None = None
    word_dropout: float = 0.2
    layer_dropout: float = 0.0
    optimizer: str = "lazyadam"
    learning_rate: float = 3e-3
    schedule: str = "one-cycle"
    clip: float | None = 1.0
    weight_decay: float = 0.0
    batch_size: int | None = None
    bucket: bool = True
    epochs: int | None = None
    patience: int | None = None
    best_by: str | None = None
    average: float | None = None
    class_weight: Any = None
    label_smoothing: float = 0.0
    validation_fraction: float | None = None
    split: str = "group"
    random_state: Any = 0
    threads: int | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class LanguageSettings:
    """What `LanguageModel` takes; what is None in `language_rules.RULES` is chosen by the texts."""

    tokenizer: str = "char"
    lowercase: bool = False
    clean: bool = True
    min_count: int = 2
    max_words: int | None = None
    vectors: Any = None
    cell: str = "lstm"
    embedding_dim: int | None = None
    hidden_size: int | None = None
    layers: int = 1
    tied: bool = False
    output: str = "softmax"
    samples: int = 1024
    dropout: float | None = None
    embedding_dropout: float | None = None
    layer_dropout: float = 0.0
    documents: bool = False
    max_length: int | None = 1000
    steps: int | None = None
    optimizer: str = "adam"
    learning_rate: float | None = None
    schedule: str = "one-cycle"
    clip: float | None = 1.0
    weight_decay: float = 0.0
    batch_size: int | None = None
    epochs: int | None = None
    patience: int | None = None
    best_by: str = "valid_loss"
    average: float | None = None
    validation_fraction: float = 0.02
    order: int = 5
    random_state: Any = 0
    threads: int | None = None


@dataclass(kw_only=True, eq=False, repr=False)
class SequenceSettings:
    """What `SequenceClassifier` takes."""

    input: str = "auto"
    scale: bool = True
    embedding_dim: int = 32
    cell: str = "lstm"
    hidden_size: int = 32
    layers: int = 1
    bidirectional: bool = True
    pool: str = "max+mean"
    max_length: int | None = None
    dropout: float = 0.0
    input_dropout: float = 0.0
    step_dropout: float = 0.0
    layer_dropout: float = 0.0
    optimizer: str = "adam"
    learning_rate: float = 1e-2
    schedule: str = "one-cycle"
    clip: float | None = 1.0
    weight_decay: float = 0.0
    batch_size: int = 32
    bucket: bool = True
    epochs: int = 20
    patience: int | None = None
    best_by: str = "last"
    average: float | None = None
    class_weight: Any = None
    label_smoothing: float = 0.0
    validation_fraction: float = 0.0
    random_state: Any = 0
    threads: int | None = None


HELP: Mapping[str, str] = MappingProxyType(
    {
        "tokenizer": "word, treebank, char, byte, note-char.",
        "lowercase": "Whether to lower-case the texts.",
        "clean": "Whether to drop <br /> and resolve entities.",
        "min_count": "A word seen more rarely is unknown.",
        "max_words": "Most words the vocabulary may have.",
        "max_length": "Longer texts are cut to so many words.",
        "truncation": "What a cut keeps: head, tail, head+tail.",
        "unknown": "Unknown words: unk, drop, random, nearest, subword, ngrams.",
        "vectors": "What words begin with: a named set, a file, one-hot, corpus (word2vec), none, or auto.",
        "embedding_dim": "Size of a word vector.",
        "train_vectors": "Whether training changes the word vectors.",
        "wide": "Whether n-grams stand beside the recurrent model.",
        "from_lm": "A saved language model to start from.",
        "gradual_unfreezing": "Whether a classifier from a language model trains its last layers first.",
        "input": "What a step is: ids, features, or auto.",
        "scale": "Whether features are brought to mean 0 and deviation 1.",
        "cell": "lstm, gru, peephole or rnn.",
        "hidden_size": "Size of the hidden state, per direction.",
        "layers": "Recurrent layers.",
        "bidirectional": "Whether to read from both ends.",
        "pool": "last, max, mean, max+mean, attention or flatten.",
        "tied": "Whether the output layer shares the embedding; needs embedding_dim = hidden_size.",
        "output": "softmax; for large vocabularies adaptive or sampled.",
        "samples": "Tokens drawn for each step of a sampled output.",
        "dropout": "Fraction dropped before the last layer.",
        "embedding_dropout": "Fraction dropped from the word vectors.",
        "word_dropout": "Fraction of words made unknown in training.",
        "input_dropout": "Fraction dropped from the inputs.",
        "step_dropout": "Fraction of steps blanked out in training.",
        "layer_dropout": "Fraction dropped between recurrent layers.",
        "documents": "Whether each text begins anew, instead of one stream.",
        "steps": "Tokens of each stream between two updates.",
        "optimizer": "adam, lazyadam, adamw, rmsprop or sgd.",
        "learning_rate": "Step size, at its highest.",
        "schedule": "constant, one-cycle, cosine or linear.",
        "clip": "Maximum gradient norm.",
        "weight_decay": "Weight decay.",
        "batch_size": "Texts per step.",
        "bucket": "Whether texts of like length share a batch.",
        "epochs": "Passes over the texts.",
        "patience": "Stop after so many epochs without gain, and keep the best.",
        "best_by": "Epoch kept: last, valid_accuracy or valid_loss.",
        "average": "Decay of the averaged weights, like 0.998.",
        "class_weight": "balanced: rare classes count for more.",
        "label_smoothing": "Fraction of certainty taken off the labels.",
        "validation_fraction": "Fraction of the texts kept for validation.",
        "split": "group keeps what belongs together on one side; or random.",
        "order": "Order of the n-gram baseline.",
        "random_state": "Fixes every random choice; those of vectors 'corpus' with one thread.",
        "threads": "Threads to compute with; only vectors 'corpus' depend on it.",
    }
)
"""What each setting means, in one sentence."""

_NOTE: dict[str, Any] = {
    "tokenizer": "treebank", "min_count": 1, "max_words": None, "max_length": 400, "truncation": "head",
    "unknown": "drop", "embedding_dim": 300, "train_vectors": False, "hidden_size": 50,
    "bidirectional": False, "pool": "flatten", "dropout": 0.2, "embedding_dropout": 0.0, "word_dropout": 0.0,
    "optimizer": "rmsprop", "learning_rate": 1e-3, "schedule": "constant", "clip": None, "batch_size": 32,
    "bucket": False, "epochs": 2, "best_by": "last", "validation_fraction": 0.2, "split": "random",
    "vectors": None, "wide": False,
}  # fmt: skip
_NOTE_CHAR: dict[str, Any] = {
    **_NOTE, "tokenizer": "note-char", "max_length": 1500, "unknown": "unk", "vectors": "one-hot",
    "embedding_dim": 46, "hidden_size": 20, "dropout": 0.4, "epochs": 5,
}  # fmt: skip
_CHAR: dict[str, Any] = {
    "min_count": 2, "unknown": "ngrams", "vectors": None, "embedding_dim": 128, "hidden_size": 192,
    "embedding_dropout": 0.5, "batch_size": 64, "epochs": 4, "best_by": "valid_accuracy",
    "validation_fraction": 0.05, "wide": False,
}  # fmt: skip
_CHANGES: dict[str, dict[str, Any]] = {
    "default": {},
    "fast": {"max_length": 200, "hidden_size": 64, "epochs": 3},
    "best": {"hidden_size": 256, "average": 0.998},
    "char": _CHAR,
    "note-400": _NOTE,
    "note-200": {**_NOTE, "max_length": 200},
    "note-char": _NOTE_CHAR,
}
OF_A_RUN = ("from_lm", "gradual_unfreezing", "random_state", "threads")
"""Settings that are no preset's to decide."""


def defaults(settings: type[ClassifierSettings | LanguageSettings | SequenceSettings]) -> dict[str, Any]:
    """Return the settings of an estimator by name, at their defaults."""
    return {field.name: field.default for field in fields(settings)}


PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        name: MappingProxyType(
            {
                setting: changes.get(setting, value)
                for setting, value in defaults(ClassifierSettings).items()
                if setting not in OF_A_RUN
            }
        )
        for name, changes in _CHANGES.items()
    }
)
"""Named settings of `TextClassifier`: "default", recommended; "fast", for a first look; "best", which takes
longer; "char", every word made of its letters, so that none is unknown; and three of a student's note on
LSTMs for the sentiment of IMDB reviews, with which this project began: "note-400" and "note-200", its word
models (300-d frozen vectors, which must be given, unknown words left out), and "note-char", its model of
1,500 characters (46 symbols, one-hot)."""


def preset(name: str) -> Mapping[str, Any]:
    """Return the settings of a preset, or of a preset file (.json, as `gatelight tune` writes it), read-only.

    Raises DataError naming the presets there are, or the setting of a file that there is not.
    """
    if name in PRESETS:
        return PRESETS[name]
    if not name.endswith(".json"):
        raise DataError(f"there is no preset {name!r}; there are {', '.join(PRESETS)}, or name a .json file")
    try:
        found = json.loads(Path(name).read_text("utf-8"))
    except ValueError as error:
        raise DataError(f"{name} is no preset: {error}") from None
    known = PRESETS["default"]
    strange = [setting for setting in found if setting not in known] if isinstance(found, dict) else [found]
    if strange:
        raise DataError(f"{name} is no preset: {strange[0]!r:.40} is none of the settings {', '.join(known)}")
    return MappingProxyType({**known, **found})


def preset_summary(name: str) -> Summary:
    """Return a preset's layer table for two classes, without data; the vocabulary's size stays open."""
    from gatelight.models.summary import summary

    return summary(classifier_config(settled(preset(name))))


OTHER_NAMES = {"dim": "embedding_dim", "hidden": "hidden_size", "seed": "random_state"}
"""What the configurations of `models`, and estimators of earlier versions, call a setting."""


def of_config(saved: Mapping[str, Any]) -> dict[str, Any]:
    """Return a saved model's settings under today's names, whichever version wrote them."""
    from gatelight.text import oov

    settings = {OTHER_NAMES.get(name, name): value for name, value in saved.items()}
    if "unknown" in settings:
        settings["unknown"] = oov.EARLIER_NAMES.get(settings["unknown"], settings["unknown"])
    if settings.get("best_by") == "auto":
        settings["best_by"] = None
    weight = settings.get("class_weight")
    if isinstance(weight, Mapping):
        settings["class_weight"] = dict(weight["labels"])
    return settings


def saved_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as JSON-able values; what was given in memory is only said to have been.

    Fitting again asks for it by this name.
    """
    from gatelight.estimators.labels import plain_label

    def named(given: Any) -> str | None:
        return None if given is None else str(given) if isinstance(given, str | Path) else IN_MEMORY

    saved = plain(settings)
    saved |= {name: named(saved[name]) for name in ("vectors", "from_lm") if name in saved}
    state = saved["random_state"]
    saved["random_state"] = state if isinstance(state, int) else None  # a generator is not kept
    weight = saved.get("class_weight")
    if isinstance(weight, Mapping):
        saved["class_weight"] = {
            "labels": [[plain_label(label), float(factor)] for label, factor in weight.items()]
        }
    return saved


def seed_of(random_state: Any) -> int:
    """Return a whole number to seed with: the one given, or one drawn by a generator or (None) by chance.

    Raises DataError for anything that scikit-learn's `random_state` could not be either.
    """
    import numpy as np

    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31))
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    if random_state is None:
        drawn = int(np.random.default_rng().integers(2**31))
        if processes() > 1:
            from gatelight.models.process_group import process_group

            drawn = int(process_group().total([0 if rank() else drawn])[0])
        return drawn
    if isinstance(random_state, bool) or not isinstance(random_state, int | np.integer) or random_state < 0:
        raise DataError(
            f"random_state is {random_state!r}; expected a whole number, 0 or more, a generator, or None"
        )
    return int(random_state)


SPLITS = ("group", "random")
BUCKETS = 1 << 15
"""Rows for character n-grams: more would share less, and each takes 4 · embedding_dim bytes."""
SUBWORD_ROWS = {"subword": BUCKETS, "ngrams": 4 * BUCKETS}
"""Rows for the n-grams that words are made of, policy by policy: more where all words are."""
ONE_HOT = "one-hot"
IN_MEMORY = "(given in memory)"


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with NumPy numbers (a grid search brings such) turned into Python's."""
    import numpy as np

    return {
        name: value.item() if isinstance(value, np.generic) else value for name, value in settings.items()
    }


def check_settings(settings: Mapping[str, Any]) -> None:
    """Raise DataError for a classifier's first setting that cannot be used: what came and what may come."""
    from gatelight.models.config import check_choice, check_flag, check_number, check_whole
    from gatelight.text.encoding import TRUNCATIONS
    from gatelight.text.oov import UNKNOWN_POLICIES
    from gatelight.text.tokenizers import tokenizer

    settings = settled(settings)
    for name, choices in (("truncation", TRUNCATIONS), ("unknown", UNKNOWN_POLICIES), ("split", SPLITS)):
        check_choice(name, settings[name], choices)
    check_flag("wide", settings["wide"])
    check_flag("train_vectors", settings["train_vectors"])
    for name in ("min_count", "max_words", "embedding_dim", "hidden_size"):
        if name != "max_words" or settings[name] is not None:
            check_whole(name, settings[name], 1)
    check_number("validation_fraction", settings["validation_fraction"], least=0.0, below=1.0)
    if settings["layer_dropout"] and settings["layers"] == 1:
        raise DataError("layer_dropout acts between layers: give layers=2 or more, or layer_dropout=0")
    if settings["unknown"] == "ngrams" and (settings["vectors"] is not None or not settings["train_vectors"]):
        raise DataError(
            "unknown='ngrams' makes every word's vector out of its letters: leave out vectors and "
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


def check_language_settings(settings: Mapping[str, Any]) -> None:
    """Raise DataError for a language model's first setting that cannot be used."""
    from gatelight.models.config import check_number, check_whole
    from gatelight.text.tokenizers import tokenizer

    settings = settled_language(settings)
    for name in ("min_count", "embedding_dim", "hidden_size", "steps", "order"):
        check_whole(name, settings[name], 1)
    check_number("validation_fraction", settings["validation_fraction"], least=0.0, below=1.0)
    if settings["tied"] is True and settings["vectors"] is None:
        sizes = settings["embedding_dim"], settings["hidden_size"]
        if sizes[0] != sizes[1]:
            raise DataError(
                f"tied weights need embedding_dim equal to hidden_size; they are {sizes[0]} and {sizes[1]}"
            )
    tokenizer(settings["tokenizer"], lowercase=settings["lowercase"], clean=settings["clean"])
    of_vectors = settings["hidden_size"] if settings["vectors"] is not None else None  # as if they fitted
    language_model_config(settings, 1000, of_vectors)
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
    from gatelight.models.config import ClassifierConfig
    from gatelight.text.vocabulary import SPECIALS

    alphabet = alphabet_of(settings)
    if vocabulary_size is None and alphabet is not None:
        vocabulary_size = len(SPECIALS) + len(alphabet)
    vectors = settings["vectors"]
    if vocabulary_size is not None and isinstance(vectors, str) and vectors == ONE_HOT:
        settings = {**settings, "embedding_dim": vocabulary_size}
    return ClassifierConfig(
        vocabulary_size=vocabulary_size,
        outputs=outputs,
        multilabel=multilabel,
        train_embedding=settings["train_vectors"],
        buckets=SUBWORD_ROWS.get(settings["unknown"], 0),
        **_known_to(ClassifierConfig, settings),
    )


def _known_to(config: type, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a configuration of `models` has too, under its names."""
    names = {field.name: OTHER_NAMES.get(field.name, field.name) for field in fields(config)}
    return {name: settings[setting] for name, setting in names.items() if setting in settings}


def alphabet_of(settings: Mapping[str, Any]) -> str | None:
    """Return all tokens that the tokenizer can give, in the order of their ids; None where any may come."""
    from gatelight.text.tokenizers import KINDS

    return getattr(KINDS.get(settings["tokenizer"]), "alphabet", None)


def sequence_config(
    settings: Mapping[str, Any], vocabulary_size: int, dim: int | None, outputs: int
) -> ClassifierConfig:
    """Return the shape of a model of sequences; `dim` is that of features, None where steps are ids."""
    from gatelight.models.config import ClassifierConfig, check_whole

    if dim is None:
        check_whole("embedding_dim", settings["embedding_dim"], 1)
    check_whole("hidden_size", settings["hidden_size"], 1)
    shape = {
        **_known_to(ClassifierConfig, settings),
        "dim": settings["embedding_dim"] if dim is None else dim,
        "embedding_dropout": settings["input_dropout"],
        "word_dropout": settings["step_dropout"],
    }
    return ClassifierConfig(
        vocabulary_size=vocabulary_size, outputs=outputs, train_embedding=dim is None, **shape
    )


def language_model_config(
    settings: Mapping[str, Any], vocabulary_size: int, dim: int | None = None
) -> LanguageModelConfig:
    """Return a language model's shape; `dim` instead of `embedding_dim` where vectors were given."""
    from gatelight.models.config import LanguageModelConfig

    shape = _known_to(LanguageModelConfig, settings)
    return LanguageModelConfig(vocabulary_size, **{**shape, "dim": dim or shape["dim"]})


def training_config(
    settings: Mapping[str, Any], class_numbers: Mapping[Any, int] | None = None
) -> TrainingConfig:
    """Return the loop's settings, class weights by class number; DataError when a setting cannot be."""
    from gatelight.models.config import check_flag
    from gatelight.models.training_config import TrainingConfig

    weight = settings.get("class_weight")
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
            weight = {class_numbers[label]: factor for label, factor in weight.items()}
    gradual = settings.get("gradual_unfreezing", False)
    check_flag("gradual_unfreezing", gradual)
    own = {
        "seed": seed_of(settings["random_state"]),
        "class_weight": weight,
        "gradual_unfreezing": gradual and settings.get("from_lm") is not None,
    }
    return TrainingConfig(**{**_known_to(TrainingConfig, settings), **own})
