"""`TextClassifier` by scikit-learn's conventions, on ordinary and on odd texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_reviews import TINY, Reviews, make_reviews
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from gatelight import TextClassifier, WordVectors, evaluate
from gatelight.errors import DataError


def test_it_learns_that_not_turns_a_word_round(reviews: Reviews) -> None:
    """A model that lost order, labels or lengths on the way would stay near one half on new reviews."""
    settings = {**TINY, "hidden_size": 16, "epochs": 12, "word_dropout": 0.0, "validation_fraction": 0.0}
    train, test = make_reviews(400, 5), make_reviews(200, 6)
    estimator = TextClassifier(**settings).fit(train.texts, train.labels)
    assert estimator.score(test.texts, test.labels) > 0.9
    assert estimator.predict(["the film is not dull", "the film is not great"]).tolist() == [
        "positive",
        "negative",
    ]


def test_unfitted_use_is_refused_as_scikit_learn_does() -> None:
    """Tools catch NotFittedError; an AttributeError would look like a bug."""
    for use in ("predict", "predict_proba", "unknown_fraction"):
        with pytest.raises(NotFittedError):
            getattr(TextClassifier(), use)(["a"])
    with pytest.raises(NotFittedError):
        check_is_fitted(TextClassifier())


def test_probabilities_are_rows_of_classes(fitted: TextClassifier, reviews: Reviews) -> None:
    """Column order, sums and the agreement of predict with predict_proba are what callers build on."""
    predicted = fitted.predict_proba(reviews.texts)
    assert predicted.shape == (160, 2)
    assert predicted.dtype == np.float32
    np.testing.assert_allclose(predicted.sum(axis=1), 1, atol=1e-6)
    assert fitted.classes_.tolist() == ["negative", "positive"]
    assert np.array_equal(fitted.predict(reviews.texts), fitted.classes_[predicted.argmax(axis=1)])
    assert fitted.score(reviews.texts, reviews.labels) == np.mean(
        fitted.predict(reviews.texts) == reviews.labels
    )
    assert fitted.predict_proba([]).shape == (0, 2)
    assert fitted.predict([]).shape == (0,)


def test_odd_texts_are_predicted(fitted: TextClassifier) -> None:
    """Empty, unknown, one-character, huge and surrogate texts come in every real data set."""
    texts = ["", " ", "a", "?", "zzz qqq", "\ud800", "電影", "the " * 300_000, "<br />", "\x00"]
    predicted, unknown = fitted.proba_and_unknown_fraction(texts)
    assert np.isfinite(predicted).all()
    assert unknown[:2].tolist() == [0, 0]
    assert unknown[4] == 1
    assert unknown[7] == 0
    assert np.array_equal(unknown, fitted.unknown_fraction(texts))
    assert fitted.unknown_fraction(["the film zzz qqq"]).tolist() == [0.5]


def test_many_classes_and_whole_number_labels() -> None:
    """Softmax models must map their columns to labels that are not 0, 1, 2."""
    rng = np.random.default_rng(0)
    labels = rng.choice([30, 10, 20], 90)
    texts = [f"word{label} {'filler ' * int(rng.integers(0, 4))}" for label in labels]
    estimator = TextClassifier(**{**TINY, "epochs": 15, "word_dropout": 0.0}).fit(texts, labels)
    assert estimator.predict(["word10", "word20", "word30"]).tolist() == [10, 20, 30]
    assert estimator.predict_proba(["word10"]).shape == (1, 3)


def test_several_labels_a_text() -> None:
    """A multi-label model must be able to give none, one and several labels."""
    rng = np.random.default_rng(0)
    sets = [tuple(name for name in ("war", "love", "sea") if rng.random() < 0.5) for _ in range(240)]
    texts = [" ".join(["film", *names]) for names in sets]
    settings = {**TINY, "epochs": 25, "word_dropout": 0.0, "embedding_dropout": 0.0}
    estimator = TextClassifier(**settings).fit(texts, sets, baseline=True)
    assert estimator.predict(["film", "film war", "film love sea"]).tolist() == [
        (),
        ("war",),
        ("love", "sea"),
    ]
    assert estimator.score(texts, sets) > 0.95
    found = evaluate(estimator, texts, sets)
    assert found.accuracy == estimator.score(texts, sets)
    assert found.baseline is not None


def test_no_group_is_on_both_sides(reviews: Reviews) -> None:
    """Reviews of one film on both sides make validation figures too good."""
    from gatelight.estimators.fitting import divide

    settings = TextClassifier(**TINY).get_params()
    films: list[Any] = [None if row % 7 == 0 else film for row, film in enumerate(reviews.films)]
    training, held, how = divide(list(reviews.labels), films, settings)
    sides = [{films[row] for row in rows} - {None} for rows in (training, held)]
    assert how == "group"
    assert not sides[0] & sides[1]
    assert sorted([*training, *held]) == list(range(160))
    assert 16 <= len(held) <= 48
    _, held, how = divide(list(reviews.labels), films, {**settings, "split": "random"})
    assert (how, len(held)) == ("random", 32)


def test_held_out_texts_leave_no_trace_either(reviews: Reviews) -> None:
    """The part that `fit` holds out itself must be as unknown to model and baseline as one that is given."""
    texts = [f"word{row} {text}" for row, text in enumerate(reviews.texts)]
    estimator = TextClassifier(**{**TINY, "epochs": 1}).fit(
        texts, reviews.labels, groups=reviews.films, baseline=True
    )
    known = {token for token in estimator.vocabulary_.tokens if token.startswith("word")}
    assert estimator.baseline_ is not None
    assert len(known) == estimator.training_["texts"] == 160 - estimator.training_["validation_texts"]
    assert {
        term for term in estimator.baseline_.terms if term.startswith("word") and " " not in term
    } == known
    assert estimator.validation_ is not None
    assert estimator.validation_.n == estimator.training_["validation_texts"]


def test_frozen_vectors_decide_what_is_known(reviews: Reviews) -> None:
    """Under frozen vectors a word without one must be left out, not get a random direction."""
    words = ["film", "not", "great", "dull", "is", "the", "never-seen"]
    vectors = WordVectors(words, np.random.default_rng(0).normal(size=(7, 12)).astype(np.float32))
    settings = {**TINY, "vectors": vectors, "train_vectors": False, "unknown": "drop", "pool": "flatten"}
    estimator = clone(TextClassifier(**settings)).fit(reviews.texts, reviews.labels)
    assert set(estimator.vocabulary_.tokens[2:]) == {"film", "not", "great", "dull", "is", "the"}
    assert estimator.model_.config.dim == 12
    for word in ("film", "dull"):
        row = estimator.model_.embedding.weight[estimator.vocabulary_.id(word)].detach().numpy()
        assert np.array_equal(row, vectors[word])
    assert np.array_equal(
        estimator.predict_proba(["the film is not great"]),
        estimator.predict_proba(["the film wasn't is not great"]),
    )
    assert 0 < estimator.training_["vector_coverage"] < 1


def test_corpus_vectors_are_trained_on_training_and_unlabelled_texts_only(reviews: Reviews) -> None:
    """Vectors that have seen validation texts would make every figure too good."""
    pytest.importorskip("gensim")
    held = make_reviews(20, 9)
    seen: list[str] = []
    settings = {**TINY, "epochs": 1, "vectors": "corpus", "threads": 1}
    fit = {
        "validation": ([f"leakword {text}" for text in held.texts], held.labels),
        "unlabelled": [f"{text} extraword" for text in held.texts],
        "on_stage": seen.append,
    }
    estimator = TextClassifier(**settings).fit(reviews.texts, reviews.labels, **fit)
    assert "leakword" not in estimator.vocabulary_
    assert (estimator.training_["split"], estimator.training_["texts"]) == ("given", 160)
    assert estimator.training_["vectors"] == "word2vec"
    assert estimator.training_["vector_coverage"] > 0.9
    assert seen == ["tokenize", "vectors", "train", "validate", "label", "train", "validate"]
    again = TextClassifier(**settings).fit(reviews.texts, reviews.labels, **fit)
    assert np.array_equal(estimator.predict_proba(held.texts), again.predict_proba(held.texts))


def test_the_seed_fixes_everything(reviews: Reviews) -> None:
    """Two runs of one seed that differ cannot be compared with a third."""
    first, second, other = (
        TextClassifier(**TINY, random_state=seed)
        .fit(reviews.texts, reviews.labels)
        .predict_proba(reviews.texts)
        for seed in (4, 4, 5)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_sample_and_class_weights_move_the_prediction(reviews: Reviews) -> None:
    """Weights that got lost on the way would leave the probabilities as they are."""
    settings = TINY  # with a part held out, so that weights must keep to their texts
    weights = [20.0 if label == "positive" else 1.0 for label in reviews.labels]
    plain = TextClassifier(**settings).fit(reviews.texts, reviews.labels)
    sampled = TextClassifier(**settings).fit(reviews.texts, reviews.labels, sample_weight=weights)
    classed = TextClassifier(**settings, class_weight={"positive": 20.0}).fit(reviews.texts, reviews.labels)
    means = [each.predict_proba(reviews.texts)[:, 1].mean() for each in (plain, sampled, classed)]
    assert min(means[1:]) > means[0] + 0.1
    assert np.array_equal(sampled.predict_proba(reviews.texts), classed.predict_proba(reviews.texts))


def test_a_stopped_run_goes_on_to_the_same_model(
    reviews: Reviews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`resume` must end where the run would have ended, vectors trained on the corpus included."""
    pytest.importorskip("gensim")
    from gatelight.models.training import Interrupted

    settings = {**TINY, "vectors": "corpus", "epochs": 3, "threads": 1}
    whole = TextClassifier(**settings).fit(reviews.texts, reviews.labels)

    def stop(record: dict[str, Any]) -> None:
        if record["epoch"] == 2:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "run"
    with pytest.raises(Interrupted):
        TextClassifier(**settings).fit(reviews.texts, reviews.labels, checkpoint=checkpoint, on_epoch=stop)

    def again(*given: Any, **options: Any) -> None:
        pytest.fail("word vectors were trained a second time: on several threads they would be others")

    monkeypatch.setattr("gatelight.estimators.preparation.train_word2vec", again)
    resumed = TextClassifier(**settings).fit(
        reviews.texts, reviews.labels, checkpoint=checkpoint, resume=True
    )
    assert np.array_equal(resumed.predict_proba(reviews.texts), whole.predict_proba(reviews.texts))
    assert len(resumed.history_) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"truncation": "middle"}, "truncation is 'middle'"),
        ({"unknown": "guess"}, "unknown"),
        ({"tokenizer": "morse"}, "morse"),
        ({"pool": "flatten", "max_length": None}, "max_length"),
        ({"hidden_size": 0}, "hidden_size"),
        ({"layer_dropout": 0.5}, "layer_dropout"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"split": "film"}, "split"),
        ({"min_count": 0}, "min_count"),
        ({"train_vectors": "no"}, "train_vectors"),
        ({"train_vectors": False}, r"vectors=.*'corpus'"),
        ({"unknown": "ngrams", "vectors": "corpus"}, "leave out vectors"),
        ({"vectors": "no-such-vectors"}, "no-such-vectors"),
        ({"vectors": 5}, "vectors is of type int"),
        (
            {"class_weight": {"good": 2.0}},
            "class_weight names 'good'; the classes are 'negative', 'positive'",
        ),
        ({"random_state": -1}, "random_state"),
    ],
)
def test_unusable_settings_are_named(reviews: Reviews, settings: dict[str, Any], message: str) -> None:
    """A setting that is only found wrong deep in training would end in a traceback."""
    with pytest.raises(DataError, match=message):
        TextClassifier(**{**TINY, **settings}).fit(reviews.texts, reviews.labels)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"texts": ["a"]}, "1 texts and 160 labels"),
        ({"groups": ["a"]}, "160 texts and 1 groups"),
        ({"sample_weight": [1.0]}, "160 texts and 1 weights"),
        ({"labels": ["x"] * 160}, "all 160 texts"),
        ({"texts": ["  "] * 160}, "holds a word"),
        ({"validation": ([], [])}, "at least one text"),
        ({"validation": (["a"], ["neutral"])}, "'neutral' are none of"),
        ({"groups": ["one film"] * 160}, "one group"),
        ({"sample_weight": [-1.0] * 160}, "sample_weight"),
    ],
)
def test_unusable_data_are_named_and_leave_a_fitted_model_as_it_was(
    reviews: Reviews, given: dict[str, Any], message: str
) -> None:
    """A failed second fit must not leave half of each model behind."""
    estimator = TextClassifier(**{**TINY, "epochs": 1}).fit(reviews.texts, reviews.labels)
    before = estimator.predict_proba(reviews.texts)
    with pytest.raises(DataError, match=message):
        estimator.fit(**{"texts": reviews.texts, "labels": reviews.labels, **given})
    assert np.array_equal(estimator.predict_proba(reviews.texts), before)


def test_score_and_evaluate_agree_and_name_strange_labels(fitted: TextClassifier, reviews: Reviews) -> None:
    """Two figures for one thing must be the same, and other labels must not count as mistakes."""
    found = evaluate(fitted, reviews.texts, reviews.labels)
    assert found.accuracy == fitted.score(reviews.texts, reviews.labels)
    assert found.baseline is not None
    assert evaluate(fitted, reviews.texts, reviews.labels, baseline=False).baseline is None
    with pytest.raises(DataError, match="'1' are none of the model's classes"):
        evaluate(fitted, ["a"], ["1"])
    with pytest.raises(DataError, match="1 texts and 2 labels"):
        evaluate(fitted, ["a"], ["positive", "negative"])
    with pytest.raises(DataError, match="no text"):
        evaluate(fitted, [], [])


def test_settings_changed_after_fitting_do_not_change_predictions(reviews: Reviews) -> None:
    """A model reads as it was trained, whatever is set for the next fit."""
    estimator = TextClassifier(**{**TINY, "epochs": 1}).fit(reviews.texts, reviews.labels)
    before = estimator.predict_proba(reviews.texts)
    estimator.set_params(max_length=2, truncation="tail", unknown="drop", lowercase=False)
    assert np.array_equal(estimator.predict_proba(reviews.texts), before)
