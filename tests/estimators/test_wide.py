"""N-grams beside the recurrent model: one probability, whose parts and weights are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_reviews import TINY, Reviews, make_reviews
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logit, softmax
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import gatelight
from gatelight import TextClassifier
from gatelight.errors import DataError, ModelFileError
from gatelight.estimators.explain import METHODS
from gatelight.estimators.ngram_classifier import Ngrams, wide_ngrams
from gatelight.estimators.rules import Data
from gatelight.estimators.wide import FILES, WidePath

WIDE: dict[str, Any] = {**TINY, "wide": True}
NEW = ["the film is a delight", "boring &amp; dull", "", "東京 ÿ", "not <br /> a mess, this MOVIE!"]


@pytest.fixture(scope="module")
def model(reviews: Reviews) -> TextClassifier:
    valid = make_reviews(120, 9)
    return TextClassifier(**WIDE).fit(
        reviews.texts, reviews.labels, validation=(valid.texts, valid.labels), baseline=True
    )


@pytest.fixture(scope="module")
def of_three(reviews: Reviews) -> TextClassifier:
    labels = [len(text) % 3 for text in reviews.texts]
    return TextClassifier(**{**WIDE, "pool": "max"}).fit(reviews.texts, labels)


def wide_of(model: TextClassifier) -> WidePath:
    assert model.wide_ is not None
    return model.wide_


def test_two_classes_add_their_log_odds(model: TextClassifier) -> None:
    """Another formula than the documented one would give other probabilities."""
    wide = wide_of(model)
    alone, ngrams = model.recurrent_proba(NEW), wide.classifier.scores(NEW)[:, 0]
    expected = expit(wide.recurrent * logit(alone[:, 1].astype(np.float64)) + wide.ngrams * ngrams)
    np.testing.assert_allclose(model.predict_proba(NEW)[:, 1], expected, rtol=1e-5)
    np.testing.assert_array_equal(model.without_wide().predict_proba(NEW), alone)
    assert np.abs(model.predict_proba(NEW) - alone).max() > 0.01


def test_more_classes_add_their_log_probabilities(of_three: TextClassifier) -> None:
    """A sum of probabilities, or of a logit of each class, would be another model."""
    wide = wide_of(of_three)
    sides = np.log(of_three.recurrent_proba(NEW)), log_softmax(wide.classifier.scores(NEW), axis=1)
    expected = softmax(wide.recurrent * sides[0] + wide.ngrams * sides[1], axis=1)
    np.testing.assert_allclose(of_three.predict_proba(NEW), expected, rtol=1e-4)


def test_several_labels_add_their_own_log_odds(reviews: Reviews) -> None:
    """Labels that share a softmax could not all be likely at once."""
    labels = [
        tuple(name for name, word in (("film", "film"), ("bad", "dull"), ("all", "")) if word in text)
        for text in reviews.texts
    ]
    model = TextClassifier(**WIDE, class_weight="balanced").fit(reviews.texts, labels)
    wide = wide_of(model)
    alone, ngrams = model.recurrent_proba(NEW).astype(np.float64), wide.classifier.scores(NEW)
    expected = expit(wide.recurrent * logit(alone) + wide.ngrams * ngrams)
    np.testing.assert_allclose(model.predict_proba(NEW), expected, rtol=1e-4)


def test_the_wide_side_is_scikit_learns(model: TextClassifier, reviews: Reviews) -> None:
    """The n-grams are Wang & Manning's weights on scikit-learn's features, whatever our code calls them."""
    words = TfidfVectorizer(token_pattern=r"\w+|[^\w\s]", ngram_range=(1, 2), sublinear_tf=True, norm=None)
    letters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, norm=None)
    texts = [text.replace("<br />", " ").replace("&amp;", "&") for text in reviews.texts]
    target = np.array([label == "positive" for label in reviews.labels])

    def features(texts: list[str], fit: bool) -> NDArray[Any]:
        both = [(one.fit_transform if fit else one.transform)(texts).toarray() for one in (words, letters)]
        found = np.concatenate(both, axis=1)
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-30))

    own = features(texts, True)
    p, q = ((own[rows] > 0).sum(axis=0) + 1 for rows in (target, ~target))
    ratio = np.log(p / p.sum()) - np.log(q / q.sum())
    peer = LogisticRegression(C=10, max_iter=300).fit(own * ratio, target)
    new = make_reviews(30, 3).texts
    cleaned = [text.replace("<br />", " ").replace("&amp;", "&") for text in new]
    expected = peer.decision_function(features(cleaned, False) * ratio)
    np.testing.assert_allclose(wide_of(model).classifier.scores(new)[:, 0], expected, atol=0.02)


def test_weights_are_learned_on_texts_that_were_held_out(model: TextClassifier) -> None:
    """Weights learned on the training texts would trust the side that knows them by heart."""
    wide, valid = wide_of(model), make_reviews(120, 9)
    sides = (
        logit(np.clip(model.recurrent_proba(valid.texts)[:, 1].astype(np.float64), 1e-7, 1 - 1e-7)),
        wide.classifier.scores(valid.texts)[:, 0],
    )
    sign = np.array([1 if label == "positive" else -1 for label in valid.labels])

    def loss(weights: NDArray[Any]) -> float:
        margin = sign * (weights[0] * sides[0] + weights[1] * sides[1])
        return float(np.logaddexp(0, -margin).mean() + 10 * ((weights - 0.5) ** 2).sum() / 120)

    expected = minimize(loss, [0.5, 0.5], method="Nelder-Mead").x
    np.testing.assert_allclose([wide.recurrent, wide.ngrams], expected, atol=0.01)
    assert wide.learned_on == 120
    assert "learned on 120 validation texts" in str(wide)


def test_too_few_validation_texts_leave_equal_weights(of_three: TextClassifier) -> None:
    """Weights learned on a handful of texts would be chance; that they were not must be said."""
    wide = wide_of(of_three)
    assert (wide.recurrent, wide.ngrams, wide.learned_on) == (0.5, 0.5, 0)
    assert "fewer than 100 texts" in str(wide)


def test_a_saved_wide_model_gives_the_same_bits(model: TextClassifier, tmp_path: Path) -> None:
    """One folder, one model: a text has the same bits loaded, alone and among others."""
    model.save(tmp_path / "model")
    assert set(FILES) <= {path.name for path in (tmp_path / "model").iterdir()}
    again = gatelight.load(tmp_path / "model")
    expected = model.predict_proba(NEW)
    assert np.array_equal(again.predict_proba(NEW), expected)
    assert all(np.array_equal(again.predict_proba([text])[0], row) for text, row in zip(NEW, expected))  # noqa: B905
    assert np.array_equal(again.explain(NEW[0]).contributions, model.explain(NEW[0]).contributions)
    assert "n-grams" in (tmp_path / "model" / "README.md").read_text()
    again.save(tmp_path / "model")
    (tmp_path / "model" / FILES[0]).unlink()
    with pytest.raises(ModelFileError, match="missing"):
        gatelight.load(tmp_path / "model")


@pytest.mark.parametrize("method", [method for method in METHODS if method != "gradient-x-input"])
def test_parts_add_up_to_the_log_odds(model: TextClassifier, method: str) -> None:
    """An n-gram or a word that is left out of the explanation would be missed by nobody but the sum."""
    text = "the film is not dull, and every scene is moving"
    found = model.explain(text, method)
    p = float(model.predict_proba([text]).max())
    np.testing.assert_allclose(found.score, logit(p), atol=1e-3)
    assert found.ngrams is not None
    assert abs(found.ngrams[0][1]) >= abs(found.ngrams[-1][1])
    if method != "occlusion":
        assert found.base is not None
        total = found.base + found.contributions.sum() + sum(part for _, part in found.ngrams)
        np.testing.assert_allclose(total, found.score, atol=0.02)
    other = next(name for name in model.classes_.tolist() if name != found.target)
    np.testing.assert_allclose(model.explain(text, method, target=other).score, -found.score, atol=1e-3)


@pytest.mark.parametrize("method", ["integrated-gradients", "pool"])
def test_parts_of_three_classes_add_up(of_three: TextClassifier, method: str) -> None:
    """Each side's log odds explained by itself leave a gap: with three classes they do not add up."""
    text = "the film is not dull, and every scene is moving"
    p = of_three.predict_proba([text])[0].astype(np.float64)
    for target, own in zip(of_three.classes_.tolist(), p, strict=True):
        found = of_three.explain(text, method, target=target)
        assert found.base is not None
        assert found.ngrams is not None
        total = found.base + found.contributions.sum() + sum(part for _, part in found.ngrams)
        np.testing.assert_allclose(total, found.score, atol=2e-3)
        of_logits = float(np.log(own) - np.log(np.delete(p, list(p).index(own))).mean())
        expected = of_logits if method == "pool" else logit(own)
        np.testing.assert_allclose(found.score, expected, atol=1e-3)


def test_a_temperature_cools_the_sum(model: TextClassifier, tmp_path: Path) -> None:
    """Dividing the logits of one side would change labels, not certainty."""
    model.save(tmp_path / "model")
    again = gatelight.load(tmp_path / "model")
    assert isinstance(again, TextClassifier)
    again.calibrate(2.0)
    expected = expit(logit(model.predict_proba(NEW).astype(np.float64)) / 2)
    np.testing.assert_allclose(again.predict_proba(NEW), expected, rtol=1e-4)
    again.save(tmp_path / "model")
    assert np.array_equal(gatelight.load(tmp_path / "model").predict_proba(NEW), again.predict_proba(NEW))


def test_weights_of_texts_and_classes_reach_the_n_grams(reviews: Reviews) -> None:
    """A text that weighs nothing must teach neither side, and a class that weighs more both."""
    how = {**WIDE, "validation_fraction": 0.0}
    half = np.arange(len(reviews.texts)) % 2 == 0
    other = {"positive": "negative", "negative": "positive"}
    strange = [label if keep else other[label] for label, keep in zip(reviews.labels, half, strict=True)]
    weighted = TextClassifier(**how).fit(
        reviews.texts, strange, sample_weight=np.where(half, 1.0, 1e-9).tolist()
    )
    scores = wide_of(weighted).classifier.scores(reviews.texts)[:, 0]
    target = np.array([label == "positive" for label in reviews.labels])
    assert np.mean((scores > 0) == target) > 0.95
    heavy = TextClassifier(**how, class_weight={"positive": 50.0}).fit(reviews.texts, reviews.labels)
    plain = TextClassifier(**how).fit(reviews.texts, reviews.labels)
    more, usual = (wide_of(one).classifier.scores(["", "the"])[:, 0] for one in (heavy, plain))
    assert (more > usual).all()


def test_it_goes_on_where_it_was_stopped(reviews: Reviews, tmp_path: Path) -> None:
    """The n-grams are fitted anew from the same texts: a resumed run must end in the same model."""
    run = tmp_path / "run"
    first = TextClassifier(**WIDE).fit(reviews.texts, reviews.labels, checkpoint=run)
    again = TextClassifier(**WIDE).fit(reviews.texts, reviews.labels, checkpoint=run, resume=True)
    assert np.array_equal(first.predict_proba(NEW), again.predict_proba(NEW))


def test_sessions_and_running_answers_are_the_recurrent_sides(model: TextClassifier) -> None:
    """N-grams of a beginning are not the text's: what runs along is the recurrent side."""
    text = "the film is a delight"
    np.testing.assert_array_equal(model.running_proba(text)[-1], model.recurrent_proba([text])[0])
    assert model.with_gates(forget_gate=1.0).predict_proba([text]).shape == (1, 2)


def test_exports_refuse_and_say_how(model: TextClassifier, tmp_path: Path) -> None:
    """A graph without the n-grams would classify otherwise than the model it was made of."""
    pytest.importorskip("onnx")
    from gatelight.interop import onnx

    with pytest.raises(DataError, match=r"wide=False"):
        onnx.to_onnx(model, tmp_path / "m.onnx")
    alone = model.without_wide()
    onnx.to_onnx(alone, tmp_path / "m.onnx")
    np.testing.assert_allclose(alone.predict_proba(NEW), model.recurrent_proba(NEW), atol=1e-6)


def test_chinese_is_read_by_characters() -> None:
    """With a clause for a word the wide side of Chinese texts would know nothing."""
    texts = [
        "宝贝收到，立马试穿。做工精细",
        "质量太差，退货了。不推荐",
        "做工精细，用料考究",
        "太差了，不推荐购买",
    ] * 15
    model = TextClassifier(**WIDE, random_state=1).fit(texts, [1, 0] * 30)
    wide = wide_of(model)
    assert wide.classifier.ngrams == Ngrams(None, (1, 4), across_spaces=True, clean=True)
    found = model.explain("做工精细")
    assert found.ngrams is not None
    assert "做工" in dict(found.ngrams)
    assert model.predict(["做工精细考究", "太差不推荐"]).tolist() == [1, 0]


def test_long_texts_have_no_characters() -> None:
    """Five characters of a review of 300 words tell little and take most of the time."""
    assert wide_ngrams(Data(characters=1_300), True) == Ngrams((1, 3), clean=True)
    assert wide_ngrams(Data(characters=100), True) == Ngrams((1, 2), (2, 5), clean=True)
