"""`gatelight train` in two processes that torchrun starts: one model, one voice, and a process that dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from command_line import TINY, succeeded
from safetensors.torch import load_file

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
TYPED = [*TINY, "--epochs", "20", "--no-baseline"]
ROUNDING = 1e-3  # float32 sums in another order, through four epochs of a high learning rate


def started(reviews: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """Training that has written a checkpoint of some epoch."""
    typed = [*TORCHRUN, *more, "-m", "gatelight", "train", str(reviews), "--out", str(out), *TYPED, "--json"]
    return subprocess.Popen(typed, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def kill_one(torchrun: subprocess.Popen[str], out: Path) -> None:
    """Kill a training process once an epoch is in the checkpoint."""
    run, begun = out.with_name(f"{out.name}.checkpoint") / "run", time.monotonic()
    first = None
    while first is None or run.stat().st_mtime_ns == first:
        assert torchrun.poll() is None
        assert time.monotonic() - begun < 120
        if first is None and run.exists():
            first = run.stat().st_mtime_ns
        time.sleep(0.005)
    children = Path(f"/proc/{torchrun.pid}/task/{torchrun.pid}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)


def test_a_killed_process_changes_nothing(reviews: Path, tmp_path: Path) -> None:
    """torchrun starts them again, and the model has the bits of a run that nobody disturbed."""
    calm, stopped = started(reviews, tmp_path / "calm"), started(reviews, tmp_path / "m", "--max-restarts=1")
    kill_one(stopped, tmp_path / "m")
    told = []
    for process in (calm, stopped):
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        told.append([json.loads(line) for line in out.splitlines()])
    assert [record["model"] for record in told[0] if "model" in record] == [str(tmp_path / "calm")]
    weights, others = (load_file(tmp_path / name / "model.safetensors") for name in ("calm", "m"))
    assert all(torch.equal(weight, others[name]) for name, weight in weights.items())


def test_the_others_end_and_one_process_goes_on(reviews: Path, tmp_path: Path) -> None:
    """Who survives says why it stops, at once; one process alone resumes what two began."""
    torchrun = started(reviews, tmp_path / "m")
    kill_one(torchrun, tmp_path / "m")
    began = time.monotonic()
    err = torchrun.communicate(timeout=60)[1]
    assert time.monotonic() - began < 20
    assert torchrun.returncode != 0
    lines = [line for line in err.splitlines() if line.startswith("gatelight: ")]
    assert len(lines) == 1, err
    assert "another process of this training ended" in lines[0]
    losses = []
    for name, more in {"m": ["--resume"], "alone": []}.items():
        succeeded("train", reviews, "--out", tmp_path / name, *TYPED, *more)
        history = json.loads((tmp_path / name / "config.json").read_text())["history"]
        losses.append([epoch["train_loss"] for epoch in history])
    assert losses[0][:4] == pytest.approx(losses[1][:4], rel=ROUNDING)
