"""Threads that wait for each other on one processor: who waits must let the other run.

The system now and then puts a thread that it wakes behind the one that waits for it, for milliseconds, while
another processor is idle. A stream of characters took half as long again for that, in a rested process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gatelight.compiled import compiled
from gatelight.nn.crew import new_crew, serve
from gatelight.nn.signals import (
    LOOKS,
    ON_TIME,
    ROW,
    give_way,
    look,
    meet,
    new_signal,
    put,
    tell_and_watch,
)

TIMES = 200
MOST = TIMES // 4  # in vain: the processor may be somebody else's for a while

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="needs a system that binds threads to a processor"
)


@compiled
def _meet_often(signals: Any, part: int, times: int) -> int:
    late = 0
    for n in range(1, times + 1):
        late += meet(signals, part, n) != ON_TIME
    return late


@compiled
def _answer(asked: Any, answered: Any, times: int) -> None:
    for n in range(1, times + 1):
        while look(asked) < n:
            give_way()
        put(answered, n)


@pytest.fixture
def one_processor() -> Iterator[None]:
    """This thread, and those that it starts, run on the same processor."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def beside(work: Callable[[], object], other: Callable[[], object]) -> None:
    """Both at the same time."""
    thread = threading.Thread(target=other)
    thread.start()
    work()
    thread.join()


@pytest.mark.usefixtures("one_processor")
def test_who_meets_comes_on_time() -> None:
    """Red when a thread that looks at the other's number keeps that one from coming."""
    _meet_often(np.zeros((1, ROW), np.int64), 0, 1)  # compiled
    signals = np.zeros((2, ROW), np.int64)
    late: list[int] = []

    def take_part(part: int) -> None:
        late.append(_meet_often(signals, part, TIMES))

    beside(lambda: take_part(0), lambda: take_part(1))
    assert sum(late) < MOST


@pytest.mark.usefixtures("one_processor")
@pytest.mark.parametrize("who", ["a caller", "a thread without work"])
def test_who_watches_sees_the_answer(who: str) -> None:
    """Red when a watching thread keeps the processor to itself until it has looked often enough."""
    crew, asked, answered = new_crew(), new_signal(), new_signal()
    _answer(asked, answered, 0)  # compiled
    serve(crew, asked, 0, answered, 0, 1)
    tell_and_watch(asked, 0, answered, 0, 1)
    in_vain = 0

    def ask() -> None:
        nonlocal in_vain
        for n in range(1, TIMES + 1):
            if who == "a caller":
                tell_and_watch(asked, n, answered, n - 1, LOOKS)
            else:
                serve(crew, asked, n, answered, n - 1, LOOKS)
            in_vain += answered[0] < n
            while answered[0] < n:
                os.sched_yield()

    beside(ask, lambda: _answer(asked, answered, TIMES))
    assert in_vain < MOST
