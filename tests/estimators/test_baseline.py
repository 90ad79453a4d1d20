"""The baseline is scikit-learn's own pipeline, kept as plain files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.baselines import SMALL_CORPUS, TERMS_FILE, WEIGHTS_FILE, Baseline

WORDS = [
    "good",
    "bad",
    "film",
    "plot",
    "actor",
    "great",
    "awful",
    "dull",
    "bright",
    "never",
    "not",
    "very",
    "end",
]


def reviews(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(n)]


def peer(texts: list[str]) -> TfidfVectorizer:
    return TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, min_df=1 if len(texts) < SMALL_CORPUS else 2, dtype=np.float32
    )


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("n", [60, 300])
def test_probabilities_are_those_of_the_scikit_learn_pipeline(classes: int, n: int) -> None:
    """A wrong idf, term order or class column would give other probabilities than scikit-learn's pipeline."""
    texts = reviews(n, 1)
    targets = np.array([(text.count("good") + 2 * text.count("awful")) % classes for text in texts])
    weight = np.random.default_rng(2).uniform(0.5, 2, n)
    new = [*reviews(30, 3), "", "unseen", "I"]
    ours = Baseline().fit(texts, targets, weight).probabilities(new)
    theirs = make_pipeline(peer(texts), LogisticRegression(C=10, max_iter=300))
    theirs.fit(texts, targets, logisticregression__sample_weight=weight)
    expected = theirs.predict_proba(new)
    np.testing.assert_allclose(ours, expected[:, 1:] if classes == 2 else expected, atol=1e-5)


def test_multi_label_is_one_against_the_rest(tmp_path: Path) -> None:
    """Labels that share a softmax could not all be likely at once."""
    texts = reviews(80, 5)
    targets = np.array([["good" in text, "plot" in text, "end" in text] for text in texts], np.float32)
    ours = Baseline().fit(texts, targets)
    theirs = OneVsRestClassifier(LogisticRegression(C=10, max_iter=300))
    vectorizer = peer(texts)
    theirs.fit(vectorizer.fit_transform(texts), targets)
    new = reviews(20, 6)
    np.testing.assert_allclose(
        ours.probabilities(new), theirs.predict_proba(vectorizer.transform(new)), atol=1e-5
    )
    ours.save(tmp_path)
    assert np.array_equal(Baseline.load(tmp_path).probabilities(new), ours.probabilities(new))


def test_a_label_that_every_text_has_stays_likely() -> None:
    """Logistic regression refuses a column with one value; the fit would end in scikit-learn's traceback."""
    targets = np.array([[1, i % 2, 0] for i in range(30)], np.float32)
    judged = Baseline().fit(reviews(30, 7), targets).probabilities(["good film", ""])
    assert (judged[:, 0] > 0.95).all()
    assert (judged[:, 2] < 0.05).all()


def test_texts_without_a_term_leave_the_class_shares() -> None:
    """scikit-learn raises on an empty vocabulary; training on one-character texts would crash."""
    judged = Baseline().fit(["", "I", "?", "a"], np.array([0, 1, 1, 1])).probabilities(["", "a new text"])
    np.testing.assert_allclose(judged, 0.75, atol=1e-3)


def test_reloaded_baseline_gives_the_same_bits(tmp_path: Path) -> None:
    """A rounding or a reordering in the files would change predictions after loading."""
    texts = [*reviews(250, 8), "zwei\u2028Zeilen zwei\u2028Zeilen", "naïve 電影 naïve 電影"]
    fitted = Baseline().fit(texts, np.arange(len(texts)) % 3)
    fitted.save(tmp_path)
    loaded = Baseline.load(tmp_path)
    new = [*texts, *reviews(50, 9)]
    assert loaded.terms == fitted.terms
    assert np.array_equal(loaded.probabilities(new), fitted.probabilities(iter(new)))
    assert loaded.probabilities([]).shape == (0, 3)


def test_damaged_files_say_so_in_one_line(tmp_path: Path) -> None:
    """A cut, strange or missing file must not end in a traceback of another library."""
    Baseline().fit(reviews(50, 1), np.arange(50) % 2).save(tmp_path)
    weights, terms = tmp_path / WEIGHTS_FILE, tmp_path / TERMS_FILE
    good_weights, good_terms = weights.read_bytes(), terms.read_bytes()
    for broken in (
        b"",
        good_weights[:6],
        good_weights[:-3],
        good_weights + b"x",
        b"\xff" * 40,
        b"[" * 100_000,
    ):
        weights.write_bytes(broken)
        with pytest.raises(ModelFileError, match=WEIGHTS_FILE):
            Baseline.load(tmp_path)
    weights.write_bytes(good_weights)
    for broken in (
        b"",
        good_terms[:20],
        good_terms + b'"extra"\n',
        b"5\n",
        b'"a"\n"a"\n',
        b"\xff",
        b"[" * 100_000,
    ):
        terms.write_bytes(broken)
        with pytest.raises(ModelFileError, match="baseline"):
            Baseline.load(tmp_path)
    terms.unlink()
    with pytest.raises(ModelFileError, match="missing"):
        Baseline.load(tmp_path)


def test_lengths_must_agree() -> None:
    """Texts without labels would be learned with their neighbours'."""
    with pytest.raises(DataError, match="3 texts and 2 labels"):
        Baseline().fit(["a", "b", "c"], np.array([0, 1]))
