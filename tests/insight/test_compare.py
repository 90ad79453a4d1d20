"""Comparing variants: the same texts for all, figures by hand, and settings refused before anything runs."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_reviews import TINY, make_reviews

from gatelight import TextClassifier, WordVectors
from gatelight.errors import DataError
from gatelight.insight.compare import Material, compare, grid
from gatelight.text.typos import misspell


@pytest.fixture(scope="module")
def material() -> Material:
    training, test = make_reviews(120, 1), make_reviews(60, 2)
    base = TextClassifier(**{**TINY, "epochs": 1}).get_params(deep=False)
    return Material(training.texts, training.labels, training.films, test.texts, test.labels, base, (0.3,))


def test_a_grid_has_every_combination_in_order() -> None:
    """The first combination is the one compared with: its place must not be chance."""
    made = grid({"hidden_size": [4, 8], "pool": ["max", "mean"]})
    assert made[0] == {"hidden_size": 4, "pool": "max"}
    assert made == [{"hidden_size": h, "pool": p} for h in (4, 8) for p in ("max", "mean")]
    for strange in ({"hidden_size": []}, {"hidden_size": [4, 4]}):
        with pytest.raises(DataError, match="hidden_size is to vary over"):
            grid(strange)


def test_rows_say_what_single_runs_say(material: Material, tmp_path: Path) -> None:
    """Accuracy, spread, size and difference of the table must be those of models trained by hand."""
    variants = grid({"unknown": ["drop", "subword"]})
    rows = compare(material, variants, [3, 4], tmp_path, jobs=1)
    assert [(row.typos, row.variant["unknown"]) for row in rows] == [
        (0.0, "drop"), (0.0, "subword"), (0.3, "drop"), (0.3, "subword"),
    ]  # fmt: skip
    scores: dict[Any, list[float]] = {}
    for variant in ("drop", "subword"):
        for seed in (3, 4):
            model = TextClassifier(**{**material.base, "unknown": variant, "random_state": seed})
            model.fit(material.texts, material.labels, groups=material.groups)
            for rate in (0.0, 0.3):
                texts = [misspell(text, rate) for text in material.test_texts]
                scores.setdefault((rate, variant), []).append(model.score(texts, material.test_labels))
            size = sum(p.numel() for p in model.model_.parameters())
        assert {row.parameters for row in rows if row.variant["unknown"] == variant} == {size}
    for row in rows:
        by_hand = np.array(scores[row.typos, row.variant["unknown"]])
        assert (row.accuracy, row.spread) == (
            pytest.approx(by_hand.mean()),
            pytest.approx(by_hand.std(ddof=1)),
        )
        if row.variant["unknown"] == "drop":
            assert row.against is None
        else:
            first = np.mean(scores[row.typos, "drop"])
            assert row.against is not None
            assert row.against.mean == pytest.approx(by_hand.mean() - first)
            assert row.to_dict()["includes_zero"] == (row.against.low <= 0 <= row.against.high)
        assert row.unknown_fraction > 0 if row.typos else row.unknown_fraction < 0.1
    assert compare(material, variants, [3, 4], tmp_path, jobs=1) == rows
    assert len(list(tmp_path.glob("runs/*.json"))) == 4


def test_other_texts_settings_or_typos_are_another_comparison(material: Material) -> None:
    """A result found for other texts would be a lie in this table."""
    known = {material.identity({})}
    for change in (
        {"texts": [*material.texts[:-1], "other"]},
        {"test_labels": material.test_labels[::-1]},
        {"base": {**material.base, "epochs": 7}},
        {"typos": (0.2,)},
        {"groups": None},
    ):
        known.add(Material(**{**public(material), **change}).identity({}))
    assert len(known) == 6
    same = Material(**{**public(material), "base": {**material.base, "threads": 7}})
    assert same.identity({}) in known


def test_vectors_trained_again_are_another_comparison(material: Material, tmp_path: Path) -> None:
    """Under the same path may lie other vectors: yesterday's result is not theirs."""
    words = sorted({word for text in material.texts for word in text.split()})
    path = tmp_path / "mine.txt"
    variants = [{"vectors": None}, {"vectors": str(path)}]
    before: list[bool] = []
    for seed in (0, 0, 1):
        matrix = np.random.default_rng(seed).normal(size=(len(words), 4)).astype(np.float32)
        WordVectors(words, matrix).save(path)
        fresh = Material(**public(material))
        compare(
            fresh, variants, [0], tmp_path, jobs=1, on_run=lambda trial, record, known: before.append(known)
        )
    assert before == [False, False, True, True, True, False]


def test_test_texts_that_are_trained_on_are_left_out(material: Material) -> None:
    """What every variant has learnt by heart tells nothing of their difference."""
    known = material.texts[:5]
    mixed = Material(**{**public(material), "test_texts": [*known, *material.test_texts],
                        "test_labels": [*material.labels[:5], *material.test_labels]})  # fmt: skip
    assert (mixed.trained_on, mixed.test_texts) == (5, material.test_texts)
    assert mixed.test_labels == material.test_labels
    only = Material(**{**public(material), "test_texts": known, "test_labels": material.labels[:5]})
    assert (only.trained_on, only.test_texts) == (5, known)


def public(material: Material) -> dict[str, Any]:
    return {f.name: getattr(material, f.name) for f in fields(material) if f.init and f.name[0] != "_"}


def test_what_cannot_be_is_refused_before_anything_is_trained(material: Material, tmp_path: Path) -> None:
    """The fifth variant's misspelt value must not be found after an hour."""
    good = {"pool": "max"}
    for variants, message in (
        ([good], "1 variant; give two"),
        ([good, {"pool": "most"}], "pool is 'most'"),
        ([good, {"hidden_size": 0}], "hidden_size is 0"),
    ):
        with pytest.raises(DataError, match=message):
            compare(material, variants, [0], tmp_path, jobs=1)
    with pytest.raises(DataError, match="no seeds"):
        compare(material, [good, {"pool": "mean"}], [], tmp_path, jobs=1)
    assert not list(tmp_path.iterdir())
