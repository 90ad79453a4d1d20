"""How many processors this process may use."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from math import ceil
from pathlib import Path

MOMENT = 0.1  # seconds
_known = 0.0, 1  # until when, how many


def available() -> int:
    """The processors that this process may use, or might a moment ago, by its affinity and its quota."""
    global _known
    now = time.monotonic()
    if now >= _known[0]:
        count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        _known = now + MOMENT, max(1, min(count or 1, quota()))
    return _known[1]


def quota(of_process: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """Processors' worth of time that a container's cgroup allows, rounded up; a large number without a bound.

    The bound is `cpu.max` of the process's own group and of those around it, or in
    version 1 `cpu.cfs_quota_us`.
    """
    least, group = 1 << 30, Path("/")
    with suppress(OSError):
        for line in of_process.read_text().splitlines():
            if line.startswith("0::"):
                group = Path(line[3:])
    for one in (group, *group.parents):
        with suppress(OSError, ValueError):  # "max" is no number
            allowed, period = (root / one.relative_to("/") / "cpu.max").read_text().split()
            least = min(least, ceil(int(allowed) / int(period)))
    with suppress(OSError, ValueError):
        allowed, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        least = min(least, ceil(int(allowed) / int(period))) if int(allowed) > 0 else least
    return max(1, least)
