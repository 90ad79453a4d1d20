"""Which path computes a layer here, why, and how often each was taken.

Knows devices, types and cell names, nothing of parameters or sequences.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from gatelight.nn.equations import EQUATIONS
from gatelight.nn.threads import threads

if TYPE_CHECKING:
    import torch

Path = Literal["kernels", "torch", "equations"]

BACKENDS = ("auto", "reference")
KERNEL_TYPES = ("float32", "float64")
OF_TORCH = ("rnn", "lstm", "gru")

_calls: Counter[str] = Counter()


@dataclass(frozen=True)
class Status:
    """A printable answer to "which path runs, and why"; `calls` counts since the process began."""

    paths: tuple[tuple[str, Path, str], ...]  # cell and device, path, reason
    calls: dict[str, int]
    numba: str
    torch: str
    processor: str
    vectors: str  # the widest vector instructions the compiler may use
    threads: int

    def __str__(self) -> str:
        width = max(len(what) for what, _, _ in self.paths)
        lines = [f"{what:<{width}}  {path:<9}  {why}" for what, path, why in self.paths]
        taken = ", ".join(f"{path} {number}" for path, number in self.calls.items())
        lines.append(f"numba {self.numba}, torch {self.torch}, {self.threads} threads")
        lines.append(f"processor {self.processor}, {self.vectors}")
        lines.append(f"calls so far: {taken}")
        return "\n".join(lines)


@cache  # it is asked for twice in every run of a layer
def path_of(cell: str, device: str, dtype: torch.dtype | str, backend: str = "auto") -> tuple[Path, str]:
    """Who computes this cell on this device in this type, and the reason in words."""
    if backend == "reference":
        return "equations", "backend='reference' was asked for"
    if cell not in EQUATIONS:
        return "torch", f"{cell} has no kernel of ours"
    name = str(dtype).removeprefix("torch.")
    if device == "cpu" and name in KERNEL_TYPES:
        return "kernels", "Numba serves float32 and float64 on the CPU"
    why = f"Numba does not serve {name} on {device}"
    if cell not in OF_TORCH:
        return "equations", f"{why}, and torch has no such cell"
    return "torch", f"{why}; torch's own kernels do"


def count(path: Path) -> None:
    """Note one run of a stack of layers."""
    _calls[path] += 1


def calls() -> dict[str, int]:
    """Runs of each path since the process began; the difference of two shows that no other path was taken."""
    return {path: _calls[path] for path in ("kernels", "torch", "equations")}


def status() -> Status:
    """Say which path serves each cell on each device of this machine, why, and what was run so far."""
    import llvmlite.binding
    import numba
    import torch

    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    paths = tuple(
        (f"{cell} {device} {str(dtype).removeprefix('torch.')}", *path_of(cell, device, dtype))
        for cell in (*EQUATIONS, "rnn_relu")
        for device in devices
        for dtype in (torch.float32, torch.float64, torch.bfloat16)
    )
    features = llvmlite.binding.get_host_cpu_features()
    widest = next(
        (name for name in ("avx512f", "avx2", "avx", "sse2", "neon") if features.get(name)), "none known"
    )
    return Status(
        paths=paths,
        calls=calls(),
        numba=numba.__version__ + (" (compiler switched off)" if numba.config.DISABLE_JIT else ""),
        torch=torch.__version__,
        processor=llvmlite.binding.get_host_cpu_name(),
        vectors=widest,
        threads=threads(),
    )
