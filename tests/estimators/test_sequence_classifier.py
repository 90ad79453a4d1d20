"""`SequenceClassifier`: sequences in every form that people keep them in, and what it makes of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import polars
import pytest

import gatelight
from gatelight import SequenceClassifier, load
from gatelight.errors import DataError, ModelFileError
from gatelight.models.heads import HEADS

SMALL: dict[str, Any] = {"hidden_size": 8, "epochs": 12, "embedding_dim": 8}


def waves(n: int = 90, seed: int = 0) -> tuple[list[Any], np.ndarray[Any, Any]]:
    """Two channels of unequal length [T, 2]; which of them leads decides the class, not their values."""
    rng = np.random.default_rng(seed)
    rows, labels = [], rng.integers(0, 2, n)
    for label in labels:
        time = np.arange(rng.integers(8, 25)) * 0.7 + rng.uniform(0, 6)
        pair = np.stack([np.sin(time), np.sin(time + (1.2 if label else -1.2))], axis=1)
        rows.append(100 + 30 * (pair + rng.normal(0, 0.1, pair.shape)))
    return rows, np.array(["first", "second"])[labels]


def brackets(n: int = 120, seed: int = 0) -> tuple[list[list[int]], list[int]]:
    """Ids of unequal length: whether the rare id 907 comes before 13 or after it."""
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for _ in range(n):
        row = rng.integers(-5, 6, rng.integers(3, 12)).tolist()
        late, early = sorted(rng.choice(len(row), 2, replace=False), reverse=True)
        label = int(rng.integers(2))
        row[early], row[late] = (907, 13) if label else (13, 907)
        rows.append(row)
        labels.append(label)
    return rows, labels


def test_features_of_unequal_length() -> None:
    """The order of steps in time must be seen, for features of a size that no network starts with."""
    X, y = waves()
    model = SequenceClassifier(**SMALL).fit(X, y)
    more, labels = waves(60, 1)
    assert model.input_ == "features"
    assert model.classes_.tolist() == ["first", "second"]
    assert model.score(more, labels) > 0.9
    assert len(model.model_.embedding.weight) == 2  # the training data are not kept
    assert not hasattr(model, "n_features_in_")


def test_ids_of_unequal_length() -> None:
    """Ids are names: negative and large ones too, and one that was never met is no error."""
    X, y = brackets()
    model = SequenceClassifier(**{**SMALL, "epochs": 25}).fit(X, y)
    more, labels = brackets(60, 1)
    assert model.input_ == "ids"
    assert model.score(more, labels) > 0.9
    assert model.predict_proba([[907, 10**12, 13], [5]]).shape == (2, 2)


def test_the_same_sequences_in_every_form() -> None:
    """Lists, arrays, object arrays, pandas and polars columns must not be read as different things."""
    X, y = brackets(40)
    same = [X, [np.array(row) for row in X], tuple(map(tuple, X))]
    column = np.empty(len(X), object)
    column[:] = X
    same += [column, pandas.Series(X), polars.Series(X), pandas.DataFrame({"row": X})["row"]]
    model = SequenceClassifier(**SMALL).fit(X, y)
    expected = model.predict_proba(X)
    for form in same:
        assert np.array_equal(model.predict_proba(form), expected)
        again = SequenceClassifier(**SMALL).fit(form, y)
        assert np.array_equal(again.predict_proba(X), expected)


def test_the_same_numbers_in_every_form() -> None:
    """[n, T] and [n, T, 1] are the same measurements; data frames and arrays are rows of equal length."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 6))
    y = (X[:, 0] > X[:, -1]).astype(int)
    model = SequenceClassifier(**SMALL).fit(X, y)
    assert model.n_features_in_ == 6
    expected = model.predict_proba(X)
    deep = SequenceClassifier(**SMALL).fit(X[:, :, None], y)
    assert np.array_equal(deep.predict_proba(X[:, :, None]), expected)
    for form in (X.tolist(), list(X), [row[:, None] for row in X], polars.DataFrame(X)):
        assert np.array_equal(model.predict_proba(form), expected)
    named = SequenceClassifier(**SMALL).fit(pandas.DataFrame(X, columns=list("abcdef")), y)
    assert named.feature_names_in_.tolist() == list("abcdef")
    assert np.array_equal(named.predict_proba(pandas.DataFrame(X, columns=list("abcdef"))), expected)
    assert model.predict_proba([X[0, :3], X[1]]).shape == (2, 2)  # a list may hold any lengths
    with pytest.raises(ValueError, match="X has 5 features, but SequenceClassifier is expecting 6"):
        model.predict(X[:, :5])


def test_a_sequence_alone_and_in_a_batch() -> None:
    """The same bits alone, in any batch and with an empty sequence beside it."""
    X, y = waves(30)
    model = SequenceClassifier(**SMALL).fit(X, y)
    together = model.predict_proba([*X, X[0][:0]])
    assert np.array_equal(np.concatenate([model.predict_proba([row]) for row in X]), together[:-1])


@pytest.mark.parametrize("pool", HEADS)
@pytest.mark.parametrize("cell", ["rnn", "gru", "peephole"])
def test_every_cell_and_head(cell: str, pool: str) -> None:
    """A head or cell that takes no numbers, or whose weights do not travel from training to predicting."""
    X, y = waves(24)
    settings = {**SMALL, "epochs": 3, "cell": cell, "pool": pool, "max_length": 25, "layers": 2}
    settings |= {"dropout": 0.1, "input_dropout": 0.1, "step_dropout": 0.1, "layer_dropout": 0.1}
    columns = SequenceClassifier(**settings).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(columns.sum(axis=1), 1, atol=1e-6)
    assert np.unique(columns[:, 0]).size == 24


def test_several_classes_weights_validation_and_seed() -> None:
    """What reaches the training loop: class and sample weights, a part held out, early stopping, the seed."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=rng.integers(2, 6)) + label for label in (0, 1, 2) for _ in range(20)]
    y = np.repeat(["c", "a", "b"], 20)
    plain = SequenceClassifier(**SMALL).fit(X, y)
    assert plain.classes_.tolist() == ["a", "b", "c"]
    weights = np.where(y == "a", 30.0, 1.0)
    heavy = SequenceClassifier(**SMALL).fit(X, y, sample_weight=weights)
    classed = SequenceClassifier(**SMALL, class_weight={"a": 30.0}).fit(X, y)
    assert heavy.predict_proba(X)[:, 0].mean() > plain.predict_proba(X)[:, 0].mean() + 0.1
    assert np.array_equal(heavy.predict_proba(X), classed.predict_proba(X))
    held = {"validation_fraction": 0.25, "best_by": "valid_loss", "patience": 2}
    watched = SequenceClassifier(**SMALL, **held).fit(X, y)
    assert watched.history_[0]["valid_loss"] is not None
    assert np.array_equal(SequenceClassifier(**SMALL).fit(X, y).predict_proba(X), plain.predict_proba(X))
    other = SequenceClassifier(**SMALL, random_state=1).fit(X, y)
    assert not np.array_equal(other.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize(
    ("X", "y", "settings", "message"),
    [
        ([[1], [2]], [0, 0], {}, "1 class"),
        ([[1], [2]], [0, 1, 1], {}, "inconsistent numbers of samples"),
        ([[1], [2]], None, {}, "requires y to be passed"),
        ([[1], [2]], [0, 1], {"input": "words"}, "expected one of auto, ids, features"),
        ([[1.5], [2]], [0, 1], {"input": "ids"}, "1.5 is none"),
        ([[1], [2]], [0, 1], {"class_weight": {7: 1.0}}, "class_weight names 7"),
        ([[1], [2]], [0, 1], {"pool": "flatten"}, "max_length"),
        ([[], []], [0, 1], {}, "none of the 2 sequences has a step"),
        ([[1], None], [0, 1], {}, "number 2 is None"),
        ([[1], "ab"], [0, 1], {}, "number 2 is 'ab'"),
        ([[1], ["ab"]], [0, 1], {}, "number 2 is of type"),
        ([[1.0], [np.nan]], [0, 1], {}, "number 2 holds NaN"),
        ([[[1, 2]], [[1]]], [0, 1], {}, "1 features, the first one of 2 features"),
        ([[[1, 2], [1]], [[1]]], [0, 1], {}, "unequal numbers of features"),
        ([np.zeros((1, 1, 1)), [1]], [0, 1], {}, "has the shape"),
        ("ab", [0, 1], {}, "not str"),
        ([[1], [2]], [0.5, 1.7], {}, "continuous"),
    ],
)
def test_what_cannot_be_used_is_named(X: Any, y: Any, settings: dict[str, Any], message: str) -> None:
    """Each mistake in one sentence, where it is, and never a traceback from deep below."""
    with pytest.raises(ValueError, match=message):
        SequenceClassifier(**settings).fit(X, y)


def test_other_steps_than_were_learned() -> None:
    """Two features where three were learned, words where numbers were."""
    X, y = waves(20)
    model = SequenceClassifier(**{**SMALL, "epochs": 1}).fit(X, y)
    with pytest.raises(DataError, match="3 features; this SequenceClassifier was fitted on steps of 2"):
        model.predict([np.zeros((4, 3))])
    with pytest.raises(DataError, match="number 1 is of type"):
        model.predict([["a", "b"]])
    assert "SequenceClassifier" in dir(gatelight)


@pytest.mark.parametrize("kind", ["ids", "features"])
def test_a_saved_model_gives_the_same_bits(kind: str, tmp_path: Path) -> None:
    """A scale or a known id lost in the folder would change the answers."""
    rng = np.random.default_rng(0)
    X: list[Any] = [rng.normal(3, 5, (rng.integers(2, 6), 2)) for _ in range(30)]
    if kind == "ids":
        X = [rng.integers(-5, 9, rng.integers(2, 6)) for _ in range(30)]
    y = ["a", "b", "c"] * 10
    model = SequenceClassifier(**{**SMALL, "epochs": 2}).fit(X, y)
    model.save(tmp_path / "m")
    model.save(tmp_path / "m")  # replaces it
    again = load(tmp_path / "m")
    assert isinstance(again, SequenceClassifier)
    assert np.array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.predict(X).tolist() == model.predict(X).tolist()
    assert again.get_params() == model.get_params()
    file = tmp_path / "m" / "config.json"
    config = json.loads(file.read_text())
    for damage in (
        {"input": "pictures"},
        {"known": [3, 1]},
        {"classes": ["b", "a"]},
        {"mean": [0.0], "known": [1]},
        {"model": config["model"] | {"hidden": 10**6}},
    ):
        file.write_text(json.dumps(config | damage))
        with pytest.raises(ModelFileError):
            load(tmp_path / "m")
