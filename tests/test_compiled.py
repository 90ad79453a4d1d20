"""Waiting for the compiler: told once, when it is long, and not taken for the pace of training."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import numba
import pytest
from numba import njit
from rich.console import Console

from gatelight import compiled, notices
from gatelight.cli.progress import Meter
from gatelight.models.history import Throughput


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> compiled._Watch:
    """A watch for which every wait is long, and that has told nothing yet."""
    monkeypatch.setattr(compiled._Watch, "LONG", 0.0)
    monkeypatch.setattr(compiled._watch, "_told", False)
    return compiled._watch


def compile_something() -> None:
    """Two functions of no use, which Numba does not keep."""

    @njit
    def inner(n: int) -> int:
        return n + 1

    @njit
    def outer(n: int) -> int:
        return inner(n) * 2

    assert outer(2) == 6


def test_a_wait_for_the_compiler_is_told_once(watch: compiled._Watch) -> None:
    """Red when the first training on a machine looks like a hang, or every function has its own line."""
    told: list[str] = []
    with notices.listening(told.append):
        compile_something()
        compile_something()
    assert told == [watch.NOTICE]
    assert "compiling for this processor" in told[0]


def test_a_short_wait_is_not_told(watch: compiled._Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when everybody who has the code already is told of a wait that there is not."""
    monkeypatch.setattr(compiled._Watch, "LONG", 1e9)
    told: list[str] = []
    with notices.listening(told.append):
        compile_something()
    assert told == []


def test_whoever_has_no_bar_finds_it_in_the_log(
    watch: compiled._Watch, caplog: pytest.LogCaptureFixture
) -> None:
    """Red when a notebook stands still without a word."""
    with caplog.at_level(logging.WARNING, "gatelight"):
        compile_something()
    assert [record.getMessage() for record in caplog.records] == [watch.NOTICE]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_meter_shows_it_as_a_line_that_stays(watch: compiled._Watch, terminal: bool) -> None:
    """Red when the bar goes on showing a stage that is not what is done."""
    out = io.StringIO()
    with Meter(Console(file=out, force_terminal=terminal, width=100)) as meter:
        meter.show("training", 0, None)
        compile_something()
    assert out.getvalue().count(watch.NOTICE) == 1
    assert notices._listeners == []


def test_seconds_of_nested_functions_count_once(watch: compiled._Watch) -> None:
    """Red when a function's seconds are added to those of the one that calls it."""
    before, began = watch.seconds, time.perf_counter()
    compile_something()
    passed = time.perf_counter() - began
    assert 0.5 * passed < watch.seconds - before <= passed


def test_compiling_is_no_part_of_the_pace() -> None:
    """Red when "21 h left" is shown for as long as the second step compiles."""
    throughput, began = Throughput(), time.perf_counter()
    for _ in range(2):
        step = compiled.clock()
        compile_something()
        throughput.add(compiled.clock() - step)
    passed = time.perf_counter() - began
    assert 2 / throughput.steps_per_second < 0.6 * passed


def test_a_constant_argument_is_not_compiled_for_anew() -> None:
    """Red when a kernel that is called with a number here and a variable there is compiled twice."""

    def added(n: int, k: int) -> int:
        return n + k

    inner = compiled._compiled(added, {})

    @njit
    def outer(n: int) -> int:
        return inner(n, 3) + inner(n, n) + inner(n, k=7)

    assert outer(2) == 5 + 4 + 9
    assert len(inner.within().signatures) == 1


def test_what_compiled_code_calls_can_be_called_from_python_too() -> None:
    """Red when Python calls code that was compiled without the way in that it needs."""

    def doubled(n: int) -> int:
        return 2 * n

    inner = compiled._compiled(doubled, {})

    @njit
    def outer(n: int) -> int:
        return inner(n) + 1

    assert outer(2) == 5
    assert not inner.signatures
    assert inner(2) == 4
    assert outer(3) == 7


def test_code_is_kept_until_what_it_may_call_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Red when an update of one file leaves code behind that holds what that file had before."""

    def halved(n: int) -> int:
        return n // 2

    def found_in_cache() -> int:
        made = compiled._compiled(halved, {})
        assert made(6) == 3
        return sum(made.stats.cache_hits.values())

    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    assert [found_in_cache() for _ in range(2)] == [0, 1]
    monkeypatch.setattr(compiled, "_sources", lambda path: f"{path.name} of another version")
    assert [found_in_cache() for _ in range(2)] == [0, 1]


def test_code_depends_on_the_files_that_its_own_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a change two files away leaves the code as it is, or any change at all ends it."""
    folder = Path(compiled.__file__).with_name("nn") / "kernels"
    kernels, read = folder / "recurrence.py", compiled._read

    def digest_with(changed: str) -> str:
        def other(path: Path) -> tuple[bytes, list[Path]]:
            digest, imported = read(path)
            return (b"other" if path.name == changed else digest), imported

        monkeypatch.setattr(compiled, "_read", other)
        return str(compiled._sources.__wrapped__(kernels))

    now = digest_with("nothing.py")
    assert now == compiled._sources(kernels)
    changed = [path.name for path in sorted(folder.glob("*.py")) if digest_with(path.name) != now]
    assert {"recurrence.py", "cells.py", "gemm.py", "simd.py", "buffers.py"} <= set(changed)
    assert not {"sampling.py", "generation.py"} & set(changed)


PART = """
from gatelight.compiled import compiled

@compiled
def {name}(out, k):
    out[k] = {factor} * k

work = {name}
"""
REGION = """
import numpy as np
from gatelight.compiled import compiled, seconds_compiling
from gatelight.nn.kernels.parallel import new_pool, parallel_for
from tasks import work

@compiled
def region(out, pool, helpers):
    return parallel_for(work, (out,), pool, helpers, len(out))

out = np.zeros(3, np.int64)
region(out, new_pool(), 0)
print(out.tolist(), seconds_compiling() > 0)
"""


def test_code_that_is_kept_calls_what_is_there_now(tmp_path: Path) -> None:
    """Red when an update leaves code behind that computes as before it, or that calls what is gone."""

    def run(name: str, factor: int) -> str:
        (tmp_path / "tasks.py").write_text(PART.format(name=name, factor=factor))
        known = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")}
        done = subprocess.run(
            [sys.executable, "region.py"],
            cwd=tmp_path,
            env=known,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    (tmp_path / "region.py").write_text(REGION)
    assert run("part", 2) == "[0, 2, 4] True"
    assert run("part", 10) == "[0, 10, 20] True"
    assert run("another", 3) == "[0, 3, 6] True"
    assert run("another", 3) == "[0, 3, 6] False"
