"""The models to beat: TF-IDF with logistic regression for classes, Kneser–Ney n-grams for what comes next.

The TF-IDF settings are those that do best on the official IMDB split among the usual ones (sublinear counts,
terms seen in two texts, C = 10): 90.7 %. The n-grams: Chen & Goodman 1999, eq. 28, interpolated, with one
discount for each order: counts at the highest order, below it the number of different ids that an n-gram
follows, and the uniform distribution under the unigrams.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.saving import read_arrays, write_arrays

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

WEIGHTS_FILE = "baseline.safetensors"
TERMS_FILE = "baseline.terms.jsonl"
INVERSE_PENALTY = 10.0
MOST_TERMS = 1_000_000
SMALL_CORPUS = 200  # below this many texts a term of one text counts too: hardly any is seen twice
BLOCK = 4096

Floats = NDArray[np.float32]


class Baseline:
    """TF-IDF of 1–2-grams with logistic regression on the targets of a `TextClassifier`.

    `fit` takes targets int64 [n] (two classes or many), or 0/1 [n, classes] (each against the rest);
    `probabilities` gives float32 [n, outputs], with one output for two classes as the recurrent models do.
    """

    def __init__(self) -> None:
        self.terms: list[str] = []
        self.idf: Floats = np.zeros(0, np.float32)
        self.coefficients: Floats = np.zeros((0, 0), np.float32)  # [outputs, terms]
        self.intercepts: Floats = np.zeros(0, np.float32)
        self.multilabel = False
        self._vectorizer: TfidfVectorizer | None = None

    def fit(
        self, texts: Sequence[str], targets: NDArray[Any], sample_weight: NDArray[Any] | None = None
    ) -> Baseline:
        """Learn terms and weights from texts and their targets; raises DataError when lengths differ."""
        if len(texts) != len(targets):
            raise DataError(
                f"the baseline got {len(texts)} texts and {len(targets)} labels; give one label per text"
            )
        vectorizer = _vectorizer(min_df=1 if len(texts) < SMALL_CORPUS else 2, max_features=MOST_TERMS)
        try:
            features = vectorizer.fit_transform(texts)
            self.terms = list(vectorizer.get_feature_names_out())
            self.idf = np.asarray(vectorizer.idf_, np.float32)
        except ValueError:
            # scikit-learn refuses texts without a single term; such a baseline knows the class shares only.
            self.terms, self.idf = [""], np.ones(1, np.float32)
            features = self._restore().transform(texts)
        self._vectorizer = None
        del vectorizer
        self.multilabel = targets.ndim == 2
        columns = list(targets.T) if self.multilabel else [targets]
        fitted = [_regression(features, column, sample_weight) for column in columns]
        self.coefficients = np.concatenate([coefficients for coefficients, _ in fitted]).astype(np.float32)
        self.intercepts = np.concatenate([intercepts for _, intercepts in fitted]).astype(np.float32)
        return self

    def probabilities(self, texts: Iterable[str]) -> Floats:
        """Predictor texts: float32 [n, outputs]."""
        parts = []
        block: list[str] = []
        for text in texts:
            block.append(text)
            if len(block) == BLOCK:
                parts.append(self._block(block))
                block = []
        parts.append(self._block(block))
        return np.concatenate(parts)

    def _block(self, texts: list[str]) -> Floats:
        outputs = len(self.intercepts)
        if not texts:
            return np.zeros((0, outputs), np.float32)
        scores = self._restore().transform(texts) @ self.coefficients.T + self.intercepts
        from scipy.special import expit, softmax

        judged = expit(scores) if outputs == 1 or self.multilabel else softmax(scores, axis=1)
        return np.asarray(judged, np.float32)

    def _restore(self) -> TfidfVectorizer:
        # Fitted and reloaded baselines predict from the same float32 numbers through the same object.
        if self._vectorizer is None:
            vectorizer = _vectorizer(vocabulary={term: number for number, term in enumerate(self.terms)})
            vectorizer.idf_ = self.idf
            self._vectorizer = vectorizer
        return self._vectorizer

    def save(self, folder: Path) -> None:
        """Write the terms as JSON lines and the numbers as safetensors into an existing folder."""
        with (folder / TERMS_FILE).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(term) + "\n" for term in self.terms)
        arrays = {"idf": self.idf, "coefficients": self.coefficients, "intercepts": self.intercepts}
        write_arrays(folder / WEIGHTS_FILE, arrays, {"multilabel": json.dumps(self.multilabel)})

    @classmethod
    def load(cls, folder: Path) -> Baseline:
        """Read what `save` wrote; raises ModelFileError when a file is missing, damaged or does not fit."""
        baseline = cls()
        arrays, notes = read_arrays(folder / WEIGHTS_FILE)
        missing = {"idf", "coefficients", "intercepts"} - set(arrays)
        if missing:
            raise ModelFileError(
                f"{folder / WEIGHTS_FILE} lacks {', '.join(sorted(missing))}; train the model again"
            )
        baseline.terms = _read_terms(folder / TERMS_FILE)
        baseline.idf, baseline.coefficients, baseline.intercepts = (
            arrays[name] for name in ("idf", "coefficients", "intercepts")
        )
        baseline.multilabel = notes.get("multilabel") == "true"
        terms, outputs = len(baseline.terms), baseline.intercepts.size
        shapes = (baseline.idf.shape, baseline.coefficients.shape, baseline.intercepts.shape)
        if shapes != ((terms,), (outputs, terms), (outputs,)) or outputs == 0:
            raise ModelFileError(
                f"{folder / WEIGHTS_FILE} has shapes {shapes} which do not fit the {terms} terms of "
                f"{TERMS_FILE}; train the model again"
            )
        return baseline


def _vectorizer(**settings: Any) -> TfidfVectorizer:
    # Imported when needed: judging a text with the recurrent model should not wait a second for it.
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32, **settings)


def _regression(
    features: Any, target: NDArray[Any], sample_weight: NDArray[Any] | None
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Fit one logistic regression; gives coefficients [outputs, terms] and intercepts [outputs]."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(target)) == 1:
        # A multi-label column that is always (or never) set has no boundary: smoothed log odds stand for it.
        odds = np.log((len(target) + 0.5) / 0.5)
        return np.zeros((1, features.shape[1])), np.array([odds if target[0] else -odds])
    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=300)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # 300 steps are plenty for a comparison
        model.fit(features, target, sample_weight=sample_weight)
    return model.coef_, model.intercept_


def _read_terms(path: Path) -> list[str]:
    try:
        with path.open(encoding="utf-8") as file:
            terms = [json.loads(line) for line in file]
    except FileNotFoundError:
        raise ModelFileError(
            f"{path} is missing: the model folder is incomplete; copy or train it again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged ({error}); copy or train the model again") from None
    if not all(isinstance(term, str) for term in terms) or len(set(terms)) != len(terms):
        raise ModelFileError(
            f"{path} must hold one distinct JSON string per line; copy or train the model again"
        )
    return terms


Keys = NDArray[np.int64]
STREAM_BLOCK = 1 << 20  # ids looked up together, which bounds the memory


@dataclass(frozen=True)
class _Order:
    keys: Keys  # n-grams as numbers in base V, sorted; the last id is the lowest digit
    counts: NDArray[np.float64]
    contexts: Keys  # the same without the last id, sorted
    totals: NDArray[np.float64]  # of each context: the sum of its counts
    kinds: NDArray[np.float64]  # and the number of different ids that follow it
    discount: float


class KneserNey:
    """An n-gram model of a stream of ids; before its first id stands the id `begin`, as often as needed."""

    def __init__(
        self, stream: NDArray[np.int32], vocabulary_size: int, order: int, begin: int, discount: float = 0.0
    ) -> None:
        """Count; `discount` 0 estimates one for each order from its singletons. Raises DataError."""
        if order < 1 or vocabulary_size**order >= 2**63:
            raise DataError(
                f"n-grams of order {order} over {vocabulary_size} tokens cannot be numbered in 64 bits; "
                "choose a lower order"
            )
        self.size, self.order, self.begin = vocabulary_size, order, begin
        self._orders: list[_Order] = []
        keys, counts = np.unique(self._grams(stream, order), return_counts=True)
        for n in range(order, 0, -1):
            self._orders.append(self._order(keys, counts.astype(np.float64), discount))
            if n > 1:
                keys, counts = np.unique(keys % vocabulary_size ** (n - 1), return_counts=True)

    def probabilities(self, stream: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the probability of each id of a stream given those before it, float64 [N]."""
        found = [
            self._block(stream, begin, min(begin + STREAM_BLOCK, len(stream)))
            for begin in range(0, len(stream), STREAM_BLOCK)
        ]
        return np.concatenate([np.zeros(0), *found])

    def nats(self, stream: NDArray[np.int32]) -> float:
        """Return the negative log-likelihood of stream[1:], each id given those before it."""
        return -math.fsum(np.log(self.probabilities(stream)[1:]).tolist())

    def _block(self, stream: NDArray[np.int32], begin: int, end: int) -> NDArray[np.float64]:
        first = max(0, begin - self.order + 1)
        keys = self._grams(stream[first:end], self.order)[begin - first :]
        if first < begin:  # whose contexts are whole
            keys = keys[: end - begin]
        share = np.full(len(keys), 1.0 / self.size)
        for n, counted in zip(range(1, self.order + 1), reversed(self._orders), strict=True):
            gram = keys % self.size**n
            own, there = _find(counted.keys, gram)
            context, known = _find(counted.contexts, gram // self.size)
            total = np.where(known, counted.totals[context], 1.0)
            left = np.maximum(np.where(there, counted.counts[own], 0.0) - counted.discount, 0.0) / total
            back = counted.discount * counted.kinds[context] / total
            share = np.where(known, left + back * share, share)
        return share

    def _grams(self, stream: NDArray[np.int32], order: int) -> Keys:
        """The n-gram that ends at each id, as a number."""
        padded = np.concatenate([np.full(order - 1, self.begin, np.int64), stream.astype(np.int64)])
        keys = np.zeros(len(stream), np.int64)
        for place in range(order):
            keys = keys * self.size + padded[place : place + len(stream)]
        return keys

    def _order(self, keys: Keys, counts: NDArray[np.float64], discount: float) -> _Order:
        contexts, starts, kinds = np.unique(keys // self.size, return_index=True, return_counts=True)
        totals = np.add.reduceat(counts, starts)
        if not discount:
            once, twice = float((counts == 1).sum()), float((counts == 2).sum())
            discount = once / (once + 2 * twice) if once and twice else 0.75
        return _Order(keys, counts, contexts, totals, kinds.astype(np.float64), discount)


def _find(sorted_keys: Keys, wanted: Keys) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    places = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    return places, sorted_keys[places] == wanted
