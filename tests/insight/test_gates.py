"""What gates do: against gates clamped at known values, the lines of the cell, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_reviews import TINY, make_reviews

from gatelight import TextClassifier
from gatelight.errors import DataError
from gatelight.insight.gates import activity_order, half_lives

TEXTS = ["the film is a delight !", "its plot is not clever , and the music is a mess ."]
CLAMPED = 1e-4
"""A clamped gate has the kernels' rounding, of which a logarithm near 1 makes more."""


def fitted(cell: str, **settings: object) -> TextClassifier:
    reviews = make_reviews(60, 3)
    how = TINY | {"epochs": 1, "learning_rate": 0.1, "cell": cell} | settings
    return TextClassifier(**how).fit(reviews.texts, reviews.labels)


@pytest.fixture(scope="module", params=["lstm", "gru"])
def model(request: pytest.FixtureRequest) -> TextClassifier:
    return fitted(request.param)


def test_half_lives_of_gates_clamped_at_known_values(model: TextClassifier) -> None:
    """At ½ half is left after one token, at 2^(−1/10) after ten."""
    gate = "forget_gate" if model.cell == "lstm" else "update_gate"
    values = np.array([0.5, 0.25, 2**-0.1, 0.0, 1.0, 0.05, 0.95, 0.5])
    trace = model.with_gates(**{gate: values}).trace(TEXTS)
    found = half_lives(trace, direction=1)
    np.testing.assert_allclose(found[[0, 1, 2]], [1, 0.5, 10], rtol=CLAMPED)
    assert found[3] < 0.05
    assert found[4] > 1e5
    with pytest.raises(DataError, match="a rnn has no gate that keeps"):
        half_lives(fitted("rnn").trace(TEXTS))


def test_orders_of_units() -> None:
    """The most active unit comes first."""
    trace = fitted("lstm", hidden_size=12).trace(TEXTS)
    states = trace.gate("hidden_state", 1)
    assert activity_order(trace, 1)[0] == states.std(axis=0).argmax()
