"""What torchrun tells the processes that it starts; without it there is one process, of rank 0."""

from __future__ import annotations

import os


def _told(name: str, otherwise: int) -> int:
    # These names may stand for something else where torchrun did not start the process.
    return int(os.environ.get(name, otherwise)) if "TORCHELASTIC_RUN_ID" in os.environ else otherwise


def rank() -> int:
    """Return the number of this process among all that work together; number 0 writes and prints."""
    return _told("RANK", 0)


def processes() -> int:
    """Return how many processes work together."""
    return _told("WORLD_SIZE", 1)


def processes_here() -> int:
    """Return how many processes share this machine's processors."""
    return _told("LOCAL_WORLD_SIZE", 1)


def restarts() -> int:
    """Return how many times torchrun has started anew, on this machine, what failed before."""
    return _told("TORCHELASTIC_RESTART_COUNT", 0)
