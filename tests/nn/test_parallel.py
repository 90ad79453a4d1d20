"""Threads: how many may be used, and that every task is run once, whoever helps and whatever interrupts."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import gatelight
from gatelight.compiled import compiled
from gatelight.errors import DataError
from gatelight.nn import processors
from gatelight.nn.kernels import buffers, parallel
from gatelight.nn.kernels.parallel import add, load, parallel_for
from gatelight.nn.processors import quota
from gatelight.nn.threads import (
    LITTLE_WORK,
    WAKING_WORK,
    available,
    run_compiled,
    set_threads,
    threads,
    using,
)


@pytest.mark.parametrize("wish", ["abc", "0", "-1", "1.5", " 2"])
def test_a_variable_that_is_no_number_is_the_users_mistake(
    wish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red when a slip in the environment ends in a traceback, or is passed over in silence."""
    monkeypatch.setenv("GATELIGHT_THREADS", wish)
    with pytest.raises(DataError, match=r"GATELIGHT_THREADS is .*expected a positive whole number"):
        threads()


def test_the_call_goes_before_the_variable_and_that_before_the_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Red when a number that was asked for is not the one that is used, or is set for good."""
    monkeypatch.setenv("GATELIGHT_THREADS", "3")
    with using(1):
        assert threads() == 1
        with using(None):
            assert threads() == 1
    assert threads() == 3
    try:
        set_threads(2)
        with pytest.raises(DataError, match="0 threads were asked for"):
            set_threads(0)
        assert threads() == 2
    finally:
        set_threads(None)
    monkeypatch.delenv("GATELIGHT_THREADS")
    assert threads() == available()


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"a/b/cpu.max": "max 100000", "a/cpu.max": "150000 100000"}, 2),
        ({"a/b/cpu.max": "50000 100000"}, 1),
        ({"a/b/cpu.max": "300000 100000", "cpu.max": "max 100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 1 << 30),
        ({"a/b/cpu.max": "garbage"}, 1 << 30),
        ({}, 1 << 30),
    ],
)
def test_a_containers_quota_bounds_the_processors(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container of two processors the threads of all the host's stood in each other's way."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    (tmp_path / "self").write_text("3:cpu:/other\n0::/a/b\n")
    found = quota(tmp_path / "self", tmp_path)
    assert found == expected
    monkeypatch.setattr(processors, "quota", lambda: found)
    monkeypatch.setattr(processors, "_known", (0.0, 1))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    assert available() == min(64, expected)
    monkeypatch.setattr(processors, "_known", (0.0, 1))


@compiled
def _note(done: Any, value: int, spin: int, k: int) -> None:
    total = 0
    for number in range(spin):
        total += number * (k + 1)
    done[k] += value + (0 if total >= 0 else 1)


@compiled
def _all_notes(done: Any, value: int, spin: int, pool: Any, helpers: int) -> int:
    return int(parallel_for(_note, (done, value, spin), pool, helpers, len(done)))


@compiled
def _meet(who: Any, k: int) -> None:
    add(who, k, 1)
    looks = 0
    while load(who, 1 - k) == 0 and looks < 100_000_000:
        looks += 1
    who[2 + k] = load(who, 1 - k)


@compiled
def _both_meet(who: Any, pool: Any, helpers: int) -> int:
    return int(parallel_for(_meet, (who,), pool, helpers, 2))


def somebody_helps() -> bool:
    """Whether two tasks run at the same time: each waits for the other."""
    _both_meet(np.ones(4, np.int64), parallel.new_pool(), 0)  # compiled
    for _ in range(3):  # the system may be late once
        who = np.zeros(4, np.int64)
        run_compiled(_both_meet, (who,), WAKING_WORK)
        if who.all():
            return True
    return False


@compiled
def _fail(refused: int, k: int) -> None:
    if k == refused:
        raise MemoryError("no room")


@compiled
def _all_fail(refused: int, count: int, pool: Any, helpers: int) -> int:
    return int(parallel_for(_fail, (refused,), pool, helpers, count))


@pytest.mark.parametrize("spin", [0, 20_000])
@pytest.mark.parametrize("work", [LITTLE_WORK, WAKING_WORK])
def test_every_task_is_run_once(several: int, spin: int, work: int) -> None:
    """Red when a task is left out, run twice, or still under way when the call comes back."""
    for size in (0, 1, 2, 3, 17, 100) * 20:
        done = np.zeros(size, np.int64)
        run_compiled(_all_notes, (done, 5, spin), work)
        assert (done == 5).all()
        time.sleep(0.002 if size == 3 else 0)  # in which threads fall asleep, or not


def test_calls_from_many_threads_at_once_do_not_mix(several: int) -> None:
    """Red when a thread helps with one job by what another one says. (Numba's pool ends the process.)"""

    def one(number: int) -> bool:
        right = True
        for _ in range(100):
            done = np.zeros(9, np.int64)
            run_compiled(_all_notes, (done, number, 2_000), WAKING_WORK)
            right = right and bool((done == number).all())
        return right

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(one, range(1, 7)))


def test_another_thread_helps() -> None:
    """Red when all tasks are left to the caller."""
    with using(2):
        assert somebody_helps()


@pytest.mark.parametrize("refused", [0, 3, 8])
def test_a_task_without_memory_is_an_error_of_the_call(several: int, refused: int) -> None:
    """Red when what it should have computed is taken for computed."""
    with pytest.raises(MemoryError, match="found no memory"):
        run_compiled(_all_fail, (refused, 9), WAKING_WORK)
    run_compiled(_all_fail, (-1, 9), WAKING_WORK)


# Python says so where the interrupt meets a finaliser or the garbage collector, and goes on.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs a timer that interrupts")
def test_after_an_interrupt_others_still_help() -> None:
    """Ctrl-C within a step left the threads' one job taken: all that came later ran on one thread."""
    layer, x = gatelight.LSTM(16, 32), torch.randn(30, 24, 16)
    lengths = torch.randint(1, 31, (24,), generator=torch.Generator().manual_seed(0))

    def step() -> None:
        layer(x, lengths=lengths)[0].sum().backward()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with using(2):
        step()
        before, interrupted = signal.signal(signal.SIGALRM, interrupt), 0
        try:
            for k in range(80):
                try:
                    signal.setitimer(signal.ITIMER_REAL, 1e-4 + k * 5e-5)
                    step()
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    interrupted += 1
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert interrupted
        assert somebody_helps()


def test_a_thread_that_cannot_start_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system's bound is reached work goes on alone, and later with those that can start."""
    monkeypatch.setattr(parallel, "_workers", parallel._Workers())

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    done = np.zeros(9, np.int64)
    with using(3):
        with monkeypatch.context() as full:
            full.setattr(threading.Thread, "start", refuse)
            run_compiled(_all_notes, (done, 5, 0), WAKING_WORK)
        assert (done == 5).all()
        assert somebody_helps()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_child_has_threads_and_locks_of_its_own() -> None:
    """A lock that another thread held when the process was copied was never free in the copy."""
    with using(2):
        assert somebody_helps()
        locks = [buffers._lock, parallel._workers.lock]
        for lock in locks:
            lock.acquire()
        child = os.fork()
        if child == 0:
            buffers.empty((buffers.SMALLEST,), np.float32)
            os._exit(0 if somebody_helps() else 3)
        for lock in locks:
            lock.release()
        for _ in range(600):
            finished, code = os.waitpid(child, os.WNOHANG)
            if finished:
                assert code == 0
                return
            time.sleep(0.05)
        os.kill(child, signal.SIGKILL)
        pytest.fail("the child hangs")
