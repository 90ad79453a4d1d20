"""Largest elements and exponentials in vector registers against NumPy, in every length of a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatelight.compiled import compiled
from gatelight.nn.kernels.simd import exp_row, highest

LENGTHS = [*range(1, 36), 63, 64, 65, 200]


@compiled
def _highest(row: Any, at: int, size: int) -> Any:
    return highest(row, at, size)


@compiled
def _exp(row: Any, at: int, less: Any, size: int) -> Any:
    return exp_row(row, at, less, size)


def rows(dtype: Any, size: int, low: float, high: float) -> np.ndarray:
    return np.random.default_rng(size).uniform(low, high, size + 5).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_highest_is_numpys(dtype: Any) -> None:
    """A likeliest word that is not found would never be the answer."""
    for size in LENGTHS:
        for place in (0, size // 2, size - 1):
            row = rows(dtype, size, -9, -3)
            row[2 + place] = -2
            assert _highest(row, 2, size) == -2
        assert _highest(np.full(size, -np.inf, dtype), 0, size) == -np.inf


@pytest.mark.parametrize(("dtype", "bound"), [(np.float32, 2.5e-7), (np.float64, 4e-16)])
def test_exponentials_are_libms(dtype: Any, bound: float) -> None:
    """Two units in the last place, from the least that is told from zero to one; around the row nothing."""
    for size in LENGTHS:
        row = rows(dtype, size, -85, 0)
        before, less = row.copy(), dtype(0.5)
        wanted = np.exp(before[3 : 3 + size].astype(np.float64) - 0.5)
        total = _exp(row, 3, less, size)
        rounded = np.abs(before[3 : 3 + size] - less) * np.finfo(dtype).eps / 2  # of the difference itself
        assert (np.abs(row[3 : 3 + size] - wanted) <= wanted * (bound + rounded)).all()
        assert total == pytest.approx(wanted.sum(), rel=8 * bound)
        np.testing.assert_array_equal(
            np.delete(row, range(3, 3 + size)), np.delete(before, range(3, 3 + size))
        )


def test_exponentials_at_their_limits() -> None:
    """What diverges must show; what is impossible must stay as good as that."""
    row = np.array([np.nan, -np.inf, 0.0, -1e30, 5.0], np.float32)
    total = _exp(row, 0, np.float32(0), 5)
    assert np.isnan(row[0])
    assert np.isnan(total)
    assert (row[[1, 3]] < 1e-37).all()
    assert row[2] == 1
    assert row[4] == pytest.approx(np.exp(5), rel=3e-7)
