"""Recipes: named settings of `TextClassifier`, as data. Knows no text, no vocabulary and no training.

`default` is what we would recommend; `char` is the same with every word made of its
letters, so that none is unknown.
"The note" is a student's note on LSTMs for the sentiment of IMDB reviews, with which this project began:
`note-400` and `note-200` are its word models, for 400 and 200 words (300-d frozen word vectors, unknown words
left out, LSTM 50 over all steps, flatten, dense 1); `note-char` is its model of 1,500 characters (46 symbols,
one-hot, LSTM 20 over all steps, flatten, dense 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gatelight.errors import DataError
from gatelight.estimators.settings import classifier_config
from gatelight.models.summary import Summary, summary

_NOTE: dict[str, Any] = {
    "tokenizer": "treebank",
    "lowercase": True,
    "clean": True,
    "min_count": 1,
    "max_words": None,
    "max_length": 400,
    "truncation": "head",
    "unknown": "drop",
    "vectors": None,  # must be given: any 300-d vectors, or "corpus" to train them on this data first
    "dim": 300,
    "train_vectors": False,
    "cell": "lstm",
    "hidden": 50,
    "layers": 1,
    "bidirectional": False,
    "pool": "flatten",
    "dropout": 0.2,
    "embedding_dropout": 0.0,
    "word_dropout": 0.0,
    "layer_dropout": 0.0,
    "optimizer": "rmsprop",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "clip": None,
    "weight_decay": 0.0,
    "batch_size": 32,
    "bucket": False,
    "epochs": 2,
    "patience": None,
    "best_by": "last",
    "average": None,
    "class_weight": None,
    "label_smoothing": 0.0,
    "validation_fraction": 0.2,
    "split": "random",
}

_NOTE_CHAR: dict[str, Any] = {
    **_NOTE,
    "tokenizer": "note-char",
    "max_length": 1500,
    "unknown": "unk",
    "vectors": "one-hot",
    "dim": 46,
    "hidden": 20,
    "dropout": 0.4,
    "epochs": 5,
}

_DEFAULT: dict[str, Any] = {
    "tokenizer": "word",
    "lowercase": True,
    "clean": True,
    "min_count": 2,
    "max_words": 50_000,
    "max_length": 600,
    "truncation": "head+tail",
    "unknown": "unk",
    "vectors": None,
    "dim": 256,
    "train_vectors": True,
    "cell": "lstm",
    "hidden": 192,
    "layers": 1,
    "bidirectional": True,
    "pool": "max",
    "dropout": 0.0,
    "embedding_dropout": 0.5,
    "word_dropout": 0.2,
    "layer_dropout": 0.0,
    "optimizer": "lazyadam",
    "learning_rate": 3e-3,
    "schedule": "one-cycle",
    "clip": 1.0,
    "weight_decay": 0.0,
    "batch_size": 64,
    "bucket": True,
    "epochs": 4,
    "patience": None,
    "best_by": "valid_accuracy",
    "average": None,
    "class_weight": None,
    "label_smoothing": 0.0,
    "validation_fraction": 0.05,
    "split": "group",
}

_CHAR: dict[str, Any] = {**_DEFAULT, "unknown": "spelled", "dim": 128}

RECIPES: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "default": MappingProxyType(_DEFAULT),
        "char": MappingProxyType(_CHAR),
        "note-400": MappingProxyType(_NOTE),
        "note-200": MappingProxyType({**_NOTE, "max_length": 200}),
        "note-char": MappingProxyType(_NOTE_CHAR),
    }
)


def recipe(name: str) -> Mapping[str, Any]:
    """Return a recipe's settings, read-only; raises DataError naming the recipes there are."""
    try:
        return RECIPES[name]
    except KeyError:
        raise DataError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}") from None


def recipe_summary(name: str) -> Summary:
    """Return a recipe's layer table for two classes, without data; the vocabulary's size stays open."""
    return summary(classifier_config(recipe(name)))
