"""What a model folder tells of a training, checked field by field; knows neither files nor how to train.

The model card and the reports are written from these records, so one that is damaged would show only there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gatelight.estimators.card import SPLITS
from gatelight.estimators.evaluation import Evaluation

COUNTS = ("texts", "tokens", "validation_texts", "unlabelled_texts", "seed", "epochs", "best_epoch")
NUMBERS = ("unknown_share", "truncated_share", "seconds")
OPTIONAL = ("temperature", "validation_temperature")  # later than format 1, whose readers need them not
WORDS = ("stopped", "gatelight")
WORDS_OR_NONE = ("origin", "vectors")
OF_EPOCH = ("train_loss",)
OF_EPOCH_OR_NONE = ("valid_loss", "valid_accuracy")


def checked_training(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a training record; raises KeyError, TypeError or ValueError, naming what cannot be."""
    for name in COUNTS:
        _check(name, record[name], type(record[name]) is int and record[name] >= 0, "a whole number")
    for name in NUMBERS:
        _check(name, record[name], _is_number(record[name]), "a number")
    for name in WORDS:
        _check(name, record[name], isinstance(record[name], str), "a string")
    for name in WORDS_OR_NONE:
        _check(name, record[name], record[name] is None or isinstance(record[name], str), "a string or null")
    groups, coverage, labels = record["groups"], record["vector_coverage"], record["labels"]
    _check("groups", groups, groups is None or type(groups) is int, "a whole number or null")
    covered = _is_number(coverage) if record["vectors"] is not None else coverage is None
    _check("vector_coverage", coverage, covered, "a number where there are vectors, else null")
    split = record["split"]
    _check("split", split, isinstance(split, str) and split in SPLITS, f"one of {', '.join(SPLITS)}")
    pairs = isinstance(labels, list) and all(
        isinstance(pair, list) and len(pair) == 2 and type(pair[1]) is int for pair in labels
    )
    _check("labels", labels, pairs, "a list of [label, texts]")
    for name in OPTIONAL:
        value = record.get(name)
        fits = value is None or (_is_number(value) and value > 0)
        _check(name, value, fits, "a positive number, or none")
    if record.get("test") is not None:
        Evaluation.of_dict(record["test"])
    return dict(record)


def checked_history(records: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the epochs' records; raises KeyError, TypeError or ValueError, naming what cannot be."""
    for number, record in enumerate(records, 1):
        _check("epoch", record["epoch"], record["epoch"] == number, f"{number}")
        for name in OF_EPOCH:
            _check(name, record[name], _is_number(record[name]), "a number")
        for name in OF_EPOCH_OR_NONE:
            _check(name, record[name], record[name] is None or _is_number(record[name]), "a number or null")
    return [dict(record) for record in records]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check(name: str, value: Any, fits: bool, expected: str) -> None:
    if not fits:
        raise ValueError(f"{name} is {value!r:.60}; expected {expected}")
