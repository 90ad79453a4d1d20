"""The search for units and what gates are worth: planted units, scikit-learn's and SciPy's own answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from made_up_reviews import TINY, make_reviews
from scipy.stats import false_discovery_control, rankdata
from sklearn.metrics import roc_auc_score

from gatelight import TextClassifier
from gatelight.errors import DataError
from gatelight.estimators.tracing import Steps
from gatelight.insight.ablation import ablate, gate_means
from gatelight.insight.properties import Property, label, standard, topic
from gatelight.insight.units import auc, benjamini_hochberg, search

WORDS = ["film", "plot", '"', "(", ")", "not", "good", ",", ".", "the", "a"]


@dataclass
class Planted:
    """What looks like a trace: unit 3 of direction 1 is high within quotes, unit 5 low in each third text."""

    steps: list[Steps]
    first: int
    names = ("hidden_state",)
    cell, layers, directions, hidden_size = "rnn", 1, 2, 8

    def __len__(self) -> int:
        return len(self.steps)

    def of_text(self, text: int) -> dict[str, np.ndarray]:
        tokens = self.steps[text].tokens
        values = np.random.default_rng(self.first + text).normal(size=(len(tokens), 1, 2, 8))
        quoted = next(one for one in standard() if one.name == "inside quotes").of(0, tokens)
        values[:, 0, 1, 3] += 4 * quoted
        values[:, 0, 0, 5] -= 2 * ((self.first + text) % 3 == 0)
        return {"hidden_state": values.astype(np.float32)}


class Model:
    def traces(self, texts: list[str]) -> Iterator[Any]:
        for first in range(0, len(texts), 7):
            block = [text.split() for text in texts[first : first + 7]]
            yield Planted([Steps(t, list(range(len(t))), [True] * len(t)) for t in block], first)


def texts_of(n: int) -> list[str]:
    draw = np.random.default_rng(4)
    return [" ".join(draw.choice(WORDS, size=draw.integers(5, 40))) for _ in range(n)]


def test_planted_units_are_found_and_nothing_where_there_is_nothing() -> None:
    """A search that always finds a unit answers no question."""
    texts = texts_of(90)
    third = [k % 3 == 0 for k in range(90)]
    chance = [bool(x) for x in np.random.default_rng(8).random(90) < 0.5]
    wanted = [*standard(), label("third", third), label("chance", chance), topic(["film"]), topic(["absent"])]
    found = search(Model(), texts, wanted, shuffles=100)  # type: ignore[arg-type]
    assert (found.texts, found.units) == (90, 16)
    assert found.skipped == ["long sentence", "after absent"] or found.skipped == ["after absent"]
    by_name = {one.property: one for one in found.found}
    quotes, third_one = by_name["inside quotes"], by_name["third"]
    assert (quotes.layer, quotes.direction, quotes.unit) == (0, 1, 3)
    assert quotes.auc > 0.95
    assert quotes.accuracy > 0.95 > quotes.majority
    assert (third_one.direction, third_one.unit) == (0, 5)
    assert third_one.auc < 0.1
    assert third_one.units == 1
    assert sum(third_one.with_it) + sum(third_one.without_it) == found.tokens
    assert by_name["chance"].units == 0
    assert by_name["after a negation"].units == 0
    with pytest.raises(DataError, match="a rnn has no 'cell_state'; it has hidden_state"):
        search(Model(), texts, wanted, quantity="cell_state")  # type: ignore[arg-type]


def test_areas_and_discoveries_are_those_of_other_libraries() -> None:
    """Ties count half; a p-value at the very level counts."""
    draw = np.random.default_rng(2)
    states = draw.integers(0, 9, size=(500, 4)).astype(np.float32)
    masks = draw.random((3, 500)) < 0.3
    found = auc(np.ascontiguousarray(rankdata(states, axis=0).T, np.float32), masks)
    expected = [[roc_auc_score(mask, states[:, k]) for mask in masks] for k in range(4)]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    p = np.concatenate([draw.random(200), draw.random(30) * 1e-3])
    assert np.array_equal(benjamini_hochberg(p, 0.05), false_discovery_control(p) <= 0.05)
    assert not benjamini_hochberg(np.array([0.9, 0.2]), 0.05).any()


@pytest.mark.parametrize(
    ("name", "text", "has_it"),
    [
        ("inside quotes", 'he said " so what " and " left', "000110000"),
        ("inside brackets", "a ( b ) c [ d e", "00100000"),
        ("after a negation", "it is not a good film , or good", "000111000"),
        ("second half", "a b c d e", "00011"),
    ],
)
def test_properties_of_a_sentence_worked_out_by_hand(name: str, text: str, has_it: str) -> None:
    """A property one token off looks for another unit."""
    one: Property = next(one for one in standard() if one.name == name)
    assert "".join(str(int(x)) for x in one.of(0, text.split())) == has_it
    assert topic(["Film", "plot"]).of(0, ["the", "film", "is", "a", "plot"]).tolist() == [False, *[True] * 4]
    long = next(one for one in standard() if one.name == "long sentence").of(0, (["a"] * 22 + ["."] + ["b"]))
    assert long.tolist() == [False] * 20 + [True] * 3 + [False]


def test_ablation_is_what_a_model_with_the_gate_held_scores() -> None:
    """A mean over the wrong axis, or a gate of the wrong layer, would still give a table."""
    reviews = make_reviews(80, 3)
    how = TINY | {"layers": 2, "epochs": 8, "cell": "gru"}
    model = TextClassifier(**how).fit(reviews.texts, reviews.labels)
    found = ablate(model, reviews.texts, reviews.labels)
    assert found.accuracy == model.score(reviews.texts, reviews.labels)
    assert len(found.held) == 2 * 2 * 3
    frame = model.trace(reviews.texts).to_dataframe()
    means = gate_means(model, reviews.texts)
    by_hand = frame.groupby(["layer", "direction", "unit"]).update_gate.mean()
    np.testing.assert_allclose(means["update_gate", 1].ravel(), by_hand[1].to_numpy(), atol=1e-6)
    shut = next(one for one in found.held if (one.gate, one.layer, one.held) == ("update_gate", 1, "shut"))
    held = model.with_gates(layer=1, update_gate=0.0)
    assert shut.accuracy == held.score(reviews.texts, reviews.labels)
    assert shut.change == pytest.approx(shut.accuracy - found.accuracy)
    assert shut.low <= shut.change <= shut.high
    plain = TextClassifier(**TINY | {"epochs": 1, "cell": "rnn"}).fit(reviews.texts, reviews.labels)
    assert ablate(plain, reviews.texts, reviews.labels).held == []
    with pytest.raises(DataError, match="80 texts and 3 labels"):
        ablate(model, reviews.texts, reviews.labels[:3])
