"""What is said of a model's mistakes is what counting, textbooks and a model of two rules say."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_up_reviews import TINY, make_reviews
from sklearn.metrics import accuracy_score, confusion_matrix

from gatelight import TextClassifier, evaluate
from gatelight.estimators.calibration import fitted_temperature, is_determined
from gatelight.estimators.reading import Reading
from gatelight.insight.errors import analyze_errors, slices
from gatelight.insight.rare_words import edits
from gatelight.text.tokenizers import tokenizer
from gatelight.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def fitted() -> TextClassifier:
    reviews = make_reviews(160, 1)
    return TextClassifier(**{**TINY, "epochs": 6}).fit(
        reviews.texts, reviews.labels, groups=reviews.films, baseline=True
    )


def test_the_whole_agrees_with_scikit_learn(fitted: TextClassifier) -> None:
    """A confusion matrix turned round, or a mistake shown with another's text, would mislead."""
    reviews = make_reviews(140, 2)
    seen = fitted.trained_on(reviews.texts)
    assert seen is not None
    texts, labels, films = (
        [value for value, it in zip(column, seen, strict=True) if not it][:120]
        for column in (reviews.texts, reviews.labels, reviews.films)
    )
    ids = [f"r{i}" for i in range(120)]
    found = analyze_errors(fitted, texts, labels, groups=films, ids=ids)
    assert (found.trained_on, found.left_out) == (0, False)
    predicted = fitted.predict(texts)
    assert found.confusion == confusion_matrix(labels, predicted).tolist()
    whole = evaluate(fitted, texts, labels)
    assert found.evaluation == replace(whole, trained_on=None)
    wrong = [i for i in range(120) if predicted[i] != labels[i]]
    assert 0 < len(wrong) < 120
    assert {int(m.quote.id[1:]) for m in found.worst} <= set(wrong)
    assert len(found.worst) == min(10, len(wrong))
    of_truth = [m.probability_of_truth for m in found.worst]
    assert of_truth == sorted(of_truth)
    for mistake in found.worst:
        assert texts[int(mistake.quote.id[1:])].startswith(mistake.quote.text[:20])
        assert mistake.truth == labels[int(mistake.quote.id[1:])]
    assert found.coverage[0] == (1.0, accuracy_score(labels, predicted))
    assert found.agreement is not None
    both, ours, theirs = found.agreement.both, found.agreement.model_only, found.agreement.baseline_only
    assert whole.baseline is not None
    assert (both + ours, both + theirs) == (120 - len(wrong), round(120 * whole.baseline.accuracy))
    assert found.agreement.gain.mean == pytest.approx((ours - theirs) / 120)
    assert {s.by for s in found.slices} >= {"tokens", "negation", "group"}
    assert sum(s.texts for s in found.slices if s.by == "tokens") == 120
    asked = fitted.training_["validation_temperature"]
    assert found.offered == (asked if is_determined(asked) else None)
    json.dumps(found.to_dict(), default=float)


def test_a_model_without_baseline_validation_or_analyze_errors(fitted: TextClassifier) -> None:
    """Nothing to compare is no reason to fail."""
    reviews = make_reviews(60, 3)
    bare = TextClassifier(**{**TINY, "epochs": 1, "validation_fraction": 0.0})
    bare.fit(reviews.texts, reviews.labels)
    found = analyze_errors(bare, reviews.texts, bare.predict(reviews.texts).tolist())
    assert (found.worst, found.agreement, found.offered) == ([], None, None)
    one = analyze_errors(bare, ["the film is dull"], ["negative"])
    assert one.texts == 1


def test_texts_trained_on_are_left_out(fitted: TextClassifier) -> None:
    """Model and baseline were compared on the very texts that both had learnt by heart, without a word."""
    known, new = make_reviews(160, 1), make_reviews(30, 7)
    seen = fitted.trained_on(known.texts)
    assert seen is not None
    texts, labels = [*known.texts, *new.texts], [*known.labels, *new.labels]
    ids = [f"r{i}" for i in range(len(texts))]
    found = analyze_errors(fitted, texts, labels, groups=[*known.films, *new.films], ids=ids)
    kept = np.flatnonzero(~np.append(seen, fitted.trained_on(new.texts)))
    assert (found.trained_on, found.texts, found.left_out) == (190 - len(kept), len(kept), True)
    alone = evaluate(fitted, [texts[k] for k in kept], [labels[k] for k in kept])
    assert found.evaluation == replace(alone, trained_on=None)
    assert {m.quote.id for m in found.worst} <= {ids[k] for k in kept}
    only = [text for text, it in zip(known.texts, seen, strict=True) if it]
    all_of_them = analyze_errors(fitted, only, fitted.predict(only).tolist())
    assert (all_of_them.trained_on, all_of_them.texts, all_of_them.left_out) == (len(only), len(only), False)


class TwoRules:
    """A classifier that says "pos" of texts with "good", "fine" or "filmx"; reads as a fitted model does."""

    def __init__(self) -> None:
        counts = {"good": 50, "film": 40, "the": 90, "fine": 3, "odd": 2, "filmx": 20}
        self.reading_ = Reading(tokenizer(), Vocabulary.from_counts(counts), 6, "head", "unk")

    def predict_proba(self, texts: list[str]) -> np.ndarray:
        words = [set(text.split()) for text in texts]
        yes = np.array([bool(w & {"good", "fine", "filmx"}) for w in words])
        return np.stack([np.where(yes, 0.1, 0.8), np.where(yes, 0.9, 0.2)], axis=1).astype(np.float32)

    def known_classes(self) -> Any:
        from gatelight.estimators.labels import Classes

        return Classes.of(["neg", "pos"])


TEXTS = ["the fine film", "the good film odd", "goood film", "the film", "fine fine but the film is not good"]
LABELS = ["pos", "pos", "pos", "neg", "neg"]


def test_slices_by_hand() -> None:
    """Counts of another text would send the reader to the wrong ones."""
    wrong = np.array([False, True, False, False, True])
    found = {(s.by, s.value): (s.texts, s.wrong) for s in slices(TwoRules(), TEXTS, wrong)}  # type: ignore[arg-type]
    assert found == {
        ("tokens", "up to 2"): (2, 0), ("tokens", "up to 3"): (1, 0), ("tokens", "up to 4"): (1, 1),
        ("tokens", "over 4"): (1, 1), ("longer than the model reads", "no"): (4, 1),
        ("longer than the model reads", "yes"): (1, 1), ("negation", "no"): (4, 1),
        ("negation", "yes"): (1, 1),
    }  # fmt: skip
    of_groups = slices(TwoRules(), TEXTS * 5, np.tile(wrong, 5), ["a", "b", "c", "d", None] * 5)  # type: ignore[arg-type]
    assert next((s.value, s.rate) for s in of_groups if s.by == "group") == ("b", 1.0)


def test_edits_by_hand() -> None:
    """A flip counted to the wrong side would turn the answer round."""
    model: Any = TwoRules()
    rare, others, near = edits(model, TEXTS, np.array([1, 1, 1, 0, 0]))
    # "fine" and "odd" go: the first text turns to wrong; in the last "good" still stands.
    assert (rare.texts, rare.words, rare.flips, rare.to_right, rare.to_wrong) == (3, 4, 1, 0, 1)
    assert rare.gain.mean == pytest.approx(-1 / 3)
    assert (others.texts, others.words) == (3, 4)
    # "goood" is read as "good": right; what "is", "not" and "but" are near is none of the known words.
    assert (near.texts, near.words, near.flips, near.to_right, near.to_wrong) == (1, 1, 1, 1, 0)
    nothing = edits(model, ["the film", "the good film"], np.array([0, 1]))
    assert [edit.texts for edit in nothing] == [0, 0, 0]


def test_a_temperature_at_the_bound_of_its_search_is_not_offered(fitted: TextClassifier) -> None:
    """20.00 was where the search ended, not what the texts asked for."""
    reviews = make_reviews(60, 2)
    model = copy.deepcopy(fitted)
    columns = np.array([[0.9, 0.1], [0.2, 0.8]])
    for truth in ([0, 1], [1, 0]):
        model.training_["validation_temperature"] = fitted_temperature(columns, np.array(truth))
        assert analyze_errors(model, reviews.texts, reviews.labels).offered is None
