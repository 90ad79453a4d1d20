"""A program run on its own: its wall time and the most memory it held; knows nothing of what it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.reviews import ROOT

# The largest memory of a child is counted from the process that began it, so that must be a small one.
_STARTER = """
import json, os, sys, time
began = time.perf_counter()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
seconds = time.perf_counter() - began
unit = 1 if sys.platform == "darwin" else 1024
with open(sys.argv[1], "w") as file:
    json.dump([seconds, usage.ru_maxrss * unit, os.waitstatus_to_exitcode(status)], file)
"""


@dataclass(frozen=True)
class Run:
    """Wall seconds, the largest resident memory in bytes, and what was printed."""

    seconds: float
    peak: int
    printed: str


def measure(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run a program by its full path; raises RuntimeError with its last words where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "told"
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _STARTER, str(told), *arguments],
            cwd=ROOT, env={**os.environ, **(environment or {})}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{arguments[0]} was not run: {done.stderr.strip()}")
        seconds, peak, code = json.loads(told.read_text(encoding="utf-8"))
    if code:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise RuntimeError(f"{' '.join(arguments[:4])} … ended with {code}: {last}")
    return Run(seconds, peak, done.stdout)


def gatelight(*arguments: str) -> list[str]:
    """The command line of this environment, as a list for `measure`."""
    return [sys.executable, "-m", "gatelight", *arguments]
