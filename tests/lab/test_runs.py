"""Runs of the lab: equal networks, true gradients, and the same figures again; found, summed up, told."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import gatelight, json_lines, one_line_and_two, snapshot, succeeded

from gatelight.errors import DataError
from gatelight.lab.report import fading, half_fail_at, read_runs, summed_up
from gatelight.lab.run import (
    Network,
    gradient_by_distance,
    hidden_size,
    learn,
    parameters,
    right,
    settings,
)
from gatelight.lab.sequences import Drawn
from gatelight.lab.tasks import TASKS

CELLS = ("rnn", "lstm", "peephole", "gru")
COUNTS_APART = 0.06  # of a count: one unit more or less of a small net
EXACT = 1e-9  # float64 on both sides; the sums run in another order
QUICK = ["--cells", "lstm,rnn", "--lengths", "4", "--seeds", "1", "--budget", "0.01"]


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (2, 1), (9, 8), (101, 101)])
def test_every_cell_learns_as_many_numbers(cell: str, inputs: int, outputs: int) -> None:
    """More parameters for one cell, and the comparison would be of sizes."""
    wanted = parameters("lstm", inputs, 16, outputs)
    hidden = hidden_size(cell, inputs, outputs, wanted)
    network = Network(cell, inputs, hidden, outputs, seed=1)
    learnt = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert learnt == parameters(cell, inputs, hidden, outputs)
    assert abs(learnt - wanted) <= COUNTS_APART * wanted


def ragged() -> Any:
    """Three sequences of numbers whose only asked steps are 6, 3 and 0."""
    draw = np.random.default_rng(3)
    inputs = draw.standard_normal((3, 7, 2)).astype(np.float32)
    targets = draw.standard_normal((3, 7, 1)).astype(np.float32)
    asked = np.zeros((3, 7), np.bool_)
    asked[[0, 1, 2], [6, 3, 0]] = True
    return Drawn(inputs, np.array([7, 5, 2]), targets, asked, asked)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_gradient_by_distance_is_autograds(cell: str) -> None:
    """By torch.nn's layer, sequence by sequence; a step's shift would move the whole curve."""
    network, what = Network(cell, 2, 4, 1, seed=2), ragged()
    other = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[cell](2, 4).double()
    other.load_state_dict(network.memory.state_dict())
    head = torch.nn.Linear(4, 1).double()
    head.load_state_dict(network.head.state_dict())
    norms: dict[int, list[float]] = {}
    for k, last in enumerate((6, 3, 0)):
        x = torch.from_numpy(what.inputs[k, : what.lengths[k]]).double().requires_grad_()
        wanted = torch.from_numpy(what.targets[k, last]).double()
        ((head(other(x)[0][last]) - wanted) ** 2).sum().backward()
        assert x.grad is not None
        for step in range(last + 1):
            norms.setdefault(last - step, []).append(float(x.grad[step].norm()))
    found = dict(gradient_by_distance(network, "number", what))
    assert sorted(found) == [0, 1, 2, 3, 4, 5]  # 6 is not among the distances looked at
    assert found == pytest.approx({k: np.mean(norms[k]) for k in found}, rel=EXACT)


def test_what_is_right_is_decided_by_the_tasks_rule() -> None:
    """A bound that is met by half-right answers would let every cell solve everything."""
    numbers = torch.tensor([[0.5], [0.53], [0.56]])
    assert right("number", numbers, torch.full((3, 1), 0.5), 0.04).tolist() == [True, True, False]
    logits = torch.tensor([[0.0, 0.5], [0.0, 2.0], [2.0, 0.0]])
    ones = torch.ones(3, dtype=torch.int64)
    assert right("class", logits, ones, 0.3).tolist() == [False, True, False]
    assert right("class", logits, ones, None).tolist() == [True, True, False]
    sets = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    assert right("set", sets, torch.tensor([[1.0, 0.0]] * 2), 0.5).tolist() == [True, False]


def test_the_same_seed_finds_the_same() -> None:
    """A figure that does not come again cannot be checked."""
    trial = settings(TASKS["copying"], 3, "lstm", 1, 0.02)
    first, again = (learn(None, trial) for _ in range(2))
    timeless = [{k: v for k, v in found.items() if "seconds" not in k} for found in (first, again)]
    assert timeless[0] == timeless[1]
    other = learn(None, {**trial, "seed": 2})
    assert other["after"]["gradient"] != first["after"]["gradient"]


def test_an_easy_task_is_solved_and_the_counters_reach_is_told() -> None:
    """The number of a verb right behind its subject: whoever cannot learn this learns nothing."""
    for cell in CELLS:
        found = learn(None, settings(TASKS["number"], 4, cell, 0))
        assert found["solved"], cell
        assert found["score"] > 0.98
    counted = learn(None, {**settings(TASKS["anbn"], 2, "lstm", 0), "budget": 3000})
    assert counted["solved"]
    assert counted["reaches"] >= 2


def run(solved: bool, seed: int = 0, **more: Any) -> dict[str, Any]:
    looked = {"gradient": [(0, 2.0), (1, 0.5 + seed)]}
    return {
        "task": "adding", "length": 50, "cell": "lstm", "seed": seed, "hidden": 3, "parameters": 9,
        "solved": solved, "sequences": 100 * (seed + 1), "score": 0.5, "right": 0.5, "seconds": 2.0,
        "before": looked, "after": looked, **more,
    }  # fmt: skip


def test_runs_are_summed_up_with_intervals() -> None:
    """Wilson's interval of 3 in 5 is 0.231 to 0.882, by his formula."""
    (row,) = summed_up([run(seed < 3, seed) for seed in range(5)])
    assert (row.solved, row.runs, row.sequences) == (3, 5, 200)
    assert (row.low, row.high) == pytest.approx((0.2307, 0.8824), abs=1e-4)
    assert row.chance == pytest.approx(0.1536)
    rows = summed_up([run(seed < 5 - 2 * k, seed, length=10 * 4**k) for seed in range(5) for k in range(3)])
    assert [row.rate for row in rows] == [1, 0.6, 0.2]
    assert half_fail_at(rows) == pytest.approx(40 * 4 ** (0.1 / 0.4))
    assert half_fail_at(rows[:2]) is None
    assert half_fail_at(rows[2:]) == 160
    curve = fading([run(True, 0), run(True, 1)], "before")["lstm"]
    assert curve == [(0, 1.0), (1, pytest.approx(math.sqrt(0.25 * 0.75)))]


def test_a_lab_is_run_found_again_and_told(tmp_path: Path) -> None:
    """The second call must find the first one's runs; the table must have them."""
    out = tmp_path / "out"
    command = ["lab", "run", "number", *QUICK, "--out", out, "--jobs", "1"]
    first = succeeded(*command)
    assert "2/2  number 4 rnn seed 0: " in first.stdout
    before = snapshot(out / "runs")
    assert len(before) == 2
    again = gatelight(*command, "--json")
    assert [line["before"] for line in json_lines(again.stdout)] == [True, True]
    assert snapshot(out / "runs") == before
    assert "half the runs fail at" in succeeded("lab", "report", out).stdout
    rows = json_lines(succeeded("lab", "report", out, "--json").stdout)
    assert [row["cell"] for row in rows] == ["rnn", "lstm"]


def test_tasks_are_listed_with_their_sources() -> None:
    """What a figure is compared with must be a command away."""
    listed = json_lines(gatelight("lab", "list", "--json").stdout)
    assert [line["task"] for line in listed] == list(TASKS)
    assert "Published: " in listed[0]["source"]
    assert "adding" in gatelight("lab", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["addng"], "no task 'addng'"),
        (["adding", "--cells", "lstm,gruu"], "no cell 'gruu' (did you mean gru?)"),
        (["adding", "--lengths", "20,x"], "'x' is not a whole number"),
        (["adding", "--lengths", "1"], "expected 2 or more"),
    ],
)
def test_mistakes_are_told_before_anything_is_learnt(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    """A misspelt cell must cost a second, not the minutes until its turn comes."""
    assert message in one_line_and_two(gatelight("lab", "run", *arguments, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_strange_folders_are_refused(tmp_path: Path) -> None:
    """Figures of two settings in one mean would be figures of none."""
    with pytest.raises(DataError, match="holds no runs"):
        read_runs(tmp_path)
    (tmp_path / "runs").mkdir()
    for name, budget in (("a", 1), ("b", 2)):
        whole = {"trial": run(True, budget=budget), "found": {}}
        (tmp_path / "runs" / f"{name}.json").write_text(json.dumps(whole))
    with pytest.raises(DataError, match="adding at 50 with lstm, seed 0, twice"):
        read_runs(tmp_path)
    gone = {"trial": run(True, task="word-back"), "found": {}}
    (tmp_path / "runs" / "b.json").write_text(json.dumps(gone))
    with pytest.raises(DataError, match="of a task 'word-back', which there is not"):
        read_runs(tmp_path)
    (tmp_path / "runs" / "b.json").write_text("[]")
    with pytest.raises(DataError, match=r"b\.json is no run of the lab"):
        read_runs(tmp_path)
