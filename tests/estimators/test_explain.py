"""Contributions of words, against what the model itself says when it is asked one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from made_up_reviews import TINY, make_reviews

from gatelight import TextClassifier
from gatelight.errors import DataError
from gatelight.estimators.explain import METHODS
from gatelight.models.contributions import log_odds, path_gradients
from gatelight.models.heads import HEADS
from gatelight.nn import pack

TEXT = "the film is not wonderful . its plot is a mess !"
FLOAT32 = 2e-5
"""Log odds here are below 5, and probabilities from which they are taken have 24 bits."""
PATH = 2e-3
"""What 64 points leave of a path's integral; a maximum's gradient jumps where another step wins."""
SLOPE, STEP = 2e-3, 1e-2
"""Central differences of a float32 score: the step's own error and 1e-7 / STEP of rounding."""


def fitted(kind: str = "two", **settings: Any) -> TextClassifier:
    reviews = make_reviews(60, 3)
    labels: list[Any] = reviews.labels
    if kind == "three":
        labels = [("a", "b", "c")[k % 3] for k in range(60)]
    if kind == "several":
        labels = [(("a", "b"), ("b",), ())[k % 3] for k in range(60)]
    how = TINY | {"epochs": 1, "learning_rate": 0.1, "random_state": 5} | settings
    return TextClassifier(**how).fit(reviews.texts, labels)


def odds(model: TextClassifier, text: str, target: Any) -> float:
    fraction = float(model.predict_proba([text])[0, list(model.classes_).index(target)])
    return float(np.log(fraction) - np.log1p(-fraction))


@pytest.fixture(scope="module", params=list(HEADS))
def by_pool(request: pytest.FixtureRequest) -> TextClassifier:
    return fitted(pool=request.param)


@pytest.mark.parametrize("kind", ["two", "three", "several"])
def test_occlusion_is_what_the_model_says_of_the_text_without_the_word(kind: str) -> None:
    """An effect of the wrong word, sign or class would explain another prediction."""
    model = fitted(kind)
    words = TEXT.split()
    for target in model.classes_.tolist():
        found = model.explain(TEXT, "occlusion", target=target)
        assert found.steps.tokens == words
        whole = odds(model, TEXT, target)
        assert found.score == pytest.approx(whole, abs=FLOAT32)
        left = [odds(model, " ".join(words[:k] + words[k + 1 :]), target) for k in range(len(words))]
        np.testing.assert_allclose(found.contributions, whole - np.array(left), atol=2 * FLOAT32)


def test_integrated_gradients_add_up_to_the_difference_from_the_baseline(by_pool: TextClassifier) -> None:
    """Completeness is what the method is for; what is missing must be small, and is what the gap says."""
    found = by_pool.explain(TEXT)
    assert found.method == "integrated-gradients"
    assert found.base is not None
    assert found.gap is not None
    assert abs(found.score - found.base) > 10 * PATH
    assert abs(found.gap) < PATH
    assert found.gap == pytest.approx(found.score - found.base - found.contributions.sum(), abs=1e-9)


def test_gradient_x_input_is_the_slope_of_the_score_as_a_word_grows(by_pool: TextClassifier) -> None:
    """A gradient of another row or through a dropped layer would still look like a gradient."""
    question = by_pool.question(TEXT)
    rows = torch.from_numpy(path_gradients(by_pool.model_, question.ids, question.target, np.ones(1))[0])
    packing = pack([len(rows)])

    def score(factor: float, word: int) -> float:
        scaled = rows.clone()
        scaled[word] *= factor
        with torch.no_grad():
            hidden, _ = by_pool.model_.memory[0].packed(scaled, packing)
            return float(
                log_odds(by_pool.model_.logits(hidden, packing), question.target, by_pool.model_.config)
            )

    slopes = [(score(1 + STEP, k) - score(1 - STEP, k)) / (2 * STEP) for k in range(len(rows))]
    found = by_pool.explain(TEXT, "gradient-x-input")
    np.testing.assert_allclose(found.contributions, slopes, atol=SLOPE)
    assert found.gap is None


@pytest.mark.parametrize("kind", ["two", "several"])
@pytest.mark.parametrize("pool", list(HEADS))
def test_the_pools_shares_add_up_exactly(pool: str, kind: str) -> None:
    """The decomposition of what is linear leaves nothing over, whatever the pool."""
    model = fitted(kind, pool=pool, cell="gru")
    for target in model.classes_.tolist():
        found = model.explain(TEXT, "pool", target=target)
        assert found.score == pytest.approx(odds(model, TEXT, target), abs=FLOAT32)
        assert found.gap == pytest.approx(0, abs=FLOAT32)
    of_three = fitted("three", pool=pool).explain(TEXT, "pool")
    assert of_three.gap == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("settings", [{}, {"unknown": "subword"}, {"unknown": "drop"}, {"max_length": 4}])
def test_a_contribution_for_each_word_that_is_read_even_for_none(
    method: str, settings: dict[str, Any]
) -> None:
    """Words cut off or left out have no contribution; numbers beside the wrong words would mislead."""
    model = fitted(**settings)
    found = model.explain("qwertz the film is awful indeed, a mess", method)
    tokens = ["qwertz", "the", "film", "is", "awful", "indeed", ",", "a", "mess"]
    assert [tokens[k] for k in found.steps.places] == found.steps.tokens
    assert len(found.contributions) == len(found.steps)
    if settings == {"unknown": "drop"}:
        assert "qwertz" not in found.steps.tokens
    if settings == {"max_length": 4}:
        assert found.steps.tokens == ["qwertz", "the", "a", "mess"]
    assert found.steps.known == [token in model.vocabulary_ for token in found.steps.tokens]
    assert len(model.explain("", method).contributions) == 0


def test_what_cannot_be_explained_is_said() -> None:
    """A misspelt class or method must not be explained as another."""
    model = fitted()
    with pytest.raises(DataError, match="no method 'lime'; choose one of: integrated-gradients"):
        model.explain(TEXT, "lime")
    with pytest.raises(DataError, match="no class 'good'; the model has negative, positive"):
        model.explain(TEXT, target="good")


# A task whose true reasons are known: signed numbers are added up.
FILLERS = ["the", "of", "and", "it", "so", "then", "here"]
NUMBERS = {f"{sign}{k}": (1 if sign == "plus" else -1) * k for sign in ("plus", "minus") for k in range(1, 6)}


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
    ).fit(texts, labels)  # fmt: skip
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
