"""A small corpus, model and configuration for the tests of training, and what two runs must share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.models.history import Progress
from gatelight.models.training import History, TrainingConfig, train

V = 40
MODEL = ClassifierConfig(
    vocabulary_size=V,
    dim=8,
    hidden=6,
    bidirectional=True,
    pool="max",
    dropout=0.3,
    embedding_dropout=0.2,
    word_dropout=0.1,
)
CONFIG = TrainingConfig(
    epochs=3,
    batch_size=8,
    learning_rate=1e-2,
    schedule="one-cycle",
    clip=0.5,
    average=0.9,
    class_weight="balanced",
)

Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def corpus(count: int, seed: int, classes: int = 2) -> Data:
    """Ragged texts, some empty, whose class is the id that is planted in them."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 12, count)
    targets = rng.integers(0, classes, count)
    parts = [rng.integers(10, V, n) for n in lengths]
    for part, target in zip(parts, targets, strict=True):
        if len(part):
            part[rng.integers(len(part))] = 2 + target
    return np.concatenate(parts).astype(np.int32), lengths, targets


TRAIN, VALID = corpus(60, 0), corpus(30, 1)


def build(seed: int = 0, **changes: Any) -> Classifier:
    return Classifier(replace(MODEL, **changes), seed=seed)


def run(
    config: TrainingConfig = CONFIG, model: Classifier | None = None, **more: Any
) -> tuple[Classifier, History]:
    model = model if model is not None else build()
    return model, train(model, *TRAIN, valid=VALID, config=config, **more)


def told(history: History) -> dict[str, Any]:
    """A history without the times, which alone may differ."""
    return {
        **history.to_dict(),
        "epochs": [{k: v for k, v in r.items() if "seconds" not in k} for r in history.epochs],
    }


def assert_same(one: tuple[Classifier, History], two: tuple[Classifier, History]) -> None:
    for (name, a), b in zip(one[0].state_dict().items(), two[0].state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    assert told(one[1]) == told(two[1])


def stop_at(step: int) -> Any:
    def on_progress(info: Progress) -> None:
        if info.step >= step:
            raise KeyboardInterrupt

    return on_progress
