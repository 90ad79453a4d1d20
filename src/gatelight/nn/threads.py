"""How many threads compute, and what they are given; results do not depend on their number.

Work is cut into tasks that each write their own part of an array, so it does not matter which thread takes
which task. PyTorch's and BLAS's own pools stay out of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from gatelight.errors import DataError
from gatelight.launched import processes_here
from gatelight.nn.kernels.parallel import NO_MEMORY, woken_pool
from gatelight.nn.processors import available

__all__ = [
    "LITTLE_WORK", "WAKING_WORK", "available", "run_compiled", "set_threads", "single_threaded_torch",
    "threads", "using",
]  # fmt: skip

WAKING_WORK, LITTLE_WORK = 1 << 21, 1 << 18
"""Multiply-adds below which a second thread costs more than it saves: one that sleeps, and one that looks
for work already."""

_threads: int | None = None
_VARIABLE = "GATELIGHT_THREADS"


def threads() -> int:
    """Return how many threads may be used: `set_threads`, else GATELIGHT_THREADS, else all processors.

    Of processors, each of the processes that torchrun starts on a machine takes its part.
    Raises DataError when GATELIGHT_THREADS is not a positive number.
    """
    if _threads:
        return _threads
    wish = os.environ.get(_VARIABLE, "")
    if not wish:
        return max(1, available() // processes_here())
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


def run_compiled(region: Callable[..., int], given: tuple[Any, ...], work: int) -> None:
    """Call `region(*given, pool, helpers)`, compiled code that shares its tasks by `parallel_for`.

    `work`: multiply-adds of all tasks together. Threads that sleep are woken for what is worth it, and help
    as soon as they come. Raises MemoryError when a task finds no memory.
    """
    helpers = threads() - 1 if work >= LITTLE_WORK else 0
    if region(*given, woken_pool(helpers, wake=work >= WAKING_WORK), helpers):
        raise MemoryError(NO_MEMORY)


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
