"""The wide path: n-grams beside the recurrent model, both summed into one probability. Trains no network.

p ∝ exp(a · log p_recurrent + b · log p_ngrams); where an output stands alone (two classes, or one of several
labels) its log odds are a · logit(p_recurrent) + b · logit(p_ngrams). After Cheng et al. 2016 (wide & deep);
here a and b are learned on the validation texts, which neither side was trained on.
Legend: n texts, O outputs of the recurrent model, m terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.estimators.ngram_classifier import (
    MOST_AGAINST_THE_REST,
    NgramClassifier,
    Ngrams,
    files,
    wide_ngrams,
)
from gatelight.estimators.rules import VALIDATED, Data

NAME = "wide"
FILES = files(NAME)
PRIOR = 0.5  # what both weights are where nothing is learned, and what few texts are drawn towards
PULL = 10.0  # the strength of that, in texts
MOST = 4.0  # no weight is larger
SURE = float(np.finfo(np.float32).eps)  # a float32 that rounds to 1 is no infinite logit

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TextNgrams:
    """A text's n-grams in the sum: `recurrent` · the other side's logits + `start` [O] + Σ `parts` [m, O]."""

    recurrent: float
    start: Floats
    names: list[str]
    parts: Floats


@dataclass(frozen=True, eq=False)
class WidePath:
    """An n-gram classifier, the weights of both sides in the sum, and on how many texts these were learned.

    0 texts: they are the prior.
    """

    classifier: NgramClassifier
    recurrent: float = PRIOR
    ngrams: float = PRIOR
    learned_on: int = 0

    def combined(self, probabilities: NDArray[np.float32], texts: Sequence[str]) -> NDArray[np.float32]:
        """Put what the recurrent model says of texts [n, O] together with their n-grams: float32 [n, O]."""
        scores = self.recurrent * self._logits(probabilities) + self.ngrams * self.classifier.scores(texts)
        return _probabilities(scores, self.alone).astype(np.float32)

    def weighted(self, probabilities: NDArray[np.float32], texts: Sequence[str], targets: Any) -> WidePath:
        """Return it with the weights learned on held-out texts; too few leave the prior.

        `probabilities` [n, O] are the recurrent model's, targets int64 [n] or 0/1 [n, O].
        """
        if len(texts) < VALIDATED:
            return self
        from scipy.optimize import minimize

        sides = self._logits(probabilities), self.classifier.scores(texts)
        wanted = np.asarray(targets).reshape(len(targets), -1)

        def loss(weights: Floats) -> float:
            p = _probabilities(weights[0] * sides[0] + weights[1] * sides[1], self.alone)
            own = np.where(wanted > 0.5, p, 1 - p) if self.alone else np.take_along_axis(p, wanted, axis=1)
            pull = PULL * float(((weights - PRIOR) ** 2).sum()) / len(texts)
            return float(-np.log(np.maximum(own, SURE)).mean()) + pull

        found = minimize(loss, [PRIOR, PRIOR], bounds=[(0, MOST)] * 2, method="L-BFGS-B").x
        return replace(self, recurrent=float(found[0]), ngrams=float(found[1]), learned_on=len(texts))

    def cooled(self, temperature: float) -> WidePath:
        """Return it with the sum's logits divided by a temperature."""
        return replace(self, recurrent=self.recurrent / temperature, ngrams=self.ngrams / temperature)

    def of_text(self, text: str) -> TextNgrams:
        """Return what each n-gram of a text adds to the logits of the sum."""
        numbers, parts = self.classifier.contributions(text)
        names = [self.classifier.terms[number].replace("\t", "") for number in numbers.tolist()]
        start = self.ngrams * self.classifier.intercepts.astype(np.float64)
        return TextNgrams(self.recurrent, start, names, self.ngrams * parts)

    def to_dict(self) -> dict[str, Any]:
        """Return the weights as JSON-able values."""
        return {"recurrent": self.recurrent, "ngrams": self.ngrams, "learned_on": self.learned_on}

    def save(self, folder: Path) -> None:
        """Write the n-grams into an existing folder; the weights belong into its config."""
        self.classifier.save(folder, NAME)

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> WidePath:
        """Read what `save` wrote, with the weights of a config; ModelFileError, ValueError for the config."""
        recurrent, ngrams = float(config["recurrent"]), float(config["ngrams"])
        if not (0 <= recurrent < np.inf and 0 <= ngrams < np.inf):
            raise ValueError(f"the weights of the wide path are {recurrent} and {ngrams}")
        return cls(NgramClassifier.load(folder, NAME), recurrent, ngrams, int(config["learned_on"]))

    def __str__(self) -> str:
        """Return the weights as one line for people."""
        learned = f"learned on {self.learned_on:,} validation texts"
        if not self.learned_on:
            learned = f"as given: fewer than {VALIDATED} texts were held out to learn them on"
        return (
            f"{self.recurrent:.2f} · the recurrent model + {self.ngrams:.2f} · n-grams "
            f"({self.classifier.ngrams}; {len(self.classifier.terms):,}), weights {learned}"
        )

    @property
    def alone(self) -> bool:
        """Whether each output has log odds of its own."""
        return self.classifier.multilabel or len(self.classifier.intercepts) == 1

    def _logits(self, probabilities: NDArray[np.float32]) -> Floats:
        p = probabilities.astype(np.float64)
        if not self.alone:
            return np.asarray(np.log(np.maximum(p, SURE)))
        p = np.clip(p, SURE, 1 - SURE)
        return np.asarray(np.log(p) - np.log1p(-p))


def fit(
    data: Data,
    texts: Sequence[str],
    targets: NDArray[Any],
    sample_weight: NDArray[np.float64] | None,
    clean: bool,
) -> WidePath:
    """Fit the n-grams of texts to their targets, as `NgramClassifier.fit` does; weights of sides: prior."""
    ngrams: Ngrams = wide_ngrams(data, clean)
    against_the_rest = targets.ndim == 2 or data.classes <= MOST_AGAINST_THE_REST
    return WidePath(NgramClassifier(ngrams, naive_bayes=against_the_rest).fit(texts, targets, sample_weight))


def _probabilities(scores: Floats, alone: bool) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * scores)) if alone else _softmax(scores)


def _softmax(scores: Floats) -> Floats:
    exponents = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))
