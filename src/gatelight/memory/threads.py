"""Threads for work that holds no GIL; results do not depend on their number. Knows nothing of cells.

Work is cut into tasks that each write their own part of an array, so it does not matter which
thread takes which task. PyTorch's and BLAS's own pools stay out of it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from gatelight.errors import DataError

Task = Callable[[], object]

SHARED_WORK = 1 << 21
"""Multiply-adds below which a second thread costs more than it saves (about 40 µs of one core)."""

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_threads: int | None = None


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
    global _threads, _pool
    if count is not None and count < 1:
        raise DataError(f"{count} threads were asked for; expected 1 or more, or None for all processors")
    with _lock:
        _threads = count
        if _pool is not None:
            _pool.shutdown(wait=False)
            _pool = None


def cuts(size: int) -> list[tuple[int, int]]:
    """Cut 0 … size - 1 into a part for each thread: (begin, end)."""
    count = threads()
    return [(size * k // count, size * (k + 1) // count) for k in range(count)]


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
    left = deque(tasks)

    def take_turns() -> None:
        while True:
            try:
                task = left.popleft()
            except IndexError:
                return
            task()

    with _lock:
        pool = _running_pool()
        helpers = [pool.submit(take_turns) for _ in range(workers - 1)]
    try:
        take_turns()
    finally:
        left.clear()  # after an error here the others stop at their next task
        for helper in helpers:
            helper.result()


def _running_pool() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(max(1, threads() - 1), thread_name_prefix="gatelight")
    return _pool


def _forget_pool() -> None:
    # A forked child has the pool's object but none of its threads.
    global _pool, _lock
    _pool = None
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


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
