"""Training learns, weighs, stops, keeps its best and repeats itself."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from training_cases import (
    CONFIG,
    TRAIN,
    VALID,
    Data,
    V,
    assert_same,
    build,
    corpus,
    run,
    told,
)

from gatelight.errors import DataError
from gatelight.models.checkpoint import read_record
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.models.history import Progress
from gatelight.models.inference import predict
from gatelight.models.losses import Objective
from gatelight.models.training import Diverged, TrainingConfig, train
from gatelight.nn.threads import threads, using


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize(("classes", "trained"), [(2, True), (3, True), (2, False)])
def test_a_tiny_corpus_can_be_overfitted(cell: str, classes: int, trained: bool) -> None:
    """If this fails some gradient, sign or row number on the way is wrong."""
    ids, lengths, targets = corpus(40, 5, classes)
    full = lengths > 0
    ids, lengths, targets = ids, lengths[full], targets[full]
    vectors = np.random.default_rng(0).normal(size=(V, 16)).astype(np.float32)
    vectors[0] = 0
    config = ClassifierConfig(
        vocabulary_size=V, dim=16, hidden=12, cell=cell, pool="max", outputs=1 if classes == 2 else classes,
        train_embedding=trained,
    )  # fmt: skip
    model = Classifier(config, None if trained else vectors)
    before = model.embedding.weight.detach().clone()
    history = train(
        model, ids, lengths, targets, config=TrainingConfig(epochs=40, learning_rate=2e-2, batch_size=8)
    )
    assert history.epochs[-1]["train_loss"] < 0.05
    assert history.epochs[-1]["train_accuracy"] == 1.0
    assert history.best_epoch == 40
    assert torch.equal(before, model.embedding.weight) is not trained
    probabilities = predict(model, ids, lengths)
    found = probabilities.argmax(1) if classes > 2 else probabilities[:, 0] > 0.5
    assert (found == targets).all()


def test_labels_can_be_overfitted() -> None:
    """Every label is its own yes or no; a text may carry both or none."""
    ids, lengths, _ = corpus(40, 6)
    parts = np.split(ids, np.cumsum(lengths)[:-1])
    targets = np.array([[(p == 2).any(), (p > 30).any()] for p in parts], dtype=np.int64)
    model = build(outputs=2, multilabel=True, dropout=0.0, embedding_dropout=0.0, word_dropout=0.0)
    config = TrainingConfig(epochs=60, learning_rate=2e-2, batch_size=8, class_weight="balanced")
    train(model, ids, lengths, targets, config=config)
    assert ((predict(model, ids, lengths) > 0.5) == targets).mean() > 0.97


@pytest.mark.parametrize("optimizer", ["rmsprop", "adam", "adamw", "sgd"])
def test_the_same_seed_gives_the_same_bits_whatever_else_is_random(optimizer: str) -> None:
    """A result that nobody can repeat cannot be compared; nor one that depends on the machine's cores."""
    config = replace(CONFIG, optimizer=optimizer)
    torch.manual_seed(1)
    first = run(replace(config, threads=1))
    model, before = build(), threads()
    torch.manual_seed(2)
    np.random.seed(2)
    wanted = torch.rand(3), np.random.rand(3)
    torch.manual_seed(2)
    np.random.seed(2)
    second = run(replace(config, threads=2), model)
    assert torch.equal(torch.rand(3), wanted[0])
    np.testing.assert_array_equal(np.random.rand(3), wanted[1])
    assert threads() == before
    assert_same(first, second)
    other = run(replace(config, seed=1))
    assert told(other[1]) != told(first[1])


def test_best_weights_are_put_back() -> None:
    """The last epoch is seldom the best; what is returned must be what the history says was best."""
    for best_by, average in (("valid_accuracy", None), ("valid_loss", 0.5)):
        config = replace(
            CONFIG, epochs=15, learning_rate=0.1, schedule="constant", best_by=best_by, average=average
        )
        model, history = run(config)
        records = history.epochs
        assert history.best_epoch is not None
        best = records[history.best_epoch - 1]
        key = (lambda r: (r["valid_accuracy"], -r["valid_loss"])) if best_by == "valid_accuracy" else (
            lambda r: -r["valid_loss"]
        )  # fmt: skip
        assert key(best) == max(map(key, records))
        assert history.best_epoch < 15, "this test wants a run whose last epoch is not its best"
        scores = Objective(1).scores(predict(model, *VALID[:2]), torch.from_numpy(VALID[2]))
        assert scores == (best["valid_loss"], best["valid_accuracy"])


def test_averaging_watches_and_does_not_steer() -> None:
    """The averages are validated in the weights' place; training must go on from the weights themselves."""
    records = {average: run(replace(CONFIG, average=average))[1].epochs for average in (None, 0.9)}
    for plain, averaged in zip(records[None], records[0.9], strict=True):
        assert plain["train_loss"] == averaged["train_loss"]
        assert plain["valid_loss"] != averaged["valid_loss"]


def test_early_stopping_waits_and_stops() -> None:
    """Patience 3 means three epochs without a better one, no more and no fewer."""
    model, history = run(replace(CONFIG, epochs=60, learning_rate=0.1, schedule="constant", patience=3))
    assert history.best_epoch is not None
    assert len(history.epochs) == history.best_epoch + 3 < 60
    assert history.stopped == "no better valid_accuracy in 3 epochs"
    with pytest.raises(DataError, match="patience needs validation"):
        train(model, *TRAIN, config=replace(CONFIG, patience=3))


def test_epochs_and_progress_are_told() -> None:
    """The bar and the JSON lines stand on these; more than ten calls a second would slow what they watch."""
    epochs: list[dict[str, Any]] = []
    progress: list[Progress] = []
    began = time.monotonic()
    _, history = run(replace(CONFIG, epochs=6), on_epoch=epochs.append, on_progress=progress.append)
    passed = time.monotonic() - began
    assert epochs == history.epochs
    assert [r["epoch"] for r in epochs] == list(range(1, 7))
    assert {"epoch", "seconds", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy"} <= epochs[
        0
    ].keys()
    assert json.loads(json.dumps(epochs)) == epochs
    assert 1 <= len(progress) <= 2 + passed / 0.1
    assert progress[0].step == 2  # the first step's rate would be all that could be said of the rest
    last = progress[-1]
    assert (last.step, last.steps, last.epoch, last.seconds_left) == (48, 48, 6, 0.0)
    assert last.steps_per_second > 0


def test_divergence_is_said_at_its_step_and_overwrites_nothing(tmp_path: Path) -> None:
    """Weights of NaN must not replace a checkpoint that is still good, nor be put into the model."""
    path = tmp_path / "run.checkpoint"
    model = build()
    read = model.hidden

    calls = [0]

    def bad(*args: Any) -> Any:
        calls[0] += 1
        rows, number = read(*args)
        return rows * (float("nan") if calls[0] == 4 else 1.0), number

    model.hidden = bad  # type: ignore[method-assign]
    with pytest.raises(
        Diverged, match=r"step 4 of 24: the loss is nan; .*lower learning rate or a smaller clip"
    ):
        run(model=model, checkpoint=path, checkpoint_seconds=0.0)
    assert read_record(path)["step"] == 3
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())


def test_infinite_gradients_are_caught_before_the_update() -> None:
    """The loss may be finite where its gradient is not; one update by it would spoil every weight."""
    model = build()
    model.head["weight"].register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(Diverged, match="gradient"):
        run(model=model)
    assert all(bool(torch.isfinite(p).all()) for p in model.parameters())


def test_the_mode_of_the_model_and_the_threads_are_put_back() -> None:
    """A model that was being used for prediction must not silently keep its dropout on."""
    model = build().eval()
    with using(1):
        run(model=model)
        assert not model.training
        assert threads() == 1
    assert all(p.grad is None for p in model.parameters())
    assert model.embedding.touched is None


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ((np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0)), "no texts"),
        ((np.ones(3, np.int32), np.array([1, 2]), np.zeros(3)), "3 targets"),
        ((np.ones(3, np.int32), np.array([1, 2]), np.array([0, 2])), "0 to 1"),
    ],
)
def test_data_that_do_not_fit_are_refused(given: Data, word: str) -> None:
    """Each must be one sentence at the start."""
    with pytest.raises(DataError, match=word):
        train(build(), *given, config=CONFIG)


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
