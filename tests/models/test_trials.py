"""Trials: each is made once, in whatever process, and what is found outlives a stop."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from gatelight.errors import DataError, MissingExtraError
from gatelight.models.trials import run_trials

ONE_AND_TWO = [1, pytest.param(2, marks=pytest.mark.slow)]  # a process must import torch first
TRIALS = [{"size": size, "seed": seed} for seed in (0, 1) for size in (3, 5)]


def work(material: list[int], trial: Any) -> dict[str, Any]:
    """Say what was worked on and where; `stop` and `fail` are sizes at which it goes wrong."""
    if trial["size"] == -1:
        raise MissingExtraError("gensim", "word2vec", "this trial")
    if trial["size"] == -2:
        os._exit(1)
    if trial["size"] == -3:
        raise KeyboardInterrupt
    if trial["size"] == -4:
        time.sleep(60)
    return {"sum": sum(material) * trial["size"] + trial["seed"], "process": os.getpid()}


def sums(records: list[dict[str, Any]]) -> list[int]:
    return [record["sum"] for record in records]


EXPECTED = [18, 30, 19, 31]


@pytest.mark.parametrize("jobs", ONE_AND_TWO)
def test_what_was_found_is_found_again_and_only_the_rest_is_made(jobs: int, tmp_path: Path) -> None:
    """A stop, or one more seed, must not cost the hours again; the order is that of the trials."""
    seen: list[tuple[int, int, bool]] = []

    def on_done(trial: Any, record: dict[str, Any], before: bool) -> None:
        seen.append((trial["size"], trial["seed"], before))

    first = run_trials(TRIALS[:2], work, [1, 2, 3], lambda trial: "a", tmp_path, jobs=1)
    assert sums(first) == EXPECTED[:2]
    again = run_trials(TRIALS, work, [1, 2, 3], lambda trial: "a", tmp_path, jobs=jobs, on_done=on_done)
    assert sums(again) == EXPECTED
    assert again[:2] == first
    assert all((record["process"] == os.getpid()) == (jobs == 1) for record in again[2:])
    assert sorted(seen) == [(3, 0, True), (3, 1, False), (5, 0, True), (5, 1, False)]


def test_other_material_is_another_result(tmp_path: Path) -> None:
    """Yesterday's texts must not answer for today's."""
    run_trials(TRIALS, work, [1, 2, 3], lambda trial: "a", tmp_path, jobs=1)
    assert sums(run_trials(TRIALS, work, [1, 2, 4], lambda trial: "b", tmp_path, jobs=1)) == [21, 35, 22, 36]


@pytest.mark.parametrize("jobs", ONE_AND_TWO)
def test_a_trial_that_cannot_be_is_named_and_the_others_stay(jobs: int, tmp_path: Path) -> None:
    """One misspelt variant at the end must not throw away what the others found."""
    trials = [TRIALS[0], {"size": -1, "seed": 0}]
    if jobs == 2:  # which of two that run at once ends first is chance
        run_trials(TRIALS[:1], work, [1], lambda trial: "a", tmp_path, jobs=1)
        trials.append({"size": -4, "seed": 0})
    began = time.monotonic()
    with pytest.raises(DataError, match=r"size=-1 seed=0: this trial needs the package 'gensim'"):
        run_trials(trials, work, [1], lambda trial: "a", tmp_path, jobs=jobs)
    assert time.monotonic() - began < 55, "waited for a trial that nobody wants any more"
    assert len(list(tmp_path.glob("runs/*.json"))) == 1


def test_ctrl_c_keeps_what_was_found(tmp_path: Path) -> None:
    """Ctrl-C after nine of ten runs must cost one."""
    with pytest.raises(KeyboardInterrupt):
        run_trials(
            [*TRIALS[:2], {"size": -3, "seed": 0}], work, [1, 2, 3], lambda trial: "a", tmp_path, jobs=1
        )
    assert len(list(tmp_path.glob("runs/*.json"))) == 2


@pytest.mark.slow
def test_a_process_that_dies_is_told(tmp_path: Path) -> None:
    """Where memory runs out the system ends a process without a word; the user needs one."""
    with pytest.raises(DataError, match=r"ended from outside.*fewer jobs"):
        run_trials([{"size": -2, "seed": 0}, *TRIALS], work, [1], lambda trial: "a", tmp_path, jobs=2)


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"found": 3}', "[" * 100_000])
def test_a_damaged_record_is_refused(damage: str, tmp_path: Path) -> None:
    """A file cut short must not pass for a result, nor be replaced in silence."""
    run_trials(TRIALS[:1], work, [1], lambda trial: "a", tmp_path, jobs=1)
    (path,) = tmp_path.glob("runs/*.json")
    path.write_text(damage)
    with pytest.raises(DataError, match=r"size=3 seed=0, is damaged .*delete it"):
        run_trials(TRIALS[:1], work, [1], lambda trial: "a", tmp_path, jobs=1)
    with pytest.raises(DataError, match="jobs is 0"):
        run_trials(TRIALS, work, [1], lambda trial: "a", tmp_path, jobs=0)
