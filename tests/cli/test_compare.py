"""`gatelight compare`: from a command to a table, again after a stop, and mistakes refused at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import TINY, gatelight, json_lines, one_line_and_two, snapshot, start, succeeded

QUICK = [*TINY, "--epochs", "1", "--jobs", "1"]


def test_a_grid_becomes_a_table_and_comes_again_without_training(reviews: Path, tmp_path: Path) -> None:
    """The second call must find the first one's runs, and train only the seed that is new."""
    out = tmp_path / "out"
    grid = ["--vary", "unknown=drop,nearest", "--vary", "hidden-size=4,6"]
    command = ["compare", reviews, *grid, "--out", out, *QUICK, "--typos", "0.2"]
    first = succeeded(*command, "--seeds", "1")
    assert "4/4  unknown=nearest hidden_size=6 random_state=0: " in first.stdout
    assert "20.0 % of the words misspelt" in first.stdout
    assert "found before" not in first.stdout
    before = snapshot(out / "runs")
    again = succeeded(*command, "--seeds", "2", "--json")
    *runs, last = json_lines(again.stdout)
    assert [run["before"] for run in runs] == [True] * 4 + [False] * 4
    assert len(last["variants"]) == 8
    assert last["variants"][0]["variant"] == {"unknown": "drop", "hidden_size": 4}
    assert last["variants"][0]["against"] is None
    assert last["variants"][0]["seeds"] == 2
    assert {row["typos"] for row in last["variants"]} == {0, 0.2}
    assert json.loads((out / "comparison.json").read_text()) == last["variants"]
    zero = [row for row in last["variants"] if row.get("includes_zero")]
    assert again.stderr.count("the interval includes zero") == len(zero)
    assert {name: snapshot(out / "runs")[name] for name in before} == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "hidden"], "--vary came as 'hidden' (did you mean hidden-size?); expected NAME="),
        (["--vary", "hiden=1,2"], "with one of: average, batch-size"),
        (["--vary", "seed=1,2"], "--vary came as 'seed=1,2'"),
        (["--vary", "hidden-size=4,x"], "'x' is not a whole number"),
        (["--vary", "bidirectional=true,maybe"], "'maybe' is not yes or no"),
        (["--vary", "hidden-size=4,4"], "each once"),
        (["--vary", "hidden-size=4"], "1 variant; give two"),
        (["--vary", "pool=max,most"], "pool is 'most'"),
        (["--vary", "hidden-size=4,6", "--typos", "5"], "expected fractions above 0 and up to 1"),
        (["--vary", "hidden-size=4,6", "--test", "gone.csv"], "gone.csv"),
        (["--vary", "hidden-size=4,6", "--test", "x", "--test-fraction", "0.1"], "give one of the two"),
    ],
)
def test_mistakes_are_told_before_anything_is_trained(
    arguments: list[str], message: str, reviews: Path, tmp_path: Path
) -> None:
    """A misspelt value must cost a second, not the hour until its turn comes."""
    said = one_line_and_two(gatelight("compare", reviews, "--out", tmp_path / "out", *QUICK, *arguments))
    assert message in said
    assert not list(tmp_path.glob("out/runs/*"))


def test_values_may_be_none_or_a_yes(reviews: Path, tmp_path: Path) -> None:
    """`none` and `false` are words on the command line, and settings only once they are understood."""
    command = ["compare", reviews, "--vary", "clip=none,0.5", "--vary", "bidirectional=no,yes", *QUICK]
    result = succeeded(*command, "--seeds", "1", "--out", tmp_path / "out", "--json")
    variants = [row["variant"] for row in json_lines(result.stdout)[-1]["variants"]]
    assert variants == [{"clip": c, "bidirectional": b} for c in (None, 0.5) for b in (False, True)]


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on_and_loses_no_run(reviews: Path, tmp_path: Path) -> None:
    """Ctrl-C after an hour must keep the hour, and leave no process behind that trains on."""
    out = tmp_path / "out"
    process = start(
        "compare", reviews, "--vary", "hidden-size=4,6", "--seeds", "400", "--out", out, *TINY, "--jobs", "2",
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(list(out.glob("runs/*.json"))) < 2:
        assert time.monotonic() < deadline, "no run has ended"
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.decode().count("\n") == 1, error.decode()
    assert b"the same command goes on" in error
    kept = snapshot(out)
    assert all(json.loads(content)["found"]["texts"] for content in kept.values())
