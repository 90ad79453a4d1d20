"""Texts without labels teach a classifier: which are chosen, what is learned, and how a run goes on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_reviews import TINY, Reviews, make_reviews

import gatelight
from gatelight import TextClassifier
from gatelight.estimators.unlabelled import KEPT, WEIGHT, Lesson
from gatelight.models.training import Interrupted

WIDE = {**TINY, "wide": True}


def test_the_surest_of_each_class_are_chosen() -> None:
    """The surest of all would leave out a class that the model is never sure of."""
    sure = np.linspace(0.55, 0.64, 10)
    of_second = np.concatenate([sure, 0.1 * (1 - sure)]).astype(np.float32)  # the first class is surer
    lesson = Lesson.of(["a", "b"], np.array([1, 0]), [f"text {number}" for number in range(20)])
    assert lesson.chosen_texts() == ["a", "b"]
    assert lesson.weights(None) is None
    taught = lesson.with_surest(np.stack([1 - of_second, of_second], axis=1), multilabel=False)
    left_out = round((1 - KEPT) * 10)
    expected = [*range(left_out, 10), *range(10 + left_out, 20)]
    assert taught.chosen_texts() == ["a", "b", *(f"text {number}" for number in expected)]
    assert taught.targets.tolist() == [1, 0, *[1] * (10 - left_out), *[0] * (10 - left_out)]
    weights = taught.weights(np.array([1.0, 3.0]))
    assert weights is not None
    assert weights.tolist() == [1, 3, *[2 * WEIGHT] * (20 - 2 * left_out)]


def test_a_text_of_several_labels_is_as_sure_as_its_least_sure_label() -> None:
    """A label at one half would be learned as if it were known."""
    columns = np.array([[0.99, 0.5]] + [[0.9, 0.1]] * 4, np.float32)
    lesson = Lesson.of(["a"], np.array([[1, 1]], np.float32), list("bcdef"))
    taught = lesson.with_surest(columns, multilabel=True)
    assert taught.chosen_texts() == list("acdef")
    assert taught.targets.tolist() == [[1, 1], *[[1, 0]] * 4]


def test_words_that_no_labelled_text_has_are_learned(tmp_path: Path) -> None:
    """This is what unlabelled texts are given for; the saved model must know it too."""
    reviews = make_reviews(120, 3)
    strange = {"positive": "splendid", "negative": "ghastly"}
    others = make_reviews(300, 4)
    unlabelled = [f"{text} {strange[label]}" for text, label in zip(others.texts, others.labels, strict=True)]
    model = TextClassifier(**{**WIDE, "epochs": 6})
    model.fit(reviews.texts, reviews.labels, unlabelled=unlabelled)
    assert model.predict(["splendid", "ghastly"]).tolist() == ["positive", "negative"]
    assert model.training_["self_trained_texts"] == pytest.approx(KEPT * 300, abs=2)
    model.save(tmp_path / "model")
    assert "without labels" in (tmp_path / "model" / "README.md").read_text("utf-8")
    assert gatelight.load(tmp_path / "model").predict(["splendid"]).tolist() == ["positive"]


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_run_goes_on(reviews: Reviews, tmp_path: Path, after: int) -> None:
    """Stopped in either round it must end where it would have ended, with labels given anew."""
    unlabelled, told = make_reviews(80, 5).texts, []

    def stop(record: object) -> None:
        told.append(record)
        if len(told) == after:
            raise KeyboardInterrupt

    whole = TextClassifier(**WIDE).fit(reviews.texts, reviews.labels, unlabelled=unlabelled)
    with pytest.raises(Interrupted):
        TextClassifier(**WIDE).fit(
            reviews.texts, reviews.labels, unlabelled=unlabelled, checkpoint=tmp_path / "run", on_epoch=stop
        )
    resumed = TextClassifier(**WIDE).fit(
        reviews.texts, reviews.labels, unlabelled=unlabelled, checkpoint=tmp_path / "run", resume=True
    )
    np.testing.assert_array_equal(resumed.predict_proba(reviews.texts), whole.predict_proba(reviews.texts))
    assert len(resumed.history_) == len(whole.history_) == TINY["epochs"]
