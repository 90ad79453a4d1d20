"""A fitted `TextClassifier` ↔ a folder of plain files, none of which is executed; knows nothing of training.

`config.json` settings, classes and what was trained on; `model.safetensors` the weights; `vocabulary.jsonl`;
`baseline.*` where one was fitted; `training-texts.bin` hashes of the training texts; `README.md` the model
card. Sizes are compared before anything is allocated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight import __version__
from gatelight.errors import ModelFileError
from gatelight.estimators.arrays import read_shapes
from gatelight.estimators.baseline import TERMS_FILE, WEIGHTS_FILE, Baseline
from gatelight.estimators.card import card
from gatelight.estimators.evaluation import Evaluation
from gatelight.estimators.judging import Judge
from gatelight.estimators.labels import Classes, plain_label
from gatelight.estimators.reading import Reading
from gatelight.estimators.records import checked_history, checked_training
from gatelight.estimators.settings import PIECES, check_settings, named, of_config, plain
from gatelight.estimators.training_texts import FILE_NAME as TRAINING_TEXTS_FILE
from gatelight.estimators.training_texts import TrainingTexts
from gatelight.files import folder_written_aside
from gatelight.models.classifier_config import ClassifierConfig, weight_shapes
from gatelight.models.fixed_network import FixedNetwork
from gatelight.models.weight_files import read_weights
from gatelight.text.tokenizers import tokenizer
from gatelight.text.vocabulary import FILE_NAME as VOCABULARY_FILE
from gatelight.text.vocabulary import SPECIALS, Vocabulary

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier

FORMAT = 1
KIND = "gatelight text classifier"
CONFIG_FILE = "config.json"
MODEL_FILE = "model.safetensors"
CARD_FILE = "README.md"
MOST_CONFIG_BYTES = 100_000_000
LEFT_BY_FILE_BROWSERS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # nobody's work
SIZES = ("vocabulary_size", "buckets", "dim", "hidden", "layers", "outputs")


def save(estimator: TextClassifier, folder: Path) -> None:
    """Write a fitted estimator; whatever goes wrong (a full disk, say), an older model there stays as it was.

    Raises FileExistsError when `folder` exists and is no model of ours, OSError when the disk refuses.
    """
    from gatelight.models.saving import save_weights

    config = config_of(estimator)
    with folder_written_aside(folder, may_replace(KIND)) as aside:
        estimator.vocabulary_.save(aside)
        save_weights(estimator.model_, aside / MODEL_FILE)
        if estimator.training_texts_ is not None:
            estimator.training_texts_.save(aside)
        if estimator.baseline_ is not None:
            estimator.baseline_.save(aside)
        (aside / CARD_FILE).write_text(
            card(estimator, folder.resolve().name), encoding="utf-8", errors="backslashreplace"
        )
        (aside / CONFIG_FILE).write_text(json.dumps(config, indent=1) + "\n", encoding="ascii")


def config_of(estimator: TextClassifier) -> dict[str, Any]:
    """What `config.json` says of a fitted estimator, as JSON-able values."""
    classes = estimator.known_classes()
    return {
        "kind": KIND,
        "format": FORMAT,
        "gatelight": __version__,
        "settings": _settings(estimator),
        "reading": estimator.reading_.settings(),
        "model": estimator.model_.config.to_dict(),
        "classes": classes.plain(),
        "multilabel": classes.multilabel,
        "indicator": classes.indicator,
        "training": estimator.training_,
        "history": estimator.history_,
        "validation": None if estimator.validation_ is None else estimator.validation_.to_dict(),
        "baseline": estimator.baseline_ is not None,
    }


def load(folder: str | Path) -> TextClassifier:
    """Read a model that `TextClassifier.save` wrote.

    Raises ModelFileError, in one line, for a folder that is missing, incomplete, damaged or of a newer
    format.
    """
    from gatelight.estimators.classifier import TextClassifier

    folder = Path(folder)
    config = read_config(folder, KIND, FORMAT)
    with _told_in_one_line(folder):
        estimator = TextClassifier(**_known_settings(config["settings"]))
        check_settings(estimator.get_params(deep=False))
        validation = None if config["validation"] is None else Evaluation.of_dict(config["validation"])
        training, history = checked_training(config["training"]), checked_history(config["history"])
        has_baseline = bool(config["baseline"])
    estimator.restore(
        judge=_judge(folder, config),
        history=history,
        training=training,
        validation=validation,
        baseline=Baseline.load(folder) if has_baseline else None,
    )
    return estimator


def load_judge(folder: Path) -> Judge:
    """Read as much of a model that `TextClassifier.save` wrote as judging texts needs; raises as `load`."""
    return _judge(folder, read_config(folder, KIND, FORMAT))


def _judge(folder: Path, config: Mapping[str, Any]) -> Judge:
    with _told_in_one_line(folder):
        classes = Classes.of_plain(config["classes"], config["multilabel"], config.get("indicator") is True)
        model_config = ClassifierConfig.from_dict(config["model"])
        reading = _reading(config["reading"], folder, model_config)
        if (model_config.outputs, model_config.multilabel) != (classes.outputs, classes.multilabel):
            raise ValueError(f"{model_config.outputs} outputs do not fit {len(classes.values)} classes")
    network = _read_model(folder / MODEL_FILE, model_config)
    return Judge(classes, reading, network, TrainingTexts.load(folder))


@contextmanager
def _told_in_one_line(folder: Path) -> Iterator[None]:
    try:
        yield
    except ModelFileError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"does not fit together ({error})"
        raise ModelFileError(f"{folder / CONFIG_FILE} {what}; copy or train the model again") from None


def may_replace(kind: str) -> Callable[[Path], bool]:
    """Return whether a model of `kind` may replace a folder: one of the kind, a damaged one, or an empty one.

    What is asked raises FileExistsError for a model of another kind, and says no where there is anything else
    of anybody's.
    """
    ours = {
        CONFIG_FILE,
        MODEL_FILE,
        CARD_FILE,
        VOCABULARY_FILE,
        WEIGHTS_FILE,
        TERMS_FILE,
        TRAINING_TEXTS_FILE,
    }

    def allowed(folder: Path) -> bool:
        if not folder.is_dir():
            return False
        names = {path.name for path in folder.iterdir()} - LEFT_BY_FILE_BROWSERS
        found = kind_of(folder)
        if found is not None and found != kind and found.startswith("gatelight "):
            raise FileExistsError(f"{folder} holds a {found}, not a {kind}; choose another name")
        damaged = found is None and {CONFIG_FILE, VOCABULARY_FILE} <= names
        return not names or (names <= ours and (damaged or found == kind))

    return allowed


def kind_of(folder: Path) -> str | None:
    """What a folder says that it is; None where it says nothing readable, which its reader then tells."""
    path = folder / CONFIG_FILE
    try:
        if path.stat().st_size > MOST_CONFIG_BYTES:
            return None
        config = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    kind = config.get("kind") if isinstance(config, dict) else None
    return kind if isinstance(kind, str) else None


def _settings(estimator: TextClassifier) -> dict[str, Any]:
    settings = plain(estimator.get_params(deep=False))
    # What was given in memory is not kept a second time: fitting again asks for it by this name.
    settings |= {name: named(settings[name]) for name in ("vectors", "from_lm")}
    weight = settings["class_weight"]
    if isinstance(weight, Mapping):
        settings["class_weight"] = {
            "labels": [[plain_label(label), float(share)] for label, share in weight.items()]
        }
    return settings


def _known_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    weight = settings["class_weight"]
    if isinstance(weight, Mapping):
        settings = {**settings, "class_weight": dict(weight["labels"])}
    return of_config(settings)


def read_config(folder: Path, kind: str, newest: int) -> dict[str, Any]:
    """Read the configuration of a model of this kind; ModelFileError when it is none, damaged or newer."""
    path = folder / CONFIG_FILE
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise ModelFileError(f"{folder} {what}; expected the folder of a saved model")
    if not path.is_file():
        raise ModelFileError(f"{folder} holds no {CONFIG_FILE}: it is no saved model, or an incomplete one")
    if path.stat().st_size > MOST_CONFIG_BYTES:
        raise ModelFileError(f"{path} has {path.stat().st_size} bytes, too many for a configuration")
    try:
        config = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged ({error}); copy or train the model again") from None
    if not isinstance(config, dict) or config.get("kind") != kind:
        raise ModelFileError(f"{path} is not of a {kind}; name the folder of a saved model")
    written = config.get("format")
    if isinstance(written, bool) or not isinstance(written, int) or written < 1:
        raise ModelFileError(
            f"{path} has the format {written!r}; expected a number; copy or train the model again"
        )
    if written > newest:
        raise ModelFileError(
            f"{folder} has format {written}, this gatelight ({__version__}) reads up to {newest}: it was "
            f"saved by version {config.get('gatelight')!s:.20}; update gatelight"
        )
    return config


def _reading(settings: Mapping[str, Any], folder: Path, model: ClassifierConfig) -> Reading:
    if settings["max_length"] != model.max_length:
        raise ValueError(f"texts of {settings['max_length']} tokens, a model of {model.max_length}")
    vocabulary = Vocabulary.load(folder)
    if model.vocabulary_size != len(vocabulary):
        raise ValueError(f"a model of {model.vocabulary_size} tokens, a vocabulary of {len(vocabulary)}")
    reading = Reading(
        tokenizer(**settings["tokenizer"]),
        vocabulary,
        settings["max_length"],
        settings["truncation"],
        settings["unknown"],
        settings.get("seed", 0),  # older folders know no policy that draws
    )
    if type(reading.seed) is not int or reading.seed < 0:
        raise ValueError(f"the seed of unknown words is {reading.seed!r:.40}")
    known = len(vocabulary) - len(SPECIALS)
    if bool(model.buckets) != (reading.unknown in PIECES) or (known and reading.unknown == "spelled"):
        raise ValueError(
            f"a model of {known} words and {model.buckets} n-grams, unknown words read by {reading.unknown!r}"
        )
    reading.encode(["a"])  # raises for a truncation or an unknown= that there is not
    return reading


def _read_model(path: Path, config: ClassifierConfig) -> FixedNetwork:
    shapes = read_shapes(path)
    # No size of the model can exceed the number of weights in the file: so nothing huge is ever allocated.
    weights = sum(prod(shape) for shape in shapes.values())
    for name in SIZES:
        if (getattr(config, name) or 0) > (len(shapes) if name == "layers" else weights):
            raise ModelFileError(
                f"{path} holds {weights} weights, too few for {name} {getattr(config, name)}: the folder is "
                "incomplete or mixed from two models; copy or train it again"
            )
    expected = weight_shapes(config)
    if shapes != expected:
        name = next(name for name in {**expected, **shapes} if shapes.get(name) != expected.get(name))
        raise ModelFileError(
            f"{path}: {name} has the shape {shapes.get(name)}, {CONFIG_FILE} says {expected.get(name)}: the "
            "folder is incomplete or mixed from two models; copy or train it again"
        )
    kinds = {name: (shape, "float32") for name, shape in expected.items()}
    return FixedNetwork(config, read_weights(path, kinds))
