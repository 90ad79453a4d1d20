"""The matrix product that compiled code calls by name, which each process that loads it must know."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from gatelight.nn.kernels.gemm import rows_times

OUTER, INNER = "gemm._all_rows", "gemm._rows_times"

CODE = """
import numpy as np
from gatelight.nn.kernels import gemm
a, b = np.random.default_rng(3).normal(size=(2, 11, 11)).astype("float32")
print(float(gemm.rows_times(a, b, a[0]).sum()), sum(gemm._all_rows.stats.cache_hits.values()))
"""


def _run(folder: Path) -> tuple[float, int]:
    done = subprocess.run(
        [sys.executable, "-c", CODE], env={**os.environ, "NUMBA_CACHE_DIR": str(folder)}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    total, hits = done.stdout.split()
    return float(total), int(hits)


def _compiled(folder: Path, name: str) -> list[Path]:
    return sorted(folder.rglob(f"{name}-*.nb[ci]"))


def test_code_from_the_cache_finds_the_product_whoever_was_compiled_first(tmp_path: Path) -> None:
    """Red when a name is not known yet, or when the tiles are compiled into everything that multiplies."""
    a, b = np.random.default_rng(3).normal(size=(2, 11, 11)).astype("float32")
    expected = float(rows_times(a, b, a[0]).sum())
    assert _run(tmp_path) == (expected, 0)  # all is compiled
    sizes = [
        path.stat().st_size
        for name in ("gemm._product", OUTER, INNER)
        for path in _compiled(tmp_path, name)
        if path.suffix == ".nbc"
    ]
    assert len(sizes) == 3
    assert sizes[0] > max(sizes[1:])
    assert _run(tmp_path) == (expected, 1)  # all is loaded
    for path in _compiled(tmp_path, OUTER):
        path.unlink()
    assert _compiled(tmp_path, INNER)
    assert _run(tmp_path) == (expected, 0)  # compiled around a part that was loaded
    assert _run(tmp_path) == (expected, 1)
    for path in _compiled(tmp_path, "gemm._product"):
        path.unlink()
    assert _run(tmp_path) == (expected, 1)  # the product alone is compiled
