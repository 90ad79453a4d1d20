"""Faithfulness: against probabilities asked for one by one, and on a task whose true reasons are known."""

from __future__ import annotations

import numpy as np
import pytest

from gatelight import TextClassifier
from gatelight.errors import DataError
from gatelight.estimators.explain import METHODS
from gatelight.insight.faithfulness import FRACTIONS, faithfulness

FILLERS = ["the", "of", "and", "it", "so", "then", "here"]
NUMBERS = {f"{sign}{k}": (1 if sign == "plus" else -1) * k for sign in ("plus", "minus") for k in range(1, 6)}
SAME = 2e-6
"""Log odds are turned into probabilities, float32 probabilities are not: their last bits differ."""


def sums(n: int, seed: int) -> tuple[list[str], list[str]]:
    """Signed numbers between words of no meaning, and the sign of their sum."""
    draw = np.random.default_rng(seed)
    texts: list[str] = []
    while len(texts) < n:
        words = [str(draw.choice(list(NUMBERS) if draw.random() < 0.3 else FILLERS)) for _ in range(14)]
        if abs(total(words)) > 2:
            texts.append(" ".join(words))
    return texts, ["above" if total(text.split()) > 0 else "below" for text in texts]


def total(words: list[str]) -> int:
    return sum(NUMBERS.get(word, 0) for word in words)


@pytest.fixture(scope="module")
def adder() -> TextClassifier:
    """A model that has learned to add: over many steps, for only the last state is read."""
    texts, labels = sums(1500, 1)
    model = TextClassifier(
        embedding_dim=16, hidden_size=16, pool="last", bidirectional=False, min_count=1,
        embedding_dropout=0.0, wide=False, vectors=None,
        word_dropout=0.05, epochs=8, batch_size=32, learning_rate=0.02, validation_fraction=0.1,
        random_state=2,
    ).fit(texts, labels, baseline=True)  # fmt: skip
    assert model.score(*sums(300, 2)) > 0.95
    return model


@pytest.mark.parametrize("method", [name for name in METHODS if name != "pool"])
def test_the_true_tokens_of_a_known_task_are_ranked_first(adder: TextClassifier, method: str) -> None:
    """An explanation that cannot find the numbers where only numbers count is worth nothing elsewhere."""
    found, signs = [], []
    for text in sums(40, 3)[0]:
        words = text.split()
        parts = adder.explain(text, method, target="above").contributions
        numbers = np.array([word in NUMBERS for word in words])
        first = np.argsort(-np.abs(parts), kind="stable")[: numbers.sum()]
        found.append(numbers[first].mean())
        signs += [
            np.sign(NUMBERS[w]) == np.sign(c) for w, c in zip(words, parts, strict=True) if w in NUMBERS
        ]
    assert np.mean(found) > 0.9
    assert np.mean(signs) > 0.9


def test_faithful_orders_are_told_from_random_ones(adder: TextClassifier) -> None:
    """A measure by which chance does as well as the truth would recommend anything."""
    by_name = {one.method: one for one in faithfulness(adder, sums(40, 3)[0], baseline=adder.baseline_)}
    assert set(by_name) == {*METHODS, "tf-idf", "random"}
    chance = by_name["random"]
    for name in ("integrated-gradients", "occlusion", "tf-idf"):
        assert by_name[name].comprehensiveness.low > chance.comprehensiveness.high
        assert by_name[name].sufficiency.high < chance.sufficiency.low


def test_the_areas_are_those_of_probabilities_asked_for_one_by_one(adder: TextClassifier) -> None:
    """A fraction rounded down or the words kept in place of those deleted would still give numbers."""
    text = sums(1, 5)[0][0]
    words, place = text.split(), adder.predict_proba([text])[0].argmax()
    order = np.argsort(-adder.explain(text, "occlusion").contributions, kind="stable")

    def probability(chosen: list[int]) -> float:
        return float(adder.predict_proba([" ".join(words[k] for k in sorted(chosen))])[0, place])

    whole = probability(list(range(14)))
    counts = [int(np.ceil(fraction * 14)) for fraction in FRACTIONS]
    assert counts == [1, 1, 2, 3, 7]
    found = faithfulness(adder, [text, ""], methods=["occlusion"])[0]
    expected = np.mean([whole - probability(order[k:].tolist()) for k in counts])
    assert found.comprehensiveness.mean == pytest.approx(expected, abs=SAME)
    expected = np.mean([whole - probability(order[:k].tolist()) for k in counts])
    assert found.sufficiency.mean == pytest.approx(expected, abs=SAME)
    with pytest.raises(DataError, match="no text holds a token"):
        faithfulness(adder, [""])
