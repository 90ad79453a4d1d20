"""The model to beat: TF-IDF of words and word pairs with logistic regression, kept as plain files.

Knows texts and label columns, nothing of recurrent models. The setting is the one that does best on the
official IMDB split among the usual ones (sublinear counts, terms seen in two texts, C = 10): 90.7 %.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.arrays import read_arrays, write_arrays

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
        """Judge texts: float32 [n, outputs]."""
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
