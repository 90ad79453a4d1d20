"""Gradual unfreezing: what is frozen does not move by a bit; a run that was stopped thaws where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatelight.models import training
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.models.training import Interrupted, TrainingConfig, train

rng = np.random.default_rng(0)
LENGTHS = rng.integers(1, 9, 40)
IDS = rng.integers(2, 12, int(LENGTHS.sum())).astype(np.int32)
TARGETS = rng.integers(0, 2, 40)


def _train(model: Classifier, epochs: int, optimizer: str = "adam", **how: Any) -> list[dict[str, bool]]:
    """Which weights had moved after each epoch."""
    start = {name: weight.clone() for name, weight in model.state_dict().items()}
    moved: list[dict[str, bool]] = []

    def look(record: dict[str, Any]) -> None:
        now = model.state_dict()
        moved.append({name: not torch.equal(now[name], old) for name, old in start.items()})

    config = TrainingConfig(
        epochs=epochs, batch_size=8, optimizer=optimizer, average=how.pop("average", None), weight_decay=0.01,
        best_by="last", gradual_unfreezing=True,
    )  # fmt: skip
    train(model, IDS, LENGTHS, TARGETS, config=config, on_epoch=look, **how)
    return moved


def _model(layers: int = 2, **settings: Any) -> Classifier:
    return Classifier(ClassifierConfig(12, dim=4, hidden=3, layers=layers, pool="max", **settings), seed=1)


def _groups(moved: dict[str, bool]) -> dict[str, bool]:
    """Whether any weight of a group moved, and that all of it did or none (a fixed bias aside)."""
    found: dict[str, bool] = {}
    for name, did in moved.items():
        if "bias_hh" not in name:
            group = ".".join(name.split(".")[:2]) if name.startswith("memory") else name.split(".")[0]
            assert found.setdefault(group, did) == did, name
    return found


@pytest.mark.parametrize("optimizer", ["adam", "lazyadam", "adamw", "rmsprop", "sgd"])
def test_frozen_weights_do_not_move_by_a_bit(optimizer: str) -> None:
    """Weight decay, momentum or a moving average would creep into layers that have not begun to train."""
    moved = _train(_model(), 5, optimizer, average=0.9 if optimizer == "adam" else None)
    order = ["head", "memory.1", "memory.0", "embedding", None]
    unfrozen: list[str | None] = []
    for epoch, group in zip(moved, order, strict=True):
        unfrozen.append(group)
        assert {name for name, did in _groups(epoch).items() if did} == set(unfrozen) - {None}


def test_few_epochs_thaw_several_groups_at_once() -> None:
    """With one epoch the memory would otherwise never be trained."""
    assert all(_groups(_train(_model(), 1)[0]).values())
    first, last = map(_groups, _train(_model(), 2))
    assert {name for name, did in first.items() if did} == {"head", "memory.1"}
    assert all(last.values())


def test_what_is_not_trained_stays_so() -> None:
    """Given vectors that are to stay, and the second bias that is fixed at zero, would begin to move."""
    model = _model(train_embedding=False)
    before = {name: p.requires_grad for name, p in model.named_parameters()}
    moved = _train(model, 4)
    assert not moved[-1]["embedding.weight"]
    assert not any(did for name, did in moved[-1].items() if "bias_hh" in name)
    assert {name: p.requires_grad for name, p in model.named_parameters()} == before


def test_a_stopped_run_thaws_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Going on from an epoch's middle with all layers unfrozen, or all frozen, would end in other weights."""
    monkeypatch.setattr(training, "PROGRESS_EVERY", 0.0)
    whole, cut = _model(), _model()
    _train(whole, 4)

    def stop(at: Any) -> None:
        if at.step == 7:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        _train(cut, 4, checkpoint=tmp_path / "run", on_progress=stop)
    again = _model()
    _train(again, 4, checkpoint=tmp_path / "run", resume=True)
    for name, weight in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name
