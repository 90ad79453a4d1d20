"""Threads for work that holds no GIL; results do not depend on their number. Knows nothing of cells.

Work is cut into tasks that each write their own part of an array, so it does not matter which
thread takes which task. PyTorch's and BLAS's own pools stay out of it. Tasks of compiled code are
shared without the interpreter (`share`), others by `run`, `together` and `beside`.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from gatelight.errors import DataError
from gatelight.memory.crew import AWAKE, new_crew, serve
from gatelight.memory.processors import NOWHERE, step_aside, where
from gatelight.memory.signals import LOOKS, new_signal, tell_and_watch

Task = Callable[[], object]

SHARED_WORK = 1 << 21
"""Multiply-adds below which a second thread costs more than it saves (about 40 µs of one core)."""

LITTLE_WORK = 1 << 18
"""The same of a thread that watches already, and of tasks of compiled code."""

_lock = threading.Lock()
_idle: list[_Worker] = []
_started = 0  # alive, idle or not
_looks = LOOKS  # none where threads would take the processors from those that work
_threads: int | None = None
_open: _Call | None = None  # tasks that a thread which comes late may still help with
_NOBODY = new_signal()
_crew = new_crew()


def available() -> int:
    """Return the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads() -> int:
    """Return how many threads may be used: `set_threads`, else GATELIGHT_THREADS, else all processors.

    Raises DataError when GATELIGHT_THREADS is not a positive number.
    """
    if _threads is not None:
        return _threads
    wish = os.environ.get("GATELIGHT_THREADS", "")
    if not wish:
        return available()
    if not wish.isdecimal() or int(wish) < 1:
        raise DataError(f"GATELIGHT_THREADS is {wish!r}; expected a positive whole number, or unset it")
    return int(wish)


def set_threads(count: int | None) -> None:
    """Set how many threads a computation may use; None returns to the default.

    Raises DataError below 1.
    """
    global _threads
    if count is not None and count < 1:
        raise DataError(f"{count} threads were asked for; expected 1 or more, or None for all processors")
    _threads = count


@contextmanager
def using(count: int | None) -> Iterator[None]:
    """Inside the block `set_threads(count)` holds, with None what holds outside; then what was set before."""
    global _threads
    before = _threads
    if count is not None:
        set_threads(count)
    try:
        yield
    finally:
        _threads = before


def cuts(size: int) -> list[tuple[int, int]]:
    """Cut 0 … size - 1 into a part for each thread: (begin, end)."""
    count = threads()
    return [(size * k // count, size * (k + 1) // count) for k in range(count)]


def share(region: Callable[..., int], given: tuple[Any, ...], work: int) -> None:
    """Call `region(*given, crew, helpers)`, compiled code that shares its tasks among threads (crew.py).

    `work`: multiply-adds of all tasks together. Threads that sleep are woken for what is worth it, and help as
    soon as they come. Raises MemoryError when a task finds no memory.
    """
    helpers = threads() - 1 if work >= LITTLE_WORK else 0
    if helpers > 0:
        missing = helpers - int(_crew[AWAKE])
        if missing > 0 and work >= SHARED_WORK:
            _wake(missing)
    if region(*given, _crew, helpers):
        raise MemoryError("a part of the work found no memory")


def run(tasks: Sequence[Task], work: int) -> None:
    """Run every task once, in the order given as far as threads are free, and wait for all of them.

    `work`: multiply-adds of all tasks together; little work stays on this thread. The first error that
    a task raises is raised here.
    """
    workers = 1 if work < SHARED_WORK else min(threads(), len(tasks))
    if workers <= 1:
        for task in tasks:
            task()
        return
    global _open
    _open = call = _begin(tasks, workers - 1)
    call.finish()


def together(tasks: Sequence[Task], give_up: Callable[[], object]) -> bool:
    """Run all tasks at the same time, each on a thread of its own; or none if too few are idle, and say so.

    They may wait for each other. `give_up` is called when one of them raises, or this thread is interrupted
    before it comes to its own: it must keep the others from waiting for it.
    """
    workers = _take_workers(len(tasks) - 1)
    if len(workers) < len(tasks) - 1:
        with _lock:
            _idle.extend(workers)
        return False

    def guarded(task: Task) -> None:
        try:
            task()
        except BaseException:
            give_up()
            raise

    call = _Call([partial(guarded, task) for task in tasks])
    try:
        for worker in workers:
            worker.ring(call)
        call.take_turns()
    except BaseException:
        give_up()
        raise
    finally:
        call.close()
    if call.error is not None:
        raise call.error
    return True


def beside(task: Task) -> Task:
    """Begin a task on a thread that is idle, if there is one; what returns waits for its end, or does it.

    An error that it raises is raised there. Until it is done fewer threads take part in `run`.
    """
    return _begin([task], min(1, threads() - 1)).finish


def _begin(tasks: Sequence[Task], others: int) -> _Call:
    call = _Call(tasks)
    for worker in _take_workers(others):
        worker.ring(call)
    return call


class _Call:
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


class _Worker:
    """A thread that waits for calls to help with."""

    def __init__(self) -> None:
        self._door = threading.Lock()
        self._door.acquire()
        self._bell, self._rung = new_signal(), 0
        self._call: _Call | None = None
        self.asleep = False
        self._ringer = NOWHERE
        threading.Thread(target=self._live, name="gatelight", daemon=True).start()

    def ring(self, call: _Call) -> None:
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


def _take_workers(count: int, fresh: int = 0) -> list[_Worker]:
    """Up to `count` threads that are idle, or new ones as long as there are fewer than may be used.

    Beside these up to `fresh` new ones.
    """
    global _started, _looks
    with _lock:
        taken = [_idle.pop() for _ in range(min(count, len(_idle)))]
        new = min(count - len(taken) + fresh, threads() - 1 - _started)
        if new > 0:
            _started += new
            _looks = LOOKS if _started < available() else 0
    return taken + [_Worker() for _ in range(new)]


def _wake(count: int) -> None:
    """Let up to `count` threads that sleep watch again."""
    with _lock:
        asleep = [worker for worker in _idle if worker.asleep][:count]
        for worker in asleep:
            _idle.remove(worker)
    asleep += _take_workers(0, count - len(asleep))
    for worker in asleep:
        worker.ring(_Call([]))


def _forget_workers() -> None:
    # A forked child has none of the threads.
    global _idle, _started, _lock, _crew
    _idle, _started, _crew = [], 0, new_crew()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_workers)


@contextmanager
def single_threaded_torch() -> Iterator[None]:
    """Keep PyTorch's own operators on one thread, so that their sums do not depend on the cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
