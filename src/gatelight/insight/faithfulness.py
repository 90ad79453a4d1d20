"""How far explanations can be trusted: what a model says without the words they name, or of these alone.

Comprehensiveness and sufficiency at 1, 5, 10, 20 and 50 % of a text's words, averaged (AOPC), and agreement
with people's rationales, as ERASER measures them (DeYoung et al. 2020). Words are deleted, not masked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from gatelight.errors import DataError
from gatelight.estimators.explaining import METHODS, POINTS, Question, explain

if TYPE_CHECKING:
    from gatelight.estimators.baseline import Baseline
    from gatelight.estimators.inside import Inside

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
CURVE = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
RANDOM, TFIDF = "random", "tf-idf"
RESAMPLES = 1000

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A mean over texts and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Floats, seed: int = 0) -> Estimate:
        """Of one value per text [n], at least one."""
        draw = np.random.default_rng(seed)
        means = [values[draw.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)]
        low, high = np.quantile(means, [0.025, 0.975])
        return cls(float(values.mean()), float(low), float(high))


@dataclass(frozen=True)
class Trusted:
    """One order of words: what is lost without its first words (more is better), and with them alone (less).

    `curve` is the mean probability with the first `CURVE` shares of the words deleted. `precision` is the
    mean average precision of the order against people's rationales, `f1` that of as many words as they
    marked.
    """

    method: str
    comprehensiveness: Estimate
    sufficiency: Estimate
    curve: tuple[float, ...]
    precision: Estimate | None = None
    f1: Estimate | None = None


@dataclass(frozen=True)
class Faithfulness:
    """How far each order of words can be trusted, on `texts` texts, `rationales` of which people marked."""

    texts: int
    rationales: int
    methods: list[Trusted]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        return {**asdict(self), "shares": list(SHARES), "curve_shares": list(CURVE)}


def faithfulness(
    model: Inside,
    texts: Sequence[str],
    *,
    methods: Sequence[str] = METHODS,
    baseline: Baseline | None = None,
    rationales: Sequence[Mask | None] | None = None,
    points: int = POINTS,
    seed: int = 0,
    on_text: Callable[[int], object] = lambda done: None,
) -> Faithfulness:
    """Judge every text without, and with only, the words that each method ranks first for its own answer.

    Beside the methods stand a random order and, with a `baseline`, that of its TF-IDF weights. `rationales`
    say of each text which of its tokens people marked, bool [tokens]. Raises DataError where no text holds a
    token.
    """
    draw = np.random.default_rng(seed)
    number_of = {} if baseline is None else {term: k for k, term in enumerate(baseline.terms)}
    names = [*methods, *([TFIDF] if baseline is not None else []), RANDOM]
    lost: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    curves: dict[str, list[Floats]] = {name: [] for name in names}
    agreed: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for number, text in enumerate(texts):
        question = model.question(text)
        size = len(question.ids)
        if not size:
            continue
        scores = {name: explain(question, name, points).contributions for name in methods}
        scores[RANDOM] = draw.random(size)
        if baseline is not None:
            scores[TFIDF] = tfidf_weights(baseline, question, number_of)
        for name, (comprehensive, sufficient, curve) in _curves(question, scores).items():
            lost[name].append((comprehensive, sufficient))
            curves[name].append(curve)
        marked = None if rationales is None else rationales[number]
        if marked is not None and marked[question.steps.places].any():
            for name in names:
                agreed[name].append(agreement(scores[name], marked[question.steps.places]))
        on_text(number + 1)
    if not lost[RANDOM]:
        raise DataError("no text holds a token that the model reads; give texts with words")

    def trusted(name: str) -> Trusted:
        both, agrees = np.array(lost[name]), np.array(agreed[name])
        people = [Estimate.of(agrees[:, k], seed) for k in (0, 1)] if len(agrees) else [None, None]
        mean_curve = tuple(np.mean(curves[name], axis=0).tolist())
        return Trusted(
            name, Estimate.of(both[:, 0], seed), Estimate.of(both[:, 1], seed), mean_curve, *people
        )

    return Faithfulness(len(lost[RANDOM]), len(agreed[RANDOM]), list(map(trusted, names)))


def _curves(question: Question, scores: dict[str, Floats]) -> dict[str, tuple[float, float, Floats]]:
    """Of each order: comprehensiveness, sufficiency and the deletion curve, all judged together."""
    size = len(question.ids)
    deleted = sorted({*SHARES, *CURVE})
    masks = []
    for order in scores.values():
        rank = np.empty(size, np.int64)
        rank[np.argsort(-order, kind="stable")] = np.arange(size)
        masks += [rank >= np.ceil(share * size) for share in deleted]
        masks += [rank < np.ceil(share * size) for share in SHARES]
    left = expit(question.without(np.array(masks))).reshape(len(scores), -1)
    found = {}
    for name, row in zip(scores, left, strict=True):
        without = dict(zip(deleted, row[: len(deleted)].tolist(), strict=True))
        whole = without[0.0]
        comprehensive = float(np.mean([whole - without[share] for share in SHARES]))
        sufficient = float(np.mean(whole - row[len(deleted) :]))
        found[name] = comprehensive, sufficient, np.array([without[share] for share in CURVE])
    return found


def tfidf_weights(baseline: Baseline, question: Question, number: Mapping[str, int]) -> Floats:
    """What each token's word adds to the baseline's score of the class, [T]; 0 for words it does not know.

    `number` is that of each of the baseline's terms.
    """
    weights = baseline.coefficients
    row = weights[0] * (1 if question.target else -1) if len(weights) == 1 else weights[question.target]
    places = [number.get(token.lower()) for token in question.steps.tokens]
    return np.array([0.0 if k is None else float(row[k] * baseline.idf[k]) for k in places])


def agreement(scores: Floats, marked: Mask) -> tuple[float, float]:
    """Average precision of an order against marked words, and F1 of as many of its first words."""
    order = np.argsort(-scores, kind="stable")
    hits = marked[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    many = int(marked.sum())
    return float(precision[hits].mean()), float(hits[:many].sum() / many)
