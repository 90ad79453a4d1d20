"""What gates do: against gates clamped at known values, the lines of the cell, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from made_up_reviews import TINY, make_reviews

from gatelight import TextClassifier
from gatelight.errors import DataError
from gatelight.insight.gates import (
    ablate,
    activity_order,
    gate_means,
    half_lives,
    similar_order,
)

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
    """The most active unit comes first; two that go alike stand side by side."""
    trace = fitted("lstm", hidden_size=12).trace(TEXTS)
    states = trace.gate("hidden_state", 1)
    assert activity_order(trace, 1)[0] == states.std(axis=0).argmax()
    alike = np.corrcoef(states.T) - 2 * np.eye(12)
    a, b = np.unravel_index(alike.argmax(), alike.shape)
    order = similar_order(trace, 1).tolist()
    assert sorted(order) == list(range(12))
    assert abs(order.index(a) - order.index(b)) == 1


def test_ablation_is_what_a_model_with_the_gate_clamped_scores() -> None:
    """A mean over the wrong axis, or a gate of the wrong layer, would still give a table."""
    reviews = make_reviews(80, 3)
    model = TextClassifier(**TINY | {"layers": 2, "epochs": 8, "cell": "gru"})
    model.fit(reviews.texts, reviews.labels)
    found = ablate(model, reviews.texts, reviews.labels)
    assert len(found) == 2 * 2 * 3
    trace, means = model.trace(reviews.texts), gate_means(model, reviews.texts)
    for direction in (0, 1):
        rows = [trace.gate("update_gate", text, 1, direction) for text in range(len(trace))]
        by_hand = np.concatenate(rows).mean(axis=0, dtype=np.float64)
        np.testing.assert_allclose(means["update_gate", 1][direction], by_hand, atol=1e-6)
    shut = next(one for one in found if (one.gate, one.layer, one.at) == ("update_gate", 1, "shut"))
    clamped = model.with_gates(layer=1, update_gate=0.0)
    assert shut.accuracy == clamped.score(reviews.texts, reviews.labels)
    assert shut.change.mean == pytest.approx(shut.accuracy - model.score(reviews.texts, reviews.labels))
    assert shut.change.low <= shut.change.mean <= shut.change.high
    assert shut.same == (clamped.predict(reviews.texts) == model.predict(reviews.texts)).mean()
    assert ablate(fitted("rnn"), reviews.texts, reviews.labels) == []
    with pytest.raises(DataError, match="80 texts and 3 labels"):
        ablate(model, reviews.texts, reviews.labels[:3])
