"""Logistic regression on n-grams of words and characters: a classifier's baseline and its wide path.

Features are TF-IDF with sublinear counts (Salton & Buckley 1988), which may be weighted by naive Bayes' log
count ratios (Wang & Manning 2012). scikit-learn fits; what was fitted is kept and read as plain files.
"""

from __future__ import annotations

import json
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.evaluation import log_losses
from gatelight.estimators.rules import Data
from gatelight.models.weight_files import read_arrays, write_arrays
from gatelight.text.cleaning import clean_text

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

INVERSE_PENALTY = 10.0
MOST_TERMS = 1_000_000
MOST_KEPT, LONGEST_KEPT = 20_000, 32  # words, and characters of one, whose n-grams' numbers are kept
MOST_COUNTED = 10_000_000  # terms; beyond, those met once so far are forgotten, which bounds the memory
SMALL_CORPUS = 200  # below this many texts a term of one text counts too: hardly any is seen twice
WORDS_AND_SIGNS = r"\w+|[^\w\s]"
SCIKIT_LEARN_WORDS = r"\b\w\w+\b"  # of the baselines that earlier versions saved
CHARACTER_MARK = "\t"  # before n-grams of characters; no word holds it
MOST_AGAINST_THE_REST = 8  # classes: weights by naive Bayes take a regression for each

Floats = NDArray[np.float32]
Targets = NDArray[Any]


@dataclass(frozen=True)
class Ngrams:
    """Which n-grams a text is made of: of words, of characters (shortest, longest), or of both.

    `words` are what `pattern` finds in the lower-cased text. `characters` are taken of each word between
    spaces, with one space on either side; with `across_spaces` of the text as a whole. `clean` drops tags and
    resolves entities first.
    """

    words: tuple[int, int] | None = (1, 2)
    characters: tuple[int, int] | None = None
    across_spaces: bool = False
    clean: bool = False
    pattern: str = WORDS_AND_SIGNS

    def of(self, text: str) -> list[str]:
        """Return every n-gram of a text, as often as it occurs."""
        found, spans = self.parts(text)
        for span in spans:
            found += self.of_span(span)
        return found

    def parts(self, text: str) -> tuple[list[str], list[str]]:
        """Return the n-grams of a text's words, and the spans whose characters are to be taken."""
        found: list[str] = []
        text = (clean_text(text) if self.clean else text).lower()
        if self.words is not None:
            words = re.findall(self.pattern, text)
            for n in range(self.words[0], self.words[1] + 1):
                found += words if n == 1 else map(" ".join, zip(*(words[k:] for k in range(n)), strict=False))
        if self.characters is None:
            return found, []
        return found, [" ".join(text.split())] if self.across_spaces else [f" {w} " for w in text.split()]

    def of_span(self, span: str) -> list[str]:
        """Return the n-grams of a span's characters."""
        shortest, longest = self.characters or (1, 0)
        return [
            CHARACTER_MARK + span[k : k + n]
            for n in range(shortest, longest + 1)
            for k in range(len(span) - n + 1)
        ]

    def __str__(self) -> str:
        """Return it in words: "words 1 to 2, characters 2 to 5"."""
        kinds = {"words": self.words, "characters": self.characters}
        return ", ".join(f"{kind} {span[0]} to {span[1]}" for kind, span in kinds.items() if span is not None)


def baseline_ngrams(data: Data, clean: bool) -> Ngrams:
    """Return the n-grams of the baseline: words and word pairs, or 1 to 4 characters without spaces."""
    return Ngrams(clean=clean) if data.spaced else Ngrams(None, (1, 4), across_spaces=True, clean=clean)


def wide_ngrams(data: Data, clean: bool) -> Ngrams:
    """Return the n-grams of the wide path: of short texts 2 to 5 characters too, of long ones three words."""
    if not data.spaced:
        return baseline_ngrams(data, clean)
    return Ngrams((1, 2), (2, 5), clean=clean) if data.short else Ngrams((1, 3), clean=clean)


class NgramClassifier:
    """TF-IDF of n-grams with logistic regression on the targets of a `TextClassifier`.

    `fit` takes targets int64 [n] (two classes or many), or 0/1 [n, classes] (each against the rest);
    `probabilities` gives float32 [n, outputs], with one output for two classes as the recurrent models do.
    With `naive_bayes` each term is multiplied by its log count ratio, for each class against the rest.
    """

    def __init__(self, ngrams: Ngrams | None = None, *, naive_bayes: bool = False) -> None:
        self.ngrams, self.naive_bayes = ngrams or Ngrams(), naive_bayes
        self.terms: list[str] = []
        self.idf: Floats = np.zeros(0, np.float32)
        self.coefficients: Floats = np.zeros((0, 0), np.float32)  # [outputs, terms]
        self.intercepts: Floats = np.zeros(0, np.float32)
        self.multilabel = False
        self._numbers: dict[str, int] | None = None
        self._spans: dict[str, NDArray[np.int64]] = {}
        self._weights: Floats | None = None  # [terms, outputs], for products with sparse rows

    def fit(
        self, texts: Sequence[str], targets: Targets, sample_weight: NDArray[Any] | None = None
    ) -> NgramClassifier:
        """Learn terms and weights from texts and their targets; raises DataError when lengths differ.

        `sample_weight` is [n], or for several labels [n, classes].
        """
        return fit_all([self], texts, targets, sample_weight)[0]

    def probabilities(self, texts: Iterable[str]) -> Floats:
        """Classify texts: float32 [n, outputs]."""
        from scipy.special import expit, softmax

        scores = self.scores(texts)
        found = expit(scores) if scores.shape[1] == 1 or self.multilabel else softmax(scores, axis=1)
        return np.asarray(found, np.float32)

    def scores(self, texts: Iterable[str]) -> NDArray[np.float64]:
        """Return the log odds of two classes or of each label, the logits of more classes: [n, outputs].

        A text's row has the same bits alone and among others.
        """
        found = [self.contributions(text)[1].sum(axis=0) + self.intercepts for text in texts]
        return np.array(found, np.float64).reshape(len(found), len(self.intercepts))

    def contributions(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return the numbers [m] of a text's terms and what each adds to the scores, [m, outputs].

        The sum with `intercepts` is the score.
        """
        if self._weights is None:
            self._weights = np.ascontiguousarray(self.coefficients.T)
        numbers, values = self._row(text)
        return numbers, values[:, None] * self._weights[numbers].astype(np.float64)

    def features(self, texts: Iterable[str]) -> csr_matrix:
        """Return TF-IDF of texts, float32 [n, terms], each row of length 1 (or 0, of no known term)."""
        from scipy.sparse import csr_matrix

        rows = [self._row(text) for text in texts]
        ends = np.cumsum([0, *(len(numbers) for numbers, _ in rows)])
        nothing = np.zeros(0, np.int64), np.zeros(0)
        columns, values = (np.concatenate(parts) for parts in zip(nothing, *rows, strict=True))
        return csr_matrix((values.astype(np.float32), columns, ends), shape=(len(rows), len(self.terms)))

    def _row(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The numbers [m] of a text's known terms, in order, and their TF-IDF [m], of length 1."""
        words, spans = self.ngrams.parts(text)
        found = [self._numbered(words), *map(self._of_span, spans)]
        numbers, counts = np.unique(np.concatenate(found), return_counts=True)
        numbers -= 1
        values = (1 + np.log(counts)) * self.idf[numbers]
        return numbers, values / (np.sqrt((values * values).sum()) or 1.0)

    def _numbered(self, terms: list[str]) -> NDArray[np.int64]:
        """The numbers, from 1, of those that are known."""
        return np.array(list(filter(None, map(self._known().get, terms))), np.int64)

    def _of_span(self, span: str) -> NDArray[np.int64]:
        """The numbers of a span's known n-grams; those of words are kept, for most words come again."""
        found = self._spans.get(span)
        if found is None:
            found = self._numbered(self.ngrams.of_span(span))
            if len(self._spans) < MOST_KEPT and len(span) <= LONGEST_KEPT:
                self._spans[span] = found
        return found

    def _known(self) -> dict[str, int]:
        """The number of each term, from 1."""
        if self._numbers is None:
            self._spans = {}
            self._numbers = {term: number for number, term in enumerate(self.terms, 1)}
        return self._numbers

    def save(self, folder: Path, name: str = "baseline") -> None:
        """Write terms as JSON lines and numbers as safetensors, `name`.*, into an existing folder."""
        with (folder / files(name)[1]).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(term) + "\n" for term in self.terms)
        arrays = {"idf": self.idf, "coefficients": self.coefficients, "intercepts": self.intercepts}
        notes = {
            "multilabel": json.dumps(self.multilabel),
            "naive_bayes": json.dumps(self.naive_bayes),
            "ngrams": json.dumps(asdict(self.ngrams)),
        }
        write_arrays(folder / files(name)[0], arrays, notes)

    @classmethod
    def load(cls, folder: Path, name: str = "baseline") -> NgramClassifier:
        """Read what `save` wrote; raises ModelFileError when a file is missing, damaged or does not fit."""
        path, terms_path = (folder / file for file in files(name))
        arrays, notes = read_arrays(path)
        missing = {"idf", "coefficients", "intercepts"} - set(arrays)
        if missing:
            raise ModelFileError(f"{path} lacks {', '.join(sorted(missing))}; train the model again")
        made = cls(_ngrams_of(notes.get("ngrams"), path), naive_bayes=notes.get("naive_bayes") == "true")
        made.terms = _read_terms(terms_path)
        made.idf, made.coefficients, made.intercepts = (
            arrays[key] for key in ("idf", "coefficients", "intercepts")
        )
        made.multilabel = notes.get("multilabel") == "true"
        terms, outputs = len(made.terms), made.intercepts.size
        shapes = (made.idf.shape, made.coefficients.shape, made.intercepts.shape)
        if shapes != ((terms,), (outputs, terms), (outputs,)) or outputs == 0:
            raise ModelFileError(
                f"{path} has shapes {shapes} which do not fit the {terms} terms of {terms_path.name}; "
                "train the model again"
            )
        return made


def files(name: str) -> tuple[str, str]:
    """Return the names of the files in which `save` keeps the numbers and the terms."""
    return f"{name}.safetensors", f"{name}.terms.jsonl"


def fit_all(
    classifiers: Sequence[NgramClassifier],
    texts: Sequence[str],
    targets: Targets,
    sample_weight: NDArray[Any] | None = None,
) -> list[NgramClassifier]:
    """Fit classifiers of the same n-grams on the same texts, whose terms are counted once."""
    if len(texts) != len(targets):
        raise DataError(f"there are {len(texts)} texts and {len(targets)} labels; give one label per text")
    first, multilabel = classifiers[0], targets.ndim == 2
    first.terms, first.idf = _terms(texts, first.ngrams)
    first._numbers, first._spans = None, {}
    features = first.features(texts)
    present = features.copy()
    present.data = np.ones_like(present.data)
    for each in classifiers:
        each.terms, each.idf, each._numbers, each._spans = first.terms, first.idf, first._numbers, {}
        each.multilabel, each._weights = multilabel, None
        columns = list(_columns(targets, each.naive_bayes))
        weights: Iterable[NDArray[Any] | None] = [sample_weight] * len(columns)
        if sample_weight is not None and sample_weight.ndim == 2:
            weights = sample_weight.T
        fitted = []
        for column, weight in zip(columns, weights, strict=True):
            ratio = _log_count_ratio(present, column, weight) if each.naive_bayes else None
            fitted.append(_regression(features, column, ratio, weight))
        each.coefficients = np.concatenate([own for own, _ in fitted]).astype(np.float32)
        each.intercepts = np.concatenate([intercept for _, intercept in fitted]).astype(np.float32)
    return list(classifiers)


def fit_best(
    ngrams: Ngrams,
    texts: Sequence[str],
    targets: Targets,
    valid: tuple[Sequence[str], Targets] | None,
    sample_weight: NDArray[Any] | None = None,
) -> NgramClassifier:
    """Return TF-IDF or naive Bayes' weights, whichever has the lower log loss on `valid`; without, TF-IDF."""
    if valid is None or not len(valid[0]):
        return NgramClassifier(ngrams).fit(texts, targets, sample_weight)
    both = [NgramClassifier(ngrams), NgramClassifier(ngrams, naive_bayes=True)]
    fitted = fit_all(both, texts, targets, sample_weight)

    def loss(each: NgramClassifier) -> float:
        columns = each.probabilities(valid[0])
        if valid[1].ndim == 1 and columns.shape[1] == 1:  # the second of two classes
            columns = np.concatenate([1 - columns, columns], axis=1)
        return float(log_losses(columns, valid[1]).mean())

    return min(fitted, key=loss)


def _terms(texts: Sequence[str], ngrams: Ngrams) -> tuple[list[str], Floats]:
    """Count in how many texts each n-gram occurs; return those that count, sorted, and their idf."""
    seen: Counter[str] = Counter()
    for text in texts:
        seen.update(set(ngrams.of(text)))
        if len(seen) > MOST_COUNTED:
            seen = Counter({term: count for term, count in seen.items() if count > 1})
    least = 1 if len(texts) < SMALL_CORPUS else 2
    counted = ((term, count) for term, count in seen.items() if count >= least)
    kept = sorted(counted, key=lambda pair: (-pair[1], pair[0]))[:MOST_TERMS]
    kept.sort()
    if not kept:
        return [""], np.ones(1, np.float32)  # such a classifier knows how frequent the classes are
    within = np.array([count for _, count in kept], np.float64)
    return [term for term, _ in kept], (np.log((1 + len(texts)) / (1 + within)) + 1).astype(np.float32)


def _columns(targets: Targets, naive_bayes: bool) -> Iterator[Targets]:
    """What one regression each is fitted to: all classes together, or every class against the rest."""
    if targets.ndim == 2:
        yield from targets.T
    elif naive_bayes and targets.max() > 1:
        yield from (targets == number for number in range(int(targets.max()) + 1))
    else:
        yield targets


def _log_count_ratio(present: csr_matrix, column: Targets, weight: NDArray[Any] | None) -> Floats:
    """log of (p / |p|) / (q / |q|): p and q count a term's texts in the class and outside, plus one.

    A text counts as much as it weighs, of the weights' mean.
    """
    counted = np.ones(len(column)) if weight is None else weight / weight.mean()
    inside = column.astype(bool)
    p, q = (present.T @ np.where(chosen, counted, 0) + 1 for chosen in (inside, ~inside))
    return np.asarray(np.log((p / p.sum()) / (q / q.sum())), np.float32)


def _regression(
    features: csr_matrix, target: Targets, ratio: Floats | None, sample_weight: NDArray[Any] | None
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
        warnings.simplefilter("ignore", ConvergenceWarning)  # 300 steps are plenty here
        model.fit(features if ratio is None else features.multiply(ratio).tocsr(), target, sample_weight)
    return model.coef_ if ratio is None else model.coef_ * ratio, model.intercept_


def _ngrams_of(note: str | None, path: Path) -> Ngrams:
    if note is None:
        return Ngrams(pattern=SCIKIT_LEARN_WORDS)
    try:
        said = json.loads(note)
        spans = {key: None if said[key] is None else (int(said[key][0]), int(said[key][1]))
                 for key in ("words", "characters")}  # fmt: skip
        if said["pattern"] not in (WORDS_AND_SIGNS, SCIKIT_LEARN_WORDS):
            raise ValueError(f"pattern {said['pattern']!r}")
        if any(span is not None and not 1 <= span[0] <= span[1] <= 9 for span in spans.values()):
            raise ValueError(f"n-grams {spans}")
        across = bool(said.get("across_spaces", True))  # the first ones to be saved were
        return Ngrams(
            spans["words"], spans["characters"], across, bool(said.get("clean", False)), said["pattern"]
        )
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelFileError(f"{path} does not say its n-grams ({error}); train the model again") from None


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
