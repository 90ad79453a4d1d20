"""Which processor a thread runs on, as far as the system tells; knows nothing of what it works at."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable

NOWHERE = -1

MOMENT = 0.1  # seconds
_known = 0.0, 1  # until when, how many


def _where() -> Callable[[], int]:
    try:
        found: Callable[[], int] = getattr(ctypes.PyDLL(None), "sched_getcpu")  # noqa: B009
        found()
    except (AttributeError, OSError, TypeError):  # not a system with this call
        return lambda: NOWHERE
    return found if hasattr(os, "sched_setaffinity") else lambda: NOWHERE


def available() -> int:
    """Return the processors that this process may use, or might a moment ago."""
    global _known
    now = time.monotonic()
    if now >= _known[0]:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        _known = now + MOMENT, count or 1
    return _known[1]


where = _where()
"""The processor of this thread now, or NOWHERE."""


def step_aside(other: int) -> None:
    """Move this thread to another processor if it is on `other`, where somebody works that it is to help.

    The system puts a thread that is woken beside the one that wakes it, and on some machines leaves it there
    for milliseconds, both taking turns.
    """
    if other == NOWHERE or where() != other:
        return
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, allowed - {other} or allowed)
    except OSError:  # a processor was taken away meanwhile
        return
    os.sched_setaffinity(0, allowed)
