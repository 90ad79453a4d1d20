"""A fitted model ↔ a folder of plain files, none of which is executed; the same for every kind of model.

`config.json` settings and what was trained on; `model.safetensors` the weights; `vocabulary.jsonl`;
`README.md` the model card; of a classifier `baseline.*`, `wide.*` and `training-texts.bin`. What a kind keeps
in its config, its own `from_parts` reads. Sizes are compared before anything is allocated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gatelight import __version__
from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.evaluation import Evaluation
from gatelight.files import folder_written_aside

CLASSIFIER = "gatelight text classifier"
LANGUAGE = "gatelight language model"
IMPORTED = "gatelight imported model"
SEQUENCES = "gatelight sequence classifier"
KINDS = (CLASSIFIER, LANGUAGE, IMPORTED, SEQUENCES)
FORMAT = 1
CONFIG_FILE, MODEL_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
VOCABULARY_FILE = "vocabulary.jsonl"
OURS = {
    CONFIG_FILE, MODEL_FILE, CARD_FILE, VOCABULARY_FILE, "baseline.safetensors", "baseline.terms.jsonl",
    "wide.safetensors", "wide.terms.jsonl", "training-texts.bin",
}  # fmt: skip
LEFT_BY_FILE_BROWSERS = {".DS_Store", "Thumbs.db", "desktop.ini"}  # nobody's work
SIZES = ("vocabulary_size", "buckets", "dim", "hidden", "layers", "outputs")
"""The sizes that a configuration names, none of which exceeds the number of weights."""
MOST_CONFIG_BYTES = 100_000_000


def save_model(
    folder: str | Path, kind: str, config: Mapping[str, Any], write: Callable[[Path], None], card: str = ""
) -> None:
    """Write a model: its config, and by `write(folder)` its other files; an older one is replaced at once.

    Whatever goes wrong, an older model there stays as it was. Raises FileExistsError when `folder` exists and
    is no model of this kind, OSError when the disk refuses.
    """
    told = {"kind": kind, "format": FORMAT, "gatelight": __version__, **config}
    with folder_written_aside(Path(folder), may_replace(kind)) as aside:
        write(aside)
        if card:
            (aside / CARD_FILE).write_text(card, encoding="utf-8", errors="backslashreplace")
        (aside / CONFIG_FILE).write_text(json.dumps(told, indent=1) + "\n", encoding="ascii")


def may_replace(kind: str) -> Callable[[Path], bool]:
    """Return whether a model of `kind` may replace a folder: one of the kind, a damaged one, or an empty one.

    What is asked raises FileExistsError for a model of another kind, and says no where there is anything else
    of anybody's.
    """

    def allowed(folder: Path) -> bool:
        if not folder.is_dir():
            return False
        names = {path.name for path in folder.iterdir()} - LEFT_BY_FILE_BROWSERS
        found = kind_of(folder)
        if found in KINDS and found != kind:
            raise FileExistsError(f"{folder} holds a {found}, not a {kind}; choose another name")
        damaged = found is None and {CONFIG_FILE, VOCABULARY_FILE} <= names
        return not names or (names <= OURS and (damaged or found == kind))

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


def read_config(folder: str | Path, kind: str) -> dict[str, Any]:
    """Read the configuration of a model of this kind; ModelFileError when it is none, damaged or newer."""
    folder = Path(folder)
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
    if written > FORMAT:
        raise ModelFileError(
            f"{folder} has format {written}, this gatelight ({__version__}) reads up to {FORMAT}: it was "
            f"saved by version {config.get('gatelight')!s:.20}; update gatelight"
        )
    return config


@contextmanager
def told_in_one_line(folder: str | Path) -> Iterator[None]:
    """Turn what a config that does not fit together raises into one ModelFileError."""
    try:
        yield
    except ModelFileError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, DataError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"does not fit together ({error})"
        raise ModelFileError(f"{Path(folder) / CONFIG_FILE} {what}; copy or train the model again") from None


SPLITS = {
    "group": "held out at random by whole groups, so that no group is on both sides",
    "random": "held out at random",
    "given": "given as a split of its own",
    "none": "none held out",
}
"""How validation texts came about, and how the model card says it."""

_NUMBER, _NOTHING = (int, float), type(None)
TRAINING_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("texts", "tokens", "validation_texts", "unlabelled_texts"), (int,)),
    **dict.fromkeys(("seed", "epochs", "best_epoch"), (int,)),
    **dict.fromkeys(("unknown_fraction", "truncated_fraction", "seconds"), _NUMBER),
    **dict.fromkeys(("temperature", "validation_temperature", "vector_coverage"), (*_NUMBER, _NOTHING)),
    **dict.fromkeys(("split", "stopped", "gatelight"), (str,)),
    **dict.fromkeys(("origin", "vectors"), (str, _NOTHING)),
    "groups": (int, _NOTHING),
    "labels": (list,),
}
EARLIER_NAMES = {"unknown_share": "unknown_fraction", "truncated_share": "truncated_fraction"}
EPOCH_TYPES: Mapping[str, tuple[type, ...]] = {
    "epoch": (int,),
    "train_loss": _NUMBER,
    **dict.fromkeys(("valid_loss", "valid_accuracy"), (*_NUMBER, _NOTHING)),
}


def checked_training(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a classifier's training record; raises KeyError, TypeError or ValueError, naming what cannot be.

    The model card and the reports are written from it, so a damaged one would show only there.
    """
    record = {EARLIER_NAMES.get(name, name): value for name, value in record.items()}
    later = {"temperature": None, "validation_temperature": None}  # than format 1
    _check_types({**later, **record}, TRAINING_TYPES)
    for name in later:
        if record.get(name) is not None and not record[name] > 0:
            raise ValueError(f"{name} is {record[name]!r:.60}; expected a positive number")
    if record["split"] not in SPLITS:
        raise ValueError(f"split is {record['split']!r:.60}; expected one of {', '.join(SPLITS)}")
    if record.get("test") is not None:
        Evaluation.of_dict(record["test"])
    return record


def checked_history(records: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the epochs' records; raises KeyError, TypeError or ValueError, naming what cannot be."""
    for record in records:
        _check_types(record, EPOCH_TYPES)
    return [dict(record) for record in records]


def _check_types(record: Mapping[str, Any], types: Mapping[str, tuple[type, ...]]) -> None:
    for name, allowed in types.items():
        if type(record[name]) not in allowed:
            expected = " or ".join(kind.__name__ for kind in allowed)
            raise ValueError(f"{name} is {record[name]!r:.60}; expected {expected}")
