"""Settings are checked when they are made and survive JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from training_cases import (
    CONFIG,
)

from gatelight.errors import DataError
from gatelight.models.training import TrainingConfig


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"epochs": 0}, "epochs is 0"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"optimizer": "adagrad"}, "rmsprop"),
        ({"schedule": "cyclic"}, "one-cycle"),
        ({"learning_rate": 0.0}, "above 0"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"clip": 0.0}, "above 0"),
        ({"average": 1.0}, "below 1"),
        ({"label_smoothing": 1.0}, "below 1"),
        ({"patience": 0}, "patience is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"class_weight": "fair"}, "'fair'"),
        ({"class_weight": 3}, "class_weight is 3"),
        ({"best_by": "luck"}, "valid_loss"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], word: str) -> None:
    """A wrong setting must be said before an hour of training, not by what comes out of it."""
    with pytest.raises(DataError, match=word):
        TrainingConfig(**change)


@pytest.mark.parametrize("class_weight", [None, "balanced", {1: 2.0, 0: 1.0}, (1.0, 3.0)])
def test_settings_survive_json(class_weight: Any) -> None:
    """A preset or checkpoint written as JSON must come back as the same settings."""
    config = replace(CONFIG, class_weight=class_weight)
    again = TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.to_dict() == config.to_dict()
    with pytest.raises(DataError, match="'momentun'"):
        TrainingConfig.from_dict({"momentun": 0.9})
