"""Waiting for the compiler: told once, when it is long, and not taken for the pace of training."""

from __future__ import annotations

import io
import logging
import time

import pytest
from numba import njit
from rich.console import Console

from gatelight import compiled, notices
from gatelight.app.progress import Meter
from gatelight.models.history import Pace


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
    pace, began = Pace(), time.perf_counter()
    for _ in range(2):
        pace.start()
        compile_something()
        pace.stop()
    passed = time.perf_counter() - began
    assert 2 / pace.steps_per_second < 0.6 * passed


def test_a_constant_argument_is_not_compiled_for_anew() -> None:
    """Red when a kernel that is called with a number here and a variable there is compiled twice."""

    def added(n: int, k: int) -> int:
        return n + k

    inner = compiled._compiled(added, {})

    @njit
    def outer(n: int) -> int:
        return inner(n, 3) + inner(n, n) + inner(n, k=7)

    assert outer(2) == 5 + 4 + 9
    assert len(inner.signatures) == 1
