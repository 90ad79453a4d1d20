"""Temperature and calibration error against closed forms, and a calibrated model that is saved as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_reviews import TINY, Reviews
from scipy.special import expit, softmax

import gatelight
from gatelight import TextClassifier
from gatelight.errors import DataError
from gatelight.estimators.calibration import calibration, fitted_temperature, with_temperature

SAMPLING = 0.08
"""Of a temperature fitted on 20,000 draws; its standard error is about 0.02."""
FLOAT32 = 2e-6
"""Weights are divided in float32, probabilities in float64."""


def drawn(classes: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are too sure by a temperature, and labels drawn from the right ones."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (20_000, classes))
    honest = softmax(logits, axis=1)
    labels = (honest.cumsum(axis=1) > draw.random((20_000, 1))).argmax(axis=1)
    return softmax(logits * temperature, axis=1).astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_was_put_in_is_found(classes: int, temperature: float) -> None:
    """Fitting towards anything but the log loss, or with its sign turned, would find another one."""
    columns, labels = drawn(classes, temperature)
    found = fitted_temperature(columns, labels)
    assert found == pytest.approx(temperature, rel=SAMPLING)
    before, after = calibration(columns, labels), calibration(with_temperature(columns, found), labels)
    assert after.error < 0.015
    assert before.error > after.error or temperature == 1.0
    assert (with_temperature(columns, found).argmax(axis=1) == columns.argmax(axis=1)).all()


def test_several_labels_share_one_temperature() -> None:
    """A text may have several labels: each is a question of its own."""
    draw = np.random.default_rng(1)
    logits = draw.normal(0, 2, (10_000, 3))
    targets = (draw.random((10_000, 3)) < expit(logits)).astype(np.float32)
    assert fitted_temperature(expit(2 * logits), targets) == pytest.approx(2, rel=SAMPLING)


def test_the_calibration_error_by_hand() -> None:
    """Four texts in two bins: 2/4 · |1/2 − 0.95| + 2/4 · |1 − 0.6| = 0.425."""
    columns = np.array([[0.95, 0.05], [0.05, 0.95], [0.6, 0.4], [0.4, 0.6]])
    found = calibration(columns, np.array([0, 0, 0, 1]), bins=10)
    assert found.error == pytest.approx(0.425)
    assert [(b.texts, b.accuracy) for b in found.bins] == [(2, 1.0), (2, 0.5)]
    assert [(round(b.low, 3), round(b.high, 3)) for b in found.bins] == [(0.5, 0.6), (0.9, 1.0)]


def test_no_temperature_is_found_beyond_reason() -> None:
    """Texts that are all right would ask for certainty without end."""
    columns = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert 1 / 21 < fitted_temperature(columns, np.array([0, 1])) < 0.06
    assert np.isfinite(with_temperature(np.array([[1.0, 0.0]]), 2.0)).all()


@pytest.mark.parametrize("settings", [{}, {"pool": "flatten"}, {"pool": "attention", "classes": 3}])
def test_a_calibrated_model_is_saved_and_predicts_by_its_temperature(
    settings: dict[str, object], reviews: Reviews, tmp_path: Path
) -> None:
    """A temperature that the file, another head or a second look forgets would be no calibration."""
    several = settings.pop("classes", 2) == 3
    labels = [i % 3 for i in range(160)] if several else reviews.labels
    fitted = TextClassifier(**{**TINY, "epochs": 1, **settings}).fit(reviews.texts, labels)
    offered = fitted.training_["validation_temperature"]
    assert offered > 0
    before = fitted.predict_proba(reviews.texts)
    fitted.calibrate(2.0)
    after = fitted.predict_proba(reviews.texts)
    np.testing.assert_allclose(after, with_temperature(before, 2.0), atol=FLOAT32)
    assert fitted.training_["temperature"] == 2.0
    assert fitted.training_["validation_temperature"] == offered / 2
    fitted.save(tmp_path / "model")
    again = gatelight.load(tmp_path / "model")
    assert np.array_equal(again.predict_proba(reviews.texts), after)
    again.calibrate(0.5)
    np.testing.assert_allclose(again.predict_proba(reviews.texts), before, atol=FLOAT32)
    assert again.training_["temperature"] == 1.0
    assert "a temperature of 2.00" in (tmp_path / "model" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_temperature_is_refused(temperature: float, fitted: TextClassifier) -> None:
    """Dividing by zero would save a model of NaN."""
    with pytest.raises(DataError, match="positive number"):
        fitted.calibrate(temperature)
    assert "temperature" not in fitted.training_
