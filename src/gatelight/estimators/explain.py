"""What each word of a text contributed to the score of a class; the arithmetic is in `models`.

Integrated gradients: Sundararajan, Taly & Yan 2017. Occlusion here deletes the word (Li, Monroe & Jurafsky
2016): a text without a word is a text that a model can be given, one with a hole in it need not be.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.tracing import Steps
from gatelight.estimators.wide import TextNgrams
from gatelight.models.subwords import Subwords

if TYPE_CHECKING:
    from gatelight.models.classifier import Classifier
    from gatelight.models.contributions import Beside

METHODS = ("integrated-gradients", "gradient-x-input", "occlusion", "pool")
POINTS = 64  # of the path of integrated gradients
BASES = {
    "integrated-gradients": "a text as long whose word vectors are all zero, as that of PAD is",
    "gradient-x-input": "none: the contributions are no fractions of anything",
    "occlusion": "for each word, the text without it",
    "pool": "the bias of the dense layer",
}

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each step of a text contributed to the score of a class, float64 [T]; positive speaks for it.

    `score` is the class's log odds in nats (of "pool" with more than two classes: its logit less the mean of
    the others'), `base` the score of the baseline, `gap` = score − base − Σ contributions, which is zero
    where nothing was lost (None where the method promises no sum).

    Of a wide model `ngrams` holds what each n-gram contributed, which the sum includes. Of more than two
    classes that is its part of the integrated gradients or, beside occlusion, its gradient at the text.
    """

    steps: Steps
    method: str
    target: Any
    probability: float
    score: float
    base: float | None
    contributions: Floats
    gap: float | None
    ngrams: tuple[tuple[str, float], ...] | None = None

    @property
    def baseline(self) -> str:
        """What the text is compared with, in words."""
        return BASES[self.method]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values."""
        words = zip(self.steps.tokens, self.steps.known, self.contributions.tolist(), strict=True)
        return {
            "target": self.target,
            "probability": self.probability,
            "method": self.method,
            "score": self.score,
            "base": self.base,
            "baseline": self.baseline,
            "gap": self.gap,
            "words": [{"token": t, "known": known, "contribution": c} for t, known, c in words],
        } | (
            {}
            if self.ngrams is None
            else {"ngrams": [{"ngram": n, "contribution": c} for n, c in self.ngrams]}
        )


@dataclass(frozen=True, eq=False)
class Question:
    """One text as a model reads it, and the class that is asked about."""

    model: Classifier
    steps: Steps
    ids: NDArray[np.int32]
    subwords: Subwords | None
    target: int
    label: Any
    probability: float

    def without(self, masks: NDArray[np.bool_], beside: Beside | None = None) -> Floats:
        """The log odds [K] of what is left of the text under masks [K, T], True for what stays."""
        from gatelight.models import contributions as of_ids

        return of_ids.masked_log_odds(self.model, self.ids, masks, self.target, self.subwords, beside)


def explain(
    question: Question, method: str = METHODS[0], points: int = POINTS, ngrams: TextNgrams | None = None
) -> Attribution:
    """Return the contribution of every word that is read; raises DataError for an unknown method.

    With the n-grams of the text, those of the whole that the model and they make up.
    """
    from gatelight.models import contributions as of_ids

    if method not in METHODS:
        raise DataError(f"there is no method {method!r}; choose one of: {', '.join(METHODS)}")
    if points < 1:
        raise DataError(f"points is {points}; expected at least 1")
    model, ids, size = question.model, question.ids, len(question.ids)
    config, target = model.config, question.target
    beside = of_ids.Beside.nothing(config)
    if ngrams is not None:
        beside = of_ids.Beside(ngrams.recurrent, ngrams.start, ngrams.parts)
    score = float(question.without(np.ones((1, size), np.bool_), beside)[0])
    base: float | None = None
    if method == "pool":
        weight = of_ids.choice(target, config)
        contributions, base = of_ids.pooled_contributions(model, ids, target, question.subwords)
        contributions, base = beside.scale * contributions, beside.scale * base + float(weight @ beside.start)
        if config.outputs > 1 and not config.multilabel:
            score = base + float(contributions.sum() + (beside.parts @ weight).sum())
    else:
        whole_path = method == "integrated-gradients"
        path = (np.arange(points) + 0.5) / points if whole_path else np.ones(1)
        rows, gradient, weight, start = of_ids.path_gradients(
            model, ids, target, path, question.subwords, beside
        )
        contributions = (rows.astype(np.float64) * gradient).sum(axis=1)
        base = start if whole_path else None
        if method == "occlusion":
            contributions = score - question.without(~np.eye(size, dtype=np.bool_), beside)
    added = beside.parts @ weight
    gap = None if base is None else score - base - float(contributions.sum() + added.sum())
    ranked = None
    if ngrams is not None:
        named = zip(ngrams.names, added.tolist(), strict=True)
        ranked = tuple(sorted(named, key=lambda part: -abs(part[1])))
    return Attribution(
        question.steps, method, question.label, question.probability, score, base, contributions, gap, ranked
    )
