"""The machine that the numbers are of: processor, cores, versions, and how fast it multiplies matrices."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.squashing import squash_again
from gatelight.nn.threads import available

SIZE = 1024  # large enough that a product is limited by arithmetic, small enough for a hundredth of a second
REPEATS = 3
SUSTAINED = 0.1  # seconds: as long as a turn of short work, for a shared machine changes within them
SQUASHED, SQUASHES = 2048, 4000  # numbers at a time, times
PACKAGES = (
    "gatelight", "numpy", "numba", "torch", "keras", "tensorflow", "tensorflow-cpu", "jax", "onnxruntime",
    "scikit-learn", "nltk",
)  # fmt: skip


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """torch's own operators on `count` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system, versions and the load on the machine now, JSON-able."""
    return {
        "processor": _processor(),
        "cores": available(),
        "memory_gib": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def matrix_rate() -> float:
    """Floating-point operations a second of float32 [1024, 1024] products, one after the other, on all cores.

    By whoever multiplies faster here, torch or NumPy.
    """
    product, _ = _matrix_products()
    with torch_threads(available()):
        product()
        count, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < SUSTAINED:
            product()
            count += 1
    return count * 2.0 * SIZE**3 / took


@cache
def _matrix_products() -> tuple[Callable[[], object], ...]:
    """Products by torch and by NumPy, the faster one first."""
    random = np.random.default_rng(0)
    a, b, out = (random.standard_normal((SIZE, SIZE), np.float32) for _ in range(3))
    ta, tb, into = (torch.from_numpy(one) for one in (a, b, out))
    by_torch, by_numpy = partial(torch.mm, ta, tb, out=into), partial(np.dot, a, b, out)
    with torch_threads(available()):
        return tuple(sorted((by_torch, by_numpy), key=_shortest))


def squash_rate() -> float:
    """Numbers a second whose tanh all cores find in float32: the better of ours and of torch's."""
    cores = available()
    values = np.random.default_rng(0).standard_normal((cores, SQUASHED), np.float32)
    out = np.empty_like(values)

    def by_torch(k: int) -> None:
        given, found = torch.from_numpy(values[k]), torch.from_numpy(out[k])
        for _ in range(SQUASHES):
            torch.tanh(given, out=found)

    def by_ours(k: int) -> None:
        squash_again(values[k], out[k], SQUASHES)

    with torch_threads(1), ThreadPoolExecutor(cores) as pool:
        seconds = min(_shortest(partial(_on_all, pool, one, cores)) for one in (by_torch, by_ours))
    return cores * SQUASHED * SQUASHES / seconds


def second_core() -> float:
    """How many times as fast two threads multiply [1024, 1024] matrices as one: what a core is worth now.

    On a shared machine both may be given the halves of one core, for seconds at a time.
    """
    a, b = (torch.ones(SIZE, SIZE) for _ in range(2))
    seconds = []
    for threads in (1, 2):
        with torch_threads(threads):
            seconds.append(_shortest(lambda: torch.mm(a, b)))
    return seconds[0] / seconds[1]


def read_rate(size: int) -> float:
    """Bytes a second that all cores together read of `size` bytes, each its own part again and again."""
    cores = available()
    part = np.ones(size // 4 // cores, np.float32)

    def read() -> float:
        own, count, began = part.copy(), 0, time.perf_counter()
        while (took := time.perf_counter() - began) < SUSTAINED:
            np.dot(own, own)
            count += 1
        return count * own.nbytes / took

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(cores) as pool:
        found = [
            sum(future.result() for future in [pool.submit(read) for _ in range(cores)])
            for _ in range(REPEATS)
        ]
    return max(found)


def _on_all(pool: ThreadPoolExecutor, work: Callable[[int], None], cores: int) -> None:
    list(pool.map(work, range(cores)))


def _shortest(product: Callable[[], object]) -> float:
    product()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        product()
        times.append(time.perf_counter() - began)
    return min(times)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    vectors = [name for name in ("avx512f", "avx2") if name in fields.get("flags", "").split()]
    return " ".join([fields.get("model name", platform.machine()), *(f"({name})" for name in vectors[:1])])


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None  # not every system tells


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
