"""Figures are held against scikit-learn's, intervals against their definition and against simulation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from made_up_reviews import Reviews, make_reviews
from sklearn import metrics

from gatelight import TextClassifier, load
from gatelight.errors import ModelFileError
from gatelight.estimators.evaluation import Evaluation, evaluate, measure


def predictions(n: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    targets = rng.choice(classes, n, p=np.arange(1, classes + 1) / sum(range(1, classes + 1)))
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), targets] += 1.0
    columns = np.exp(logits)
    return columns / columns.sum(axis=1, keepdims=True), targets


@pytest.mark.parametrize("classes", [2, 5])
def test_figures_are_scikit_learns(classes: int) -> None:
    """A swapped axis or a wrong average would differ from scikit-learn on unbalanced classes."""
    columns, targets = predictions(400, classes, 0)
    found = measure(columns, targets)
    chosen = columns.argmax(axis=1)
    assert found.n == 400
    assert found.accuracy == pytest.approx(metrics.accuracy_score(targets, chosen))
    assert found.f1 == pytest.approx(metrics.f1_score(targets, chosen, average="macro"))
    assert found.log_loss == pytest.approx(metrics.log_loss(targets, columns))


def test_multi_label_figures_are_scikit_learns() -> None:
    """Multi-label accuracy must ask for the whole set, as scikit-learn's does."""
    rng = np.random.default_rng(1)
    targets = (rng.random((300, 4)) < [0.1, 0.3, 0.5, 0.7]).astype(np.float32)
    columns = np.clip(targets * 0.4 + rng.random((300, 4)) * 0.6, 0, 1)
    found = measure(columns, targets)
    chosen = columns >= 0.5
    assert found.accuracy == pytest.approx(metrics.accuracy_score(targets, chosen))
    assert found.f1 == pytest.approx(metrics.f1_score(targets, chosen, average="macro"))
    assert found.log_loss == pytest.approx(
        np.mean([metrics.log_loss(targets[:, k], columns[:, k]) for k in range(4)]), rel=1e-5
    )
    assert found.f1_low < found.f1 < found.f1_high


def test_a_class_that_never_occurs_does_not_count_in_f1() -> None:
    """A class absent from the test part would otherwise pull the mean down."""
    columns = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.4, 0.5, 0.1]])
    targets = np.array([0, 1, 0])
    assert measure(columns, targets).f1 == pytest.approx(
        metrics.f1_score(targets, columns.argmax(axis=1), average="macro")
    )


def test_log_loss_interval_is_the_normal_one_for_many_texts() -> None:
    """The bootstrap of a mean must agree with its standard error."""
    columns, targets = predictions(2000, 2, 5)
    found = measure(columns, targets, resamples=2000)
    losses = -np.log(columns[np.arange(2000), targets])
    error = losses.std() / np.sqrt(2000)
    assert found.log_loss_low == pytest.approx(losses.mean() - 1.96 * error, abs=0.2 * error)
    assert found.log_loss_high == pytest.approx(losses.mean() + 1.96 * error, abs=0.2 * error)


def test_certain_mistakes_stay_finite_and_the_seed_fixes_everything() -> None:
    """A probability of exactly 0 must not make the log loss infinite; a second run must print the same."""
    columns, targets = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([1, 1])
    found = measure(columns, targets, seed=3)
    assert np.isfinite(found.log_loss)
    assert found == measure(columns, targets, seed=3)


def test_figures_are_also_given_without_the_texts_that_were_trained_on(
    fitted: TextClassifier, reviews: Reviews
) -> None:
    """A model and a baseline measured on their own training texts look better than they are."""
    new = make_reviews(40, 7)
    texts, labels = [*reviews.texts[:60], *new.texts], [*reviews.labels[:60], *new.labels]
    seen = fitted.trained_on(texts)
    assert seen is not None
    assert 30 < seen[:60].sum() < 60
    found = evaluate(fitted, texts, labels, resamples=10)
    assert found.trained_on == seen.sum()
    assert found.n == 100
    others = [(text, label) for text, label, one in zip(texts, labels, seen, strict=True) if not one]
    alone = evaluate(fitted, *zip(*others, strict=True), resamples=10)
    assert alone.trained_on == 0
    assert alone.unseen is None
    assert found.unseen is not None
    assert found.unseen.n == len(others)
    assert found.unseen.accuracy == alone.accuracy
    assert found.unseen.log_loss == alone.log_loss
    assert found.unseen.baseline is not None
    assert alone.baseline is not None
    assert found.unseen.baseline.accuracy == alone.baseline.accuracy
    assert Evaluation.of_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_a_saved_model_still_knows_what_it_was_trained_on(
    fitted: TextClassifier, reviews: Reviews, tmp_path: Path
) -> None:
    """The folder keeps hashes: the texts themselves must not be in it, nor another text be taken for one."""
    fitted.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    texts = [*reviews.texts, "  " + reviews.texts[0] + "\n", "a text that nobody has written"]
    seen = fitted.trained_on(texts)
    assert seen is not None
    assert (loaded.trained_on(texts) == seen).all()
    assert seen[-2] == seen[0]
    assert not seen[-1]
    file = tmp_path / "model" / "training-texts.bin"
    distinct = len({text.strip() for text, one in zip(texts, seen, strict=True) if one})
    assert file.stat().st_size == 8 * distinct
    file.write_bytes(file.read_bytes()[:-3])
    with pytest.raises(ModelFileError, match=r"training-texts\.bin is cut short"):
        load(tmp_path / "model")
    file.unlink()  # as folders of earlier versions are
    assert load(tmp_path / "model").trained_on(texts) is None
    assert evaluate(load(tmp_path / "model"), texts[:40], reviews.labels[:40]).trained_on is None
