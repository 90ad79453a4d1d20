"""Threads that wait for work, and how they are rung; knows neither how many there should be nor what they do.

An idle thread watches for a moment, in which it helps with compiled tasks (crew.py), and then sleeps.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence

from gatelight.nn.crew import AWAKE, Crew, new_crew, serve
from gatelight.nn.processors import NOWHERE, available, step_aside, where
from gatelight.nn.signals import new_signal, tell_and_watch

Task = Callable[[], object]

WATCH = 24_000
"""Looks for work before a thread sleeps: about a millisecond, longer than torch is busy in between."""

_lock = threading.Lock()
_idle: list[Worker] = []
_started = 0  # alive, idle or not
_looks = WATCH  # none where threads would take the processors from those that work
_open: Call | None = None  # tasks that a thread which comes late may still help with
_NOBODY = new_signal()
_crew = new_crew()


class Call:
    """The tasks of one call of `run`, and who works at them."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.left = deque(tasks)
        self.error: BaseException | None = None
        self._lock = threading.Lock()
        self._inside = 0
        self._closed = False
        self._empty = threading.Lock()
        self._empty.acquire()
        self.signal = new_signal()  # 1 once nobody else is inside

    def take_turns(self) -> None:
        """Run tasks as long as there are any."""
        while True:
            try:
                task = self.left.popleft()
            except IndexError:
                return
            task()

    def finish(self) -> None:
        """Take turns, wait for the others, and raise what went wrong."""
        try:
            self.take_turns()
        finally:
            self.close()
        if self.error is not None:
            raise self.error

    def help(self) -> bool:
        """Take turns beside the caller; whether that one now waits for nobody but the worker."""
        with self._lock:
            if self._closed:
                return False
            self._inside += 1
        try:
            self.take_turns()
        except BaseException as error:  # raised in the caller's thread
            self.error = error
            self.left.clear()
        with self._lock:
            self._inside -= 1
            return self._closed and not self._inside

    def let_go(self, tell: bool = False) -> None:
        """Let the caller go on, should it sleep; it still watches the signal until somebody `tell`s it."""
        self._empty.release()
        if tell:
            self.signal[0] = 1

    def close(self) -> None:
        """Wait for tasks that others have begun; nobody begins another one."""
        self.left.clear()  # after an error here the others stop at their next task
        with self._lock:
            self._closed = True
            waits = self._inside > 0
        if waits:
            tell_and_watch(_NOBODY, 0, self.signal, 0, _looks)
            self._empty.acquire()


class Worker:
    """A thread that waits for calls to help with."""

    def __init__(self) -> None:
        self._door = threading.Lock()
        self._door.acquire()
        self._bell, self._rung = new_signal(), 0
        self._call: Call | None = None
        self.asleep = False
        self._ringer = NOWHERE
        threading.Thread(target=self._live, name="gatelight", daemon=True).start()

    def ring(self, call: Call) -> None:
        """Let it help with `call`."""
        self._call, self._ringer = call, where()
        self._rung += 1
        self._door.release()
        self._bell[0] = self._rung

    def _live(self) -> None:
        told, value, seen = _NOBODY, 0, 0
        while True:
            serve(_crew, told, value, self._bell, seen, _looks)
            self.asleep = True
            self._door.acquire()
            self.asleep = False
            seen += 1
            call, self._call = self._call, None
            assert call is not None
            step_aside(self._ringer)
            waited_for = call.help()
            late = _open
            if late is not None and late is not call and late.left:
                if waited_for:
                    call.let_go(tell=True)
                call, waited_for = late, late.help()
            del late
            with _lock:
                _idle.append(self)
            told, value = _NOBODY, 0
            if waited_for:
                call.let_go()
                told, value = call.signal, 1
            del call


def take(count: int, most: int, fresh: int = 0) -> list[Worker]:
    """Up to `count` threads that are idle, or new ones as long as there are fewer than `most`.

    Beside these up to `fresh` new ones.
    """
    global _started, _looks
    with _lock:
        taken = [_idle.pop() for _ in range(min(count, len(_idle)))]
        new = min(count - len(taken) + fresh, most - _started)
        if new > 0:
            _started += new
            _looks = WATCH if _started < available() else 0
    return taken + [Worker() for _ in range(new)]


def give_back(workers: Sequence[Worker]) -> None:
    """Let threads be idle again that were taken and not rung."""
    with _lock:
        _idle.extend(workers)


def begin(tasks: Sequence[Task], others: int, most: int) -> Call:
    """Let up to `others` threads of at most `most` begin with the tasks."""
    call = Call(tasks)
    for worker in take(others, most):
        worker.ring(call)
    return call


def open_to_all(call: Call) -> None:
    """Let a thread help with it that becomes idle later."""
    global _open
    _open = call


def crew_of(helpers: int, wake: bool) -> Crew:
    """Where compiled tasks are named; with `wake` so many threads are let watch, or come to do so soon."""
    missing = helpers - int(_crew[AWAKE])
    if missing > 0 and wake:
        with _lock:
            asleep = [worker for worker in _idle if worker.asleep][:missing]
            for worker in asleep:
                _idle.remove(worker)
        for worker in asleep + take(0, helpers, missing - len(asleep)):
            worker.ring(Call([]))
    return _crew


def _forget_workers() -> None:
    # A forked child has none of the threads.
    global _idle, _started, _lock, _crew
    _idle, _started, _crew = [], 0, new_crew()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)
