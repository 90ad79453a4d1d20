"""A run that was stopped, killed or out of disk goes on from its checkpoint, bit for bit."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from training_cases import (
    CONFIG,
    MODEL,
    TRAIN,
    VALID,
    V,
    assert_same,
    build,
    run,
    stop_at,
)

from gatelight.errors import DataError, ModelFileError
from gatelight.models.checkpoint import read_record
from gatelight.models.classifier import Classifier
from gatelight.models.training import Interrupted, train


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
import training_cases as t
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
        read = model.hidden

        def pressed(*args: Any) -> Any:
            if next(calls) == at:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)
            return read(*args)

        model.hidden = pressed  # type: ignore[method-assign]
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
