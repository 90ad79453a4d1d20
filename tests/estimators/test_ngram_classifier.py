"""N-gram classifiers are scikit-learn's own pipelines, kept as plain files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.ngram_classifier import (
    SMALL_CORPUS,
    WORDS_AND_SIGNS,
    NgramClassifier,
    Ngrams,
    baseline_ngrams,
    files,
    fit_best,
)
from gatelight.estimators.rules import Data

CONVERGED = 5e-3  # where scikit-learn's solver stops depends on the last bits of the features
WORDS = [
    "good", "bad", "film", "plot", "actor", "great", "awful", "dull", "bright", "never", "not", "very", "end",
]  # fmt: skip


def reviews(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(n)]


def peer(texts: list[str]) -> TfidfVectorizer:
    return TfidfVectorizer(
        token_pattern=WORDS_AND_SIGNS,
        ngram_range=(1, 2),
        sublinear_tf=True,
        min_df=1 if len(texts) < SMALL_CORPUS else 2,
        dtype=np.float32,
    )


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("n", [60, 300])
def test_probabilities_are_those_of_the_scikit_learn_pipeline(classes: int, n: int) -> None:
    """A wrong idf, term order or class column would give other probabilities than scikit-learn's pipeline."""
    texts = reviews(n, 1)
    targets = np.array([(text.count("good") + 2 * text.count("awful")) % classes for text in texts])
    weight = np.random.default_rng(2).uniform(0.5, 2, n)
    new = [*reviews(30, 3), "", "unseen", "I"]
    ours = NgramClassifier().fit(texts, targets, weight).probabilities(new)
    theirs = make_pipeline(peer(texts), LogisticRegression(C=10, max_iter=300))
    theirs.fit(texts, targets, logisticregression__sample_weight=weight)
    expected = theirs.predict_proba(new)
    np.testing.assert_allclose(ours, expected[:, 1:] if classes == 2 else expected, atol=CONVERGED)


def test_multi_label_is_one_against_the_rest(tmp_path: Path) -> None:
    """Labels that share a softmax could not all be likely at once."""
    texts = reviews(80, 5)
    targets = np.array([["good" in text, "plot" in text, "end" in text] for text in texts], np.float32)
    ours = NgramClassifier().fit(texts, targets)
    theirs = OneVsRestClassifier(LogisticRegression(C=10, max_iter=300))
    vectorizer = peer(texts)
    theirs.fit(vectorizer.fit_transform(texts), targets)
    new = reviews(20, 6)
    np.testing.assert_allclose(
        ours.probabilities(new), theirs.predict_proba(vectorizer.transform(new)), atol=1e-5
    )
    ours.save(tmp_path)
    assert np.array_equal(NgramClassifier.load(tmp_path).probabilities(new), ours.probabilities(new))


def test_a_label_that_every_text_has_stays_likely() -> None:
    """Logistic regression refuses a column with one value; the fit would end in scikit-learn's traceback."""
    targets = np.array([[1, i % 2, 0] for i in range(30)], np.float32)
    predicted = NgramClassifier().fit(reviews(30, 7), targets).probabilities(["good film", ""])
    assert (predicted[:, 0] > 0.95).all()
    assert (predicted[:, 2] < 0.05).all()


def test_texts_without_a_term_leave_the_class_shares() -> None:
    """scikit-learn raises on an empty vocabulary; training on one-character texts would crash."""
    predicted = (
        NgramClassifier().fit(["", " ", "\n", "\t"], np.array([0, 1, 1, 1])).probabilities(["", "a new text"])
    )
    np.testing.assert_allclose(predicted, 0.75, atol=1e-3)


def test_reloaded_baseline_gives_the_same_bits(tmp_path: Path) -> None:
    """A rounding or a reordering in the files would change predictions after loading."""
    texts = [*reviews(250, 8), "zwei\u2028Zeilen zwei\u2028Zeilen", "naïve 電影 naïve 電影"]
    fitted = NgramClassifier().fit(texts, np.arange(len(texts)) % 3)
    fitted.save(tmp_path)
    loaded = NgramClassifier.load(tmp_path)
    new = [*texts, *reviews(50, 9)]
    assert loaded.terms == fitted.terms
    assert np.array_equal(loaded.probabilities(new), fitted.probabilities(iter(new)))
    assert loaded.probabilities([]).shape == (0, 3)


def test_damaged_files_say_so_in_one_line(tmp_path: Path) -> None:
    """A cut, strange or missing file must not end in a traceback of another library."""
    NgramClassifier().fit(reviews(50, 1), np.arange(50) % 2).save(tmp_path)
    weights, terms = (tmp_path / name for name in files("baseline"))
    good_weights, good_terms = weights.read_bytes(), terms.read_bytes()
    for broken in (b"", good_weights[:-3], good_weights + b"x", b"[" * 100_000):
        weights.write_bytes(broken)
        with pytest.raises(ModelFileError, match=weights.name):
            NgramClassifier.load(tmp_path)
    weights.write_bytes(good_weights)
    for broken in (b"", good_terms[:20], b"5\n", b'"a"\n"a"\n', b"\xff", b"[" * 100_000):
        terms.write_bytes(broken)
        with pytest.raises(ModelFileError, match="baseline"):
            NgramClassifier.load(tmp_path)
    terms.unlink()
    with pytest.raises(ModelFileError, match="missing"):
        NgramClassifier.load(tmp_path)


@pytest.mark.parametrize(
    ("ngrams", "theirs"),
    [
        (Ngrams(None, (1, 4), across_spaces=True), {"analyzer": "char", "ngram_range": (1, 4)}),
        (Ngrams(None, (2, 5)), {"analyzer": "char_wb", "ngram_range": (2, 5)}),
        (Ngrams((1, 3)), {"token_pattern": WORDS_AND_SIGNS, "ngram_range": (1, 3)}),
    ],
)
def test_features_are_those_of_scikit_learn(ngrams: Ngrams, theirs: dict[str, Any]) -> None:
    """A window too many at a word's border, or another length of a row, would be another model."""
    texts = [*reviews(60, 1), "Ünïcode, twice: ünïcode!", "東京 は 夜", "a  b"]
    ours = NgramClassifier(ngrams).fit(texts, np.arange(len(texts)) % 2)
    peer = TfidfVectorizer(sublinear_tf=True, dtype=np.float32, **theirs).fit(texts)
    order = [peer.vocabulary_[term.removeprefix("\t")] for term in ours.terms]
    assert len(order) == len(peer.vocabulary_)
    new = [*texts[:5], *reviews(20, 2), "", "of no known term: ÿ"]
    np.testing.assert_allclose(
        ours.features(new).toarray(), peer.transform(new).toarray()[:, order], atol=1e-6
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_naive_bayes_weights_are_log_count_ratios(classes: int) -> None:
    """Weights of another formula than Wang & Manning's (equation 2, on presence) would carry their name."""
    texts = reviews(300, 1)
    targets = np.array([(text.count("good") + 2 * text.count("awful")) % classes for text in texts])
    ours = NgramClassifier(naive_bayes=True).fit(texts, targets)
    vectorizer = peer(texts)
    features, new = vectorizer.fit_transform(texts), reviews(30, 3)
    scores = []
    for number in range(classes) if classes > 2 else [1]:
        inside = targets == number
        p, q = (1 + np.asarray((features[rows] > 0).sum(axis=0)).ravel() for rows in (inside, ~inside))
        ratio = np.log((p / p.sum()) / (q / q.sum()))
        model = LogisticRegression(C=10, max_iter=300).fit(features.multiply(ratio).tocsr(), inside)
        scores.append(model.decision_function(vectorizer.transform(new).multiply(ratio).tocsr()))
    expected = expit(scores[0])[:, None] if classes == 2 else softmax(np.stack(scores, 1), axis=1)
    np.testing.assert_allclose(ours.probabilities(new), expected, atol=1e-4)


def test_the_better_of_both_on_validation_is_taken() -> None:
    """Else the baseline would be the weaker of the two that everybody knows."""
    texts = reviews(400, 5)
    targets = np.array([("good" in text) != ("awful" in text) for text in texts], np.int64)
    valid = texts[300:], targets[300:]
    found = fit_best(Ngrams(), texts[:300], targets[:300], valid)
    each = [
        NgramClassifier(naive_bayes=chosen).fit(texts[:300], targets[:300]).probabilities(valid[0])[:, 0]
        for chosen in (False, True)
    ]
    losses = [-np.log(np.where(valid[1] == 1, p, 1 - p)).mean() for p in each]
    assert found.naive_bayes == (losses[1] < losses[0])


def test_a_script_without_spaces_is_read_by_characters() -> None:
    """With a clause for a word, the baseline of Chinese texts would be a straw man."""
    chinese = Data.of(["宝贝收到，立马试穿。做工精细，用料考究。", "OK 很好"])
    assert baseline_ngrams(chinese, True).words is None
    assert baseline_ngrams(Data.of(["a film of 東京", "夜"]), True).words == (1, 2)


def test_lengths_must_agree() -> None:
    """Texts without labels would be learned with their neighbours'."""
    with pytest.raises(DataError, match="3 texts and 2 labels"):
        NgramClassifier().fit(["a", "b", "c"], np.array([0, 1]))
