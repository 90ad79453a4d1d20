"""Both classifiers among scikit-learn's own tools: its checks, pipelines, searches, calibration, pickles."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas
import polars
import pytest
import sklearn.utils.estimator_checks as checks
from made_up_reviews import TINY, Reviews, make_reviews
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.inspection import permutation_importance
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from gatelight import LanguageModel, SequenceClassifier, TextClassifier, load
from gatelight.errors import DataError

QUICK: dict[str, Any] = {**TINY, "epochs": 1, "validation_fraction": 0.0}

EXPECTED_FAILURES = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a sequence of weight 2 counts twice in its batch; the same sequence given twice makes other batches "
        "and other steps of the optimiser"
    ),
}


@checks.parametrize_with_checks(
    [SequenceClassifier(hidden_size=4, epochs=12)],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    """What any of its tools may rely on; failures that are right are declared above, with the reason."""
    check(estimator)


def test_the_declared_failure_is_one() -> None:
    """A reason that no longer holds must not stay."""
    for name in EXPECTED_FAILURES:
        with pytest.raises(AssertionError):
            getattr(checks, name)("SequenceClassifier", SequenceClassifier(hidden_size=4, epochs=2))


OF_TEXTS = [  # every check that gives no array of numbers; those need a two_d_array, and texts are none
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_estimator_repr",
    "check_no_attributes_set_in_init",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_mixin_order",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
]


@pytest.mark.parametrize("name", OF_TEXTS)
def test_scikit_learns_checks_of_a_text_classifier(name: str) -> None:
    """Parameters as it wants them: kept as given, settable, shown, cloned."""
    getattr(checks, name)("TextClassifier", TextClassifier())


def test_scikit_learn_knows_that_texts_are_no_numbers() -> None:
    """By the tags its other checks are left out, not failed."""
    with pytest.warns(SkipTestWarning, match="requires input"):
        results = checks.check_estimator(TextClassifier(), on_fail=None)
    assert {result["status"] for result in results} == {"passed"}
    with pytest.raises(ValueError, match="one column of texts"):
        TextClassifier().fit(np.zeros((4, 2)), [0, 1, 0, 1])


@pytest.fixture(scope="module")
def texts() -> Reviews:
    return make_reviews(60, 5)


def test_pipeline_and_grid_search(texts: Reviews) -> None:
    """Parameters by name through a pipeline, groups and lists of texts cut by index."""
    search = GridSearchCV(
        Pipeline([("strip", FunctionTransformer(_stripped)), ("model", TextClassifier(**QUICK))]),
        {"model__hidden_size": np.array([4, 6]), "model__cell": ["gru"]},
        cv=GroupKFold(2),
        error_score="raise",
    )
    search.fit(texts.texts, texts.labels, groups=texts.films)
    assert search.best_params_["model__hidden_size"] in (4, 6)
    assert search.best_estimator_["model"].classes_.tolist() == ["negative", "positive"]
    assert search.predict(texts.texts[:3]).shape == (3,)


def _stripped(texts: Any) -> list[str]:
    return [text.strip() for text in texts]


@pytest.mark.parametrize(
    "form",
    [list, tuple, np.array, pandas.Series, polars.Series, lambda v: np.array(v, object),
     lambda v: pandas.Series(v, dtype="string"), lambda v: np.array(v, dtype=np.dtypes.StringDType())],
    ids=["list", "tuple", "numpy", "pandas", "polars", "objects", "pandas strings", "numpy strings"],
)  # fmt: skip
def test_columns_of_any_kind(form: Any, texts: Reviews) -> None:
    """Cross-validation cuts columns by index, each library in its own way."""
    found = cross_val_score(TextClassifier(**QUICK), form(texts.texts), texts.labels, cv=2)
    expected = cross_val_score(TextClassifier(**QUICK), texts.texts, texts.labels, cv=2)
    assert np.array_equal(found, expected)


def sequences() -> tuple[list[Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 60)
    return [rng.normal(size=(rng.integers(3, 7), 2)) + label for label in y], y


def test_calibration(texts: Reviews) -> None:
    """Calibrated probabilities from folds, for texts and for ragged sequences."""
    X, y = sequences()
    cases: list[tuple[Any, Any, Any]] = [
        (TextClassifier(**QUICK), np.array(texts.texts), texts.labels),
        (SequenceClassifier(hidden_size=4, epochs=3), X, y),
    ]
    for model, inputs, labels in cases:
        calibrated = CalibratedClassifierCV(model, cv=2, method="sigmoid").fit(inputs, labels)
        columns = calibrated.predict_proba(inputs[:5])
        assert columns.shape == (5, 2)
        np.testing.assert_allclose(columns.sum(axis=1), 1)


def test_permutation_importance(texts: Reviews) -> None:
    """The column with the texts counts, one that is not read does not; of a series the step that decides."""
    frame = pandas.DataFrame({"text": texts.texts, "film": texts.films})
    settings = {**QUICK, "epochs": 8}
    model = make_pipeline(FunctionTransformer(_text_column), TextClassifier(**settings))
    model.fit(frame, texts.labels)
    found = permutation_importance(model, frame, texts.labels, n_repeats=3, random_state=0)
    assert found.importances_mean[1] == 0 < found.importances_mean[0]
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 4))
    steps = make_pipeline(StandardScaler(), SequenceClassifier(hidden_size=8, pool="last"))
    steps.fit(X, X[:, 2] > 0)
    importance = permutation_importance(steps, X, X[:, 2] > 0, n_repeats=3, random_state=0).importances_mean
    assert importance.argmax() == 2


def _text_column(frame: Any) -> Any:
    return frame["text"]


def test_pickle_and_joblib(texts: Reviews, tmp_path: Path) -> None:
    """scikit-learn's own way to keep and send an estimator; model folders hold no pickle."""
    X, y = sequences()
    for model, inputs, labels in (
        (TextClassifier(**QUICK), texts.texts, texts.labels),
        (SequenceClassifier(hidden_size=4, epochs=2), X, y),
        (SequenceClassifier(hidden_size=4, epochs=2), [[1, 2], [2, 1], [1], [2]] * 5, [0, 1, 0, 1] * 5),
    ):
        expected = model.fit(inputs, labels).predict_proba(inputs)
        joblib.dump(model, tmp_path / "model.joblib")
        for again in (
            pickle.loads(pickle.dumps(model)),  # its own bytes
            joblib.load(tmp_path / "model.joblib"),
        ):
            assert np.array_equal(again.predict_proba(inputs), expected)


def test_scores_and_logarithms_are_those_of_the_probabilities(texts: Reviews) -> None:
    """Metrics and tools of scikit-learn ask for decision_function first."""
    X, y = sequences()
    three = [f"{label} {row % 2}" for row, label in enumerate(texts.labels)]
    for model, inputs, labels in (
        (TextClassifier(**QUICK), texts.texts, texts.labels),
        (TextClassifier(**QUICK), texts.texts, three),
        (SequenceClassifier(hidden_size=4, epochs=2), X, y),
    ):
        columns = model.fit(inputs, labels).predict_proba(inputs)
        np.testing.assert_allclose(model.predict_log_proba(inputs), np.log(columns), rtol=1e-5)
        scores = model.decision_function(inputs)
        if columns.shape[1] == 2:
            np.testing.assert_allclose(scores, np.log(columns[:, 1] / columns[:, 0]), rtol=1e-3, atol=1e-4)
        else:
            np.testing.assert_array_equal(scores.argmax(axis=1), columns.argmax(axis=1))


@pytest.mark.parametrize("form", [np.asarray, csr_matrix], ids=["dense", "sparse"])
def test_an_indicator_matrix_goes_in_and_comes_out(texts: Reviews, form: Any, tmp_path: Path) -> None:
    """Of several labels a text scikit-learn knows only the matrix; a column without a one must stay."""
    pairs = zip(texts.texts, texts.labels, strict=True)
    y = np.array([[label == "positive", "film" in text, False] for text, label in pairs], int)
    model = TextClassifier(**QUICK).fit(texts.texts, form(y))
    found = model.predict(texts.texts)
    assert found.shape == y.shape
    assert set(np.unique(found)) <= {0, 1}
    assert model.score(texts.texts, y) == accuracy_score(y, found)
    assert model.decision_function(texts.texts).shape == y.shape
    model.save(tmp_path / "m")
    assert np.array_equal(load(tmp_path / "m").predict(texts.texts), found)
    with pytest.raises(DataError, match="more than 0 and 1"):
        TextClassifier(**QUICK).fit(texts.texts, y + 1)


def test_one_column_of_labels_or_texts_is_a_column(texts: Reviews) -> None:
    """`frame[["label"]]` and scikit-learn's tools for columns give such."""
    model = TextClassifier(**QUICK).fit(texts.texts, np.array(texts.labels)[:, None])
    assert model.classes_.tolist() == ["negative", "positive"]
    column = np.array(texts.texts, object)[:, None]
    assert np.array_equal(model.predict(column), model.predict(texts.texts))
    found = permutation_importance(model, column, texts.labels, n_repeats=2, random_state=0)
    assert found.importances.shape == (1, 2)


@pytest.mark.parametrize("state", [None, np.random.RandomState(3), np.random.default_rng(3), np.int64(4)])
def test_random_state_is_scikit_learns(texts: Reviews, state: Any, tmp_path: Path) -> None:
    """None is how scikit-learn asks for another draw each time."""
    for model, inputs, labels in (
        (TextClassifier(**QUICK, random_state=state), texts.texts, texts.labels),
        (SequenceClassifier(hidden_size=4, epochs=1, random_state=state), *sequences()),
    ):
        assert model.fit(inputs, labels).get_params()["random_state"] is state
    fits = [TextClassifier(**QUICK, random_state=None).fit(texts.texts, texts.labels) for _ in range(2)]
    seeds = {model.training_["seed"] for model in fits}
    assert len(seeds) == 2
    model = fits[0].set_params(random_state=state)
    model.save(tmp_path / "m")
    again = load(tmp_path / "m").predict_proba(texts.texts)
    assert np.array_equal(again, model.predict_proba(texts.texts))
    LanguageModel(hidden_size=4, batch_size=2, steps=8, random_state=state).fit(texts.texts)


def test_a_language_model_is_an_estimator() -> None:
    """`clone`, a grid search and `check_is_fitted` rest on this."""
    model = LanguageModel(hidden_size=4, batch_size=2, steps=8, min_count=1)
    before = model.get_params()
    with pytest.raises(NotFittedError):
        model.perplexity(["a"])
    fitted = clone(model).fit(["a film", "a dull film"] * 20)
    assert fitted.get_params() == before == clone(fitted).get_params()
    search = GridSearchCV(model, {"hidden_size": [3, 4]}, cv=2).fit(np.array(["a film", "a dull film"] * 20))
    assert search.best_params_["hidden_size"] in (3, 4)
    line = make_pipeline(FunctionTransformer(lambda given: list(given)), clone(model))
    assert line.fit(["a film", "a dull film"] * 20).score(["a film"]) < 0


def test_arguments_after_the_labels_have_names(texts: Reviews) -> None:
    """The third argument is groups to one reader and weights to another: it was taken as groups."""
    with pytest.raises(TypeError, match="positional"):
        TextClassifier(**QUICK).fit(texts.texts, texts.labels, np.ones(len(texts.texts)))  # type: ignore[misc]
