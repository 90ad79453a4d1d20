"""Training learns, stops, keeps its best, and goes on from where it was stopped, bit for bit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gatelight.errors import DataError, ModelFileError
from gatelight.memory.threads import set_threads, threads
from gatelight.models.batches import plan_batches
from gatelight.models.checkpoint import read_record
from gatelight.models.classifier import Classifier, ClassifierConfig
from gatelight.models.history import Progress
from gatelight.models.losses import Objective
from gatelight.models.prediction import predict
from gatelight.models.training import Diverged, History, Interrupted, TrainingConfig, train

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
    torch.manual_seed(2)
    torch.rand(10)
    before = threads()
    second = run(replace(config, threads=2))
    assert threads() == before
    assert_same(first, second)
    other = run(replace(config, seed=1))
    assert told(other[1]) != told(first[1])


def test_torch_threads_do_not_change_the_bits() -> None:
    """A machine that gives torch more threads adds in another order; only arrays this large show it."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(60, 100, 64)
    given = rng.integers(2, 3000, lengths.sum()).astype(np.int32), lengths, rng.integers(0, 2, 64)
    config = TrainingConfig(epochs=3, batch_size=32, learning_rate=0.05, optimizer="sgd", clip=1.0)

    def summing(logits: Any) -> Any:
        # A sum of so many numbers comes out differently at 1 and 2 threads of torch.
        return lambda hidden, *rest: logits(hidden, *rest) + hidden.sum()

    before = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            model = Classifier(ClassifierConfig(vocabulary_size=3000, dim=64, hidden=48, pool="mean"))
            model.logits = summing(model.logits)  # type: ignore[method-assign]
            results.append((model, train(model, *given, config=config)))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)
    assert_same(*results)


def test_global_random_state_is_left_alone() -> None:
    """Training inside someone's notebook must not change what their next random number is."""
    torch.manual_seed(5)
    np.random.seed(5)
    wanted = torch.rand(3), np.random.rand(3)
    model = build()
    torch.manual_seed(5)
    np.random.seed(5)
    run(model=model)
    assert torch.equal(torch.rand(3), wanted[0])
    np.testing.assert_array_equal(np.random.rand(3), wanted[1])


def test_sample_weights_equal_repetition() -> None:
    """A text of weight 2 is two texts: with plain batches of everything, in every step."""
    ids, lengths, targets = TRAIN
    parts = np.split(ids, np.cumsum(lengths)[:-1])
    counts = np.random.default_rng(3).integers(0, 3, len(lengths))
    again = np.repeat(np.arange(len(lengths)), counts)
    config = TrainingConfig(epochs=5, batch_size=10_000, learning_rate=1e-2, bucket=False)
    plain: dict[str, Any] = {"dropout": 0.0, "embedding_dropout": 0.0, "word_dropout": 0.0}
    weighted, repeated = build(**plain), build(**plain)
    one = train(weighted, *TRAIN, sample_weight=counts, config=config)
    two = train(
        repeated, np.concatenate([parts[k] for k in again]), lengths[again], targets[again], config=config
    )
    for a, b in zip(one.epochs, two.epochs, strict=True):
        assert a["train_loss"] == pytest.approx(b["train_loss"], rel=1e-4)
    np.testing.assert_allclose(predict(weighted, ids, lengths), predict(repeated, ids, lengths), atol=1e-3)


def test_class_weights_shift_the_judgement() -> None:
    """Whoever weighs the rare class more wants it found more often."""
    mean = {}
    for weight in (1.0, 9.0):
        model = build()
        train(
            model,
            *TRAIN,
            config=TrainingConfig(epochs=4, learning_rate=1e-2, batch_size=8, class_weight={1: weight}),
        )
        mean[weight] = predict(model, *VALID[:2]).mean()
    assert mean[9.0] > mean[1.0] + 0.1


def test_best_weights_are_put_back() -> None:
    """The last epoch is seldom the best; what is returned must be what the history says was best."""
    for best_by, average in (("valid_accuracy", None), ("valid_loss", 0.5)):
        config = replace(
            CONFIG, epochs=12, learning_rate=0.1, schedule="constant", best_by=best_by, average=average
        )
        model, history = run(config)
        records = history.epochs
        assert history.best_epoch is not None
        best = records[history.best_epoch - 1]
        key = (lambda r: (r["valid_accuracy"], -r["valid_loss"])) if best_by == "valid_accuracy" else (
            lambda r: -r["valid_loss"]
        )  # fmt: skip
        assert key(best) == max(map(key, records))
        assert history.best_epoch < 12, "this test wants a run whose last epoch is not its best"
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
    last = progress[-1]
    assert (last.step, last.steps, last.epoch, last.seconds_left) == (48, 48, 6, 0.0)
    assert last.steps_per_second > 0


def stop_at(step: int) -> Any:
    def on_progress(info: Progress) -> None:
        if info.step >= step:
            raise KeyboardInterrupt

    return on_progress


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_an_interrupted_run_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str, trained: bool
) -> None:
    """Stopped anywhere, twice, and gone on with: the same weights and the same history as in one go."""
    monkeypatch.setattr("gatelight.models.training.PROGRESS_EVERY", 0.0)
    config = replace(CONFIG, optimizer=optimizer)
    vectors = np.random.default_rng(0).normal(size=(V, 8)).astype(np.float32)
    vectors[0] = 0

    def fresh() -> Classifier:
        # Trained weights of a fresh model are overwritten by the checkpoint's, so they may differ here.
        return Classifier(
            replace(MODEL, train_embedding=trained), vectors, seed=len(list(tmp_path.iterdir()))
        )

    whole = run(config, Classifier(replace(MODEL, train_embedding=trained), vectors, seed=0))
    path = tmp_path / "run.checkpoint"
    with pytest.raises(Interrupted, match="after step 5 of 24") as stopped:
        run(config, fresh(), checkpoint=path, on_progress=stop_at(5))
    assert stopped.value.path == path
    with pytest.raises(Interrupted, match="after step 8 of 24"):  # an epoch's last step, not validated yet
        run(config, fresh(), checkpoint=path, resume=True, on_progress=stop_at(8))
    epochs: list[dict[str, Any]] = []

    def stop_after_second(record: dict[str, Any]) -> None:
        epochs.append(record)
        if record["epoch"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="after step 16 of 24"):
        run(config, fresh(), checkpoint=path, resume=True, on_epoch=stop_after_second)
    resumed = run(config, fresh(), checkpoint=path, resume=True, on_epoch=epochs.append)
    assert_same(whole, resumed)
    assert [r["epoch"] for r in epochs] == [1, 2, 3]  # nobody is told twice
    again = run(config, fresh(), checkpoint=path, resume=True)  # finished: the result at once
    assert_same(whole, again)


SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_training as t
def slow(info):
    print(info.step, flush=True)
    time.sleep(0.05)
t.train.__globals__["PROGRESS_EVERY"] = 0.0
t.run(checkpoint=Path(sys.argv[2]), checkpoint_seconds=0.0, on_progress=slow)
"""


def test_a_killed_process_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """SIGKILL leaves no time to tidy up: whatever lies on the disk at any moment must be enough."""
    path = tmp_path / "run.checkpoint"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent), str(path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "11":
            process.kill()
            break
    process.stdout.close()
    assert process.wait(30) == -signal.SIGKILL
    assert 9 <= read_record(path)["step"] < 24
    assert_same(run(), run(model=build(seed=7), checkpoint=path, resume=True))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(tmp_path: Path) -> None:
    """Half an update written down would be a run that never was; a second Ctrl-C must still get through."""
    path = tmp_path / "run.checkpoint"
    handler = signal.getsignal(signal.SIGINT)

    def pressing(model: Classifier, at: int, times: int) -> Classifier:
        calls = iter(range(1, 100))
        forward = model.hidden_rows

        def hidden_rows(*args: Any) -> torch.Tensor:
            if next(calls) == at:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)
            return forward(*args)

        model.hidden_rows = hidden_rows  # type: ignore[method-assign]
        return model

    with pytest.raises(Interrupted, match=r"after step 11 of 24; .*--resume"):
        run(model=pressing(build(), 11, 1), checkpoint=path)
    assert read_record(path)["step"] == 11
    with pytest.raises(Interrupted, match="after step 13 of 24"):  # at once: step 14 is not done
        run(model=pressing(build(), 3, 2), checkpoint=path, resume=True)
    assert signal.getsignal(signal.SIGINT) is handler
    assert_same(run(), run(model=build(seed=7), checkpoint=path, resume=True))


def test_interrupted_without_a_checkpoint_says_so() -> None:
    """Nobody should look for a file that was never asked for."""
    with pytest.raises(Interrupted, match="no checkpoint") as stopped:
        run(on_progress=stop_at(1))
    assert stopped.value.path is None


def unfinished(path: Path) -> None:
    with pytest.raises(Interrupted):
        run(checkpoint=path, on_progress=stop_at(1))


def test_other_data_or_settings_are_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    """Going on with other texts or another rate would give a result that no single run could give."""
    path = tmp_path / "run.checkpoint"
    unfinished(path)
    before = path.read_bytes()
    ids, lengths, targets = TRAIN
    more: dict[str, Any] = {"checkpoint": path, "resume": True}
    with pytest.raises(DataError, match=r"other settings \(learning_rate was 0.01, is 0.02\)"):
        run(replace(CONFIG, learning_rate=0.02), **more)
    with pytest.raises(DataError, match="other data"):
        train(build(), ids, lengths, 1 - targets, valid=VALID, config=CONFIG, **more)
    with pytest.raises(DataError, match="other data"):
        train(build(), ids[::-1].copy(), lengths, targets, valid=VALID, config=CONFIG, **more)
    with pytest.raises(DataError, match="other data"):
        train(build(), ids, lengths, targets, config=CONFIG, **more)
    with pytest.raises(DataError, match=r"other model settings \(hidden was 6, is 7\)"):
        run(model=build(hidden=7), **more)
    with pytest.raises(DataError, match=r"other model settings \(dropout was 0.3, is 0.4\)"):
        run(model=build(dropout=0.4), **more)
    with pytest.raises(DataError, match="go on from there"):
        run(checkpoint=path)
    assert path.read_bytes() == before
    foreign = tmp_path / "thesis.txt"
    foreign.write_text("my only copy")
    with pytest.raises(ModelFileError):
        run(checkpoint=foreign)
    assert foreign.read_text() == "my only copy"
    with pytest.raises(ModelFileError, match="there is no checkpoint"):
        run(checkpoint=tmp_path / "absent", resume=True)
    with pytest.raises(DataError, match="without a checkpoint"):
        run(resume=True)


def test_a_finished_checkpoint_may_be_replaced(tmp_path: Path) -> None:
    """Training twice into the same place must not need a deletion by hand in between."""
    path = tmp_path / "run.checkpoint"
    first = run(checkpoint=path)
    assert_same(first, run(checkpoint=path))


def test_frozen_vectors_must_be_the_same(tmp_path: Path) -> None:
    """Frozen vectors are not in the checkpoint; others in their place would go unseen."""
    path = tmp_path / "run.checkpoint"
    vectors = np.ones((V, 8), np.float32)
    vectors[0] = 0
    frozen = replace(MODEL, train_embedding=False)
    with pytest.raises(Interrupted):
        run(model=Classifier(frozen, vectors), checkpoint=path, on_progress=stop_at(1))
    assert not any("embedding" in name for name in checkpoint_names(path))
    with pytest.raises(DataError, match="frozen vectors"):
        run(model=Classifier(frozen, 2 * vectors), checkpoint=path, resume=True)


def checkpoint_names(path: Path) -> list[str]:
    from gatelight.models.checkpoint import read_checkpoint

    return list(read_checkpoint(path)[1])


def test_divergence_is_said_at_its_step_and_overwrites_nothing(tmp_path: Path) -> None:
    """Weights of NaN must not replace a checkpoint that is still good, nor be put into the model."""
    path = tmp_path / "run.checkpoint"
    model = build()
    bad = model.logits

    calls = [0]

    def logits(*args: Any) -> torch.Tensor:
        calls[0] += 1
        return bad(*args) * (float("nan") if calls[0] == 4 else 1.0)

    model.logits = logits  # type: ignore[method-assign]
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


def test_a_full_disk_at_a_checkpoint_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error must come out as an OSError, with the last good checkpoint there to go on from."""
    path = tmp_path / "run.checkpoint"
    unfinished(path)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("gatelight.models.training.write_checkpoint", full)
        with pytest.raises(OSError, match="No space left"):
            run(checkpoint=path, resume=True)
    assert path.read_bytes() == before
    assert_same(run(), run(checkpoint=path, resume=True))


def test_the_mode_of_the_model_and_the_threads_are_put_back() -> None:
    """A model that was being used for prediction must not silently keep its dropout on."""
    model = build().eval()
    before = threads()
    try:
        set_threads(1)
        run(model=model)
        assert not model.training
        assert threads() == 1
    finally:
        set_threads(before)
    assert all(p.grad is None for p in model.parameters())
    assert model.embedding.touched is None


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
    """A recipe or checkpoint written as JSON must come back as the same settings."""
    config = replace(CONFIG, class_weight=class_weight)
    again = TrainingConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert again.to_dict() == config.to_dict()
    with pytest.raises(DataError, match="'momentun'"):
        TrainingConfig.from_dict({"momentun": 0.9})


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


def test_batches_come_from_seed_and_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop must use the plan of (seed, epoch) and see every text once an epoch."""
    model = build()
    seen: list[int] = []
    forward = model.forward

    def watched(ids: Any, lengths: Any, generator: Any = None) -> torch.Tensor:
        seen.append(len(lengths))
        return forward(ids, lengths, generator)

    monkeypatch.setattr(model, "forward", watched)
    train(model, *TRAIN, config=replace(CONFIG, epochs=2, seed=4))
    wanted = [
        len(b) for e in range(2) for b in plan_batches(TRAIN[1], 8, seed=4, epoch=e, bucket=True)
    ]  # fmt: skip
    assert seen == wanted
