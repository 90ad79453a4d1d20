"""How many threads may be used, who says so, what is refused; and that every task is run once."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import pytest

from gatelight.errors import DataError
from gatelight.nn import workers
from gatelight.nn.processors import NOWHERE, step_aside, where
from gatelight.nn.signals import ALONE, LEFT, ON_TIME, ROW, meet
from gatelight.nn.threads import (
    SHARED_WORK,
    available,
    run,
    set_threads,
    threads,
    together,
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
    """Red when a number that was asked for is not the one that is used."""
    monkeypatch.setenv("GATELIGHT_THREADS", "3")
    try:
        assert threads() == 3
        set_threads(2)
        assert threads() == 2
        with pytest.raises(DataError, match="0 threads were asked for"):
            set_threads(0)
        assert threads() == 2
    finally:
        set_threads(None)
    monkeypatch.delenv("GATELIGHT_THREADS")
    assert threads() == available()


@pytest.mark.parametrize("pause", [0.0, 0.01])
def test_every_task_is_run_once_and_waited_for(several: int, pause: float) -> None:
    """Red when a thread that watches, or one that sleeps, misses a call or comes back early."""
    for size in (1, 2, 3, 17) * 20:
        done: list[int] = []
        run([partial(done.append, k) for k in range(size)], SHARED_WORK)
        assert sorted(done) == list(range(size))
        time.sleep(pause if size == 1 else 0.0)


def test_calls_from_many_threads_at_once_do_not_mix(several: int) -> None:
    """Red when a thread helps with another's call, or is rung for two."""

    def one(number: int) -> bool:
        right = True
        for _ in range(100):
            done: list[int] = []
            run([partial(done.append, number) for _ in range(7)], SHARED_WORK)
            right = right and done == [number] * 7
        return right

    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(one, range(6)))


def test_another_thread_helps_and_its_error_is_raised_here(several: int) -> None:
    """Red when all tasks are left to the caller, or an error in a helping thread is lost."""
    both = threading.Barrier(2, timeout=10)
    run([both.wait, both.wait], SHARED_WORK)  # neither ends before the other begins

    def fail() -> None:
        both.wait()
        if threading.current_thread() is not caller:
            raise ZeroDivisionError

    caller = threading.current_thread()
    with pytest.raises(ZeroDivisionError):
        run([fail, fail], SHARED_WORK)
    run([both.wait, both.wait], SHARED_WORK)


def test_a_number_for_a_while_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it means now must not be set for good: the variable would be ignored ever after."""
    monkeypatch.setenv("GATELIGHT_THREADS", "3")
    with using(1):
        assert threads() == 1
        with using(None):
            assert threads() == 1
    assert threads() == 3
    monkeypatch.setenv("GATELIGHT_THREADS", "2")
    assert threads() == 2


def test_tasks_that_wait_for_each_other_run_at_the_same_time(several: int) -> None:
    """Red when one of them waits for a turn that never comes."""
    for _ in range(20):
        meeting = threading.Barrier(several, timeout=20)
        assert together([meeting.wait] * several, meeting.abort)


def test_nothing_runs_together_where_threads_are_missing() -> None:
    """Red when it begins all the same, and waits forever; or when threads are lost by having been asked."""
    with using(2):
        assert not together([lambda: pytest.fail("it ran")] * 9, list)
        meeting = threading.Barrier(2, timeout=20)
        assert together([meeting.wait] * 2, meeting.abort)


@pytest.mark.parametrize("wrong_one", [0, 1])
def test_who_fails_keeps_nobody_waiting(wrong_one: int) -> None:
    """Red when the others wait forever for one that will never come."""
    meeting = threading.Barrier(2, timeout=20)

    def wrong() -> None:
        raise ValueError("so it is")

    def waits() -> None:
        with suppress(threading.BrokenBarrierError):
            meeting.wait()

    tasks = [waits, waits]
    tasks[wrong_one] = wrong
    with using(2), pytest.raises(ValueError, match="so it is"):
        together(tasks, meeting.abort)


def test_an_interrupt_keeps_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when Ctrl-C between the ringing and this thread's own task leaves the other one alone forever."""
    meeting = threading.Barrier(2, timeout=20)
    broken = threading.Event()

    def waits() -> None:
        try:
            meeting.wait()
        except threading.BrokenBarrierError:
            broken.set()

    own, taken = threading.current_thread(), workers.Call.take_turns

    def interrupted(call: Any) -> None:
        if threading.current_thread() is own:
            while len(call.left) == 2:  # until the other one waits
                time.sleep(0.001)
            raise KeyboardInterrupt
        taken(call)

    monkeypatch.setattr(workers.Call, "take_turns", interrupted)
    with using(2), pytest.raises(KeyboardInterrupt):
        together([waits, waits], meeting.abort)
    assert broken.wait(20)


def test_who_was_left_alone_goes_home() -> None:
    """Red when compiled code, which hears no Ctrl-C, goes on looking for somebody who has left."""
    signals = np.zeros((2, ROW), np.int64)
    signals[0, LEFT] = 1
    assert meet(signals, 1, 1) == ALONE
    signals[0, 0] = 1
    assert meet(signals, 1, 1) == ON_TIME


@pytest.mark.skipif(where() == NOWHERE or available() < 2, reason="needs a system that tells, two processors")
def test_a_thread_steps_aside_and_may_go_everywhere_again() -> None:
    """Red when two threads share a processor while another is idle, or one is tied to where it went."""
    before = os.sched_getaffinity(0)
    other = where()
    step_aside(other)
    assert where() != other
    assert os.sched_getaffinity(0) == before
    here = where()
    step_aside(NOWHERE)
    assert os.sched_getaffinity(0) == before
    assert here in before
