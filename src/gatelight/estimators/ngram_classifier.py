"""Logistic regression on n-grams of words or characters: the baseline of a classifier.

Features are TF-IDF with sublinear counts (Salton & Buckley 1988), which may be weighted by naive Bayes' log
count ratios (Wang & Manning 2012). scikit-learn fits; what was fitted is kept and read as plain files.
"""

from __future__ import annotations

import json
import warnings
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import regex
from numpy.typing import NDArray

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.evaluation import log_losses
from gatelight.estimators.saving import read_arrays, write_arrays

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

INVERSE_PENALTY = 10.0
MOST_TERMS = 1_000_000
SMALL_CORPUS = 200  # below this many texts a term of one text counts too: hardly any is seen twice
BLOCK = 4096
WORDS_AND_SIGNS = r"\w+|[^\w\s]"
SCIKIT_LEARN_WORDS = r"\b\w\w+\b"  # of the baselines that earlier versions saved
CHARACTER_MARK = "\t"  # before n-grams of characters; no word holds it
UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
LETTER = regex.compile(r"\p{L}")

Floats = NDArray[np.float32]
Targets = NDArray[Any]


@dataclass(frozen=True)
class Ngrams:
    """Which n-grams a text is made of: of words, of characters (shortest, longest), or of both.

    `words` are what `pattern` finds in the lower-cased text; `characters` are taken across spaces.
    """

    words: tuple[int, int] | None = (1, 2)
    characters: tuple[int, int] | None = None
    pattern: str = WORDS_AND_SIGNS

    def of(self, text: str) -> list[str]:
        """Return every n-gram of a text, as often as it occurs."""
        found: list[str] = []
        text = text.lower()
        if self.words is not None:
            words = regex.findall(self.pattern, text)
            for n in range(self.words[0], self.words[1] + 1):
                found += words if n == 1 else map(" ".join, zip(*(words[k:] for k in range(n)), strict=False))
        if self.characters is not None:
            span = " ".join(text.split())
            for n in range(self.characters[0], self.characters[1] + 1):
                found += [CHARACTER_MARK + span[k : k + n] for k in range(len(span) - n + 1)]
        return found


def has_spaces(texts: Iterable[str]) -> bool:
    """Say whether the script of the texts puts spaces between words, by most of the first 1,000's letters."""
    sample = "".join(islice(texts, 1000))
    return 2 * len(UNSPACED.findall(sample)) < max(len(LETTER.findall(sample)), 1)


def baseline_ngrams(texts: Sequence[str]) -> Ngrams:
    """Return the n-grams of the baseline: words and word pairs, or 1 to 4 characters without spaces."""
    return Ngrams() if has_spaces(texts) else Ngrams(None, (1, 4))


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
        self._weights: Floats | None = None  # [terms, outputs], for products with sparse rows

    def fit(
        self, texts: Sequence[str], targets: Targets, sample_weight: NDArray[Any] | None = None
    ) -> NgramClassifier:
        """Learn terms and weights from texts and their targets; raises DataError when lengths differ."""
        return fit_all([self], texts, targets, sample_weight)[0]

    def probabilities(self, texts: Iterable[str]) -> Floats:
        """Classify texts: float32 [n, outputs]."""
        from scipy.special import expit, softmax

        outputs = len(self.intercepts)
        if self._weights is None:
            self._weights = np.ascontiguousarray(self.coefficients.T)
        parts = [np.zeros((0, outputs), np.float32)]
        given = iter(texts)
        while block := list(islice(given, BLOCK)):
            scores = self.features(block) @ self._weights + self.intercepts
            parts.append(expit(scores) if outputs == 1 or self.multilabel else softmax(scores, axis=1))
        return np.concatenate(parts).astype(np.float32, copy=False)

    def features(self, texts: Iterable[str]) -> csr_matrix:
        """Return TF-IDF of texts, float32 [n, terms], each row of length 1 (or 0, of no known term)."""
        from scipy.sparse import csr_matrix

        numbers, ends = array("q"), [0]
        known = self._known()
        for text in texts:
            numbers.extend(known[term] for term in self.ngrams.of(text) if term in known)
            ends.append(len(numbers))
        columns = np.frombuffer(numbers, np.int64) if numbers else np.zeros(0, np.int64)
        counts = np.ones(len(columns), np.float32)
        matrix = csr_matrix((counts, columns, np.array(ends)), shape=(len(ends) - 1, len(self.terms)))
        matrix.sum_duplicates()
        matrix.data = (1 + np.log(matrix.data)) * self.idf[matrix.indices]
        length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
        matrix.data /= np.repeat(np.maximum(length, np.finfo(np.float32).tiny), np.diff(matrix.indptr))
        return matrix

    def _known(self) -> dict[str, int]:
        if self._numbers is None:
            self._numbers = {term: number for number, term in enumerate(self.terms)}
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
    first._numbers = None
    features = first.features(texts)
    present = features.copy()
    present.data = np.ones_like(present.data)
    for each in classifiers:
        each.terms, each.idf, each._numbers = first.terms, first.idf, first._numbers
        each.multilabel, each._weights = multilabel, None
        columns = list(_columns(targets, each.naive_bayes))
        ratios = [_log_count_ratio(present, column) if each.naive_bayes else None for column in columns]
        fitted = [
            _regression(features, column, ratio, sample_weight)
            for column, ratio in zip(columns, ratios, strict=True)
        ]
        each.coefficients = np.concatenate([weights for weights, _ in fitted]).astype(np.float32)
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


def _log_count_ratio(present: csr_matrix, column: Targets) -> Floats:
    """log of (p / |p|) / (q / |q|): p and q count a term's texts in the class and outside, plus one."""
    inside = column.astype(bool)
    p, q = (np.asarray(present[rows].sum(axis=0), np.float64).ravel() + 1 for rows in (inside, ~inside))
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
        return Ngrams(spans["words"], spans["characters"], said["pattern"])
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
