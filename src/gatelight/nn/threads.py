"""Threads for work that holds no GIL; results do not depend on their number. Knows nothing of cells.

Work is cut into tasks that each write their own part of an array, so it does not matter which
thread takes which task. PyTorch's and BLAS's own pools stay out of it. Tasks of compiled code are
shared without the interpreter (`share`, `begin`), others by `run` and `together`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

from gatelight.errors import DataError
from gatelight.nn import team, workers
from gatelight.nn.crew import BEGUN, NO_MEMORY
from gatelight.nn.crew import finish as crew_finish
from gatelight.nn.processors import available
from gatelight.nn.workers import Task

__all__ = [
    "LITTLE_WORK", "SHARED_WORK", "WAKING_WORK", "Task", "available", "begin", "beside_torch", "cuts",
    "expect", "finish", "run", "set_threads", "share", "single_threaded_torch", "threads", "together",
    "using",
]  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")

SHARED_WORK = 1 << 22
"""Multiply-adds below which a second thread costs more than it saves (about 80 µs of one core)."""

WAKING_WORK, LITTLE_WORK = 1 << 21, 1 << 18
"""The same of tasks of compiled code: for a thread that sleeps, and for one that watches already."""

_threads: int | None = None
_VARIABLE = "GATELIGHT_THREADS"
# Where it is not set os.environ raises and catches two errors, as long as a short product takes; what lies
# behind it is a dict.
_variables: Any = getattr(os.environ, "_data", os.environ)
_NAME = os.environ.encodekey(_VARIABLE) if _variables is not os.environ else _VARIABLE


def threads() -> int:
    """Return how many threads may be used: `set_threads`, else GATELIGHT_THREADS, else all processors.

    Raises DataError when GATELIGHT_THREADS is not a positive number.
    """
    known = _threads or team.here.threads
    if known:
        return known
    wish = os.environ.get(_VARIABLE, "") if _NAME in _variables else ""
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

    `work`: multiply-adds of all tasks together. Threads that sleep are woken for what is worth it, and help
    as soon as they come. Beside torch a region may only begin its job (`begin`, crew.py): it is done before
    the next one, or when torch's threads go, and nobody may read what it writes until then. Raises
    MemoryError when a task finds no memory.
    """
    here = team.here
    if here.begun is not None:
        team.finish()
    helpers = threads() - 1 if work >= LITTLE_WORK else 0
    wake = work >= WAKING_WORK
    crew = team.present(wake)
    if crew is None:
        crew = workers.crew_of(helpers, wake=wake)
    state = region(*given, crew, helpers)
    if state == BEGUN:
        if crew is here.crew:
            here.begun = crew, given, None
            return
        state = crew_finish(crew)
    if state:
        raise MemoryError(NO_MEMORY)


def begin(region: Callable[..., int], given: tuple[Any, ...], work: int) -> None:
    """Have others do it while this thread goes on; it is done before this one's next `share`, or `finish`.

    As `share` with `region(*given, opened, crew, helpers)`, int64 opened [1], which sets opened[0] to whether
    its job is BEGUN. Beside torch it is a job of our own threads, too. Whoever leaves before `finish` keeps
    others from helping anybody.
    """
    here = team.here
    team.finish()
    helpers = threads() - 1 if work >= LITTLE_WORK else 0
    crew = workers.crew_of(helpers, wake=work >= WAKING_WORK)
    opened = np.zeros(1, np.int64)
    here.begun = crew, given, opened  # before it is open: an interrupt must not free what others write to
    state = region(*given, opened, crew, helpers)
    if state != BEGUN:
        here.begun = None
        if state:
            raise MemoryError(NO_MEMORY)


finish = team.finish


def expect(work: int) -> None:
    """Have torch's threads come, where they help, for `work` multiply-adds that will be worth it."""
    if work >= WAKING_WORK:
        team.call()


def beside_torch(function: Callable[P, R]) -> Callable[P, R]:
    """While `function` runs torch's threads help, not ours, where its operators run on as many: see team.py.

    How many threads may be used is asked once.
    """

    @wraps(function)
    def helped(*args: P.args, **kwargs: P.kwargs) -> R:
        here = team.here
        before = here.threads, here.helps
        here.threads = threads()
        here.helps = team.may_help(here.threads)
        try:
            return function(*args, **kwargs)
        finally:
            helps = here.helps
            here.threads, here.helps = before
            if helps and not here.helps:
                team.dismiss()
            elif here.begun is not None:  # torch goes on inside of another one
                team.finish()

    return helped


def run(tasks: Sequence[Task], work: int) -> None:
    """Run every task once, in the order given as far as threads are free, and wait for all of them.

    `work`: multiply-adds of all tasks together; little work stays on this thread. The first error that
    a task raises is raised here.
    """
    team.finish()
    count = 1 if work < SHARED_WORK else min(threads(), len(tasks))
    if count <= 1:
        for task in tasks:
            task()
        return
    call = workers.begin(tasks, count - 1, threads() - 1)
    workers.open_to_all(call)
    call.finish()


def together(tasks: Sequence[Task], give_up: Callable[[], object]) -> bool:
    """Run all tasks at the same time, each on a thread of its own; or none if too few are idle, and say so.

    They may wait for each other. `give_up` is called when one of them raises, or this thread is interrupted
    before it comes to its own: it must keep the others from waiting for it.
    """
    team.finish()
    others = workers.take(len(tasks) - 1, threads() - 1)
    if len(others) < len(tasks) - 1:
        workers.give_back(others)
        return False

    def guarded(task: Task) -> None:
        try:
            task()
        except BaseException:
            give_up()
            raise

    call = workers.Call([partial(guarded, task) for task in tasks])
    try:
        for worker in others:
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
