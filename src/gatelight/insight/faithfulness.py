"""How far explanations can be trusted: what a model says without the words they name, or of these alone.

Comprehensiveness and sufficiency at 1, 5, 10, 20 and 50 % of a text's words, averaged (AOPC), as ERASER
measures them (DeYoung et al. 2020). Words are deleted, not masked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from gatelight.errors import DataError
from gatelight.estimators.explain import METHODS, POINTS, Question, explain
from gatelight.insight.paired import Difference, paired_difference

if TYPE_CHECKING:
    from gatelight.estimators.ngram_classifier import NgramClassifier
    from gatelight.estimators.predictor import TextPredictions

FRACTIONS = (0.01, 0.05, 0.1, 0.2, 0.5)
RANDOM, TFIDF = "random", "tf-idf"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Faithfulness:
    """What is lost without the first words of an order (more is better), and with them alone (less)."""

    method: str
    comprehensiveness: Difference
    sufficiency: Difference


def faithfulness(
    model: TextPredictions,
    texts: Sequence[str],
    *,
    methods: Sequence[str] = METHODS,
    baseline: NgramClassifier | None = None,
    points: int = POINTS,
    seed: int = 0,
    on_text: Callable[[int], object] = lambda done: None,
) -> list[Faithfulness]:
    """Classify every text without, and with only, the words that each method ranks first for its own answer.

    Beside the methods stand a random order and, with a `baseline`, that of its TF-IDF weights. Raises
    DataError where no text holds a token.
    """
    draw = np.random.default_rng(seed)
    number_of = {} if baseline is None else {term: k for k, term in enumerate(baseline.terms)}
    names = [*methods, *([TFIDF] if baseline is not None else []), RANDOM]
    lost: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number, text in enumerate(texts):
        question = model.question(text)
        if len(question.ids):
            for name in names:
                if name == RANDOM:
                    scores = draw.random(len(question.ids))
                elif name == TFIDF and baseline is not None:
                    scores = tfidf_weights(baseline, question, number_of)
                else:
                    scores = explain(question, name, points).contributions
                lost[name].append(_lost(question, scores))
            on_text(number + 1)
    if not lost[RANDOM]:
        raise DataError("no text holds a token that the model reads; give texts with words")
    found = []
    for name, both in lost.items():
        means = (paired_difference(of[None], np.zeros((1, len(of))), seed=seed) for of in np.array(both).T)
        found.append(Faithfulness(name, *means))
    return found


def _lost(question: Question, scores: Floats) -> tuple[float, float]:
    """Comprehensiveness and sufficiency of one order of one text's words."""
    size = len(scores)
    rank = np.empty(size, np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(size)
    first = [rank < np.ceil(fraction * size) for fraction in FRACTIONS]
    left = expit(question.without(np.array([rank >= 0, *(~mask for mask in first), *first])))
    without, alone = left[1 : 1 + len(first)], left[1 + len(first) :]
    return float(left[0] - without.mean()), float(left[0] - alone.mean())


def tfidf_weights(baseline: NgramClassifier, question: Question, number: Mapping[str, int]) -> Floats:
    """What each token's word adds to the baseline's score of the class, [T]; 0 for words it does not know.

    `number` is that of each of the baseline's terms.
    """
    weights = baseline.coefficients
    row = weights[0] * (1 if question.target else -1) if len(weights) == 1 else weights[question.target]
    places = [number.get(token.lower()) for token in question.steps.tokens]
    return np.array([0.0 if k is None else float(row[k] * baseline.idf[k]) for k in places])
