"""Transposed copies against numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatelight.memory.buffers import LINE
from gatelight.memory.transposing import transposed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (32, 16), (200, 300), (37, 18), (7, 33), (0, 5)])
def test_every_element_changes_its_place(shape: tuple[int, int], dtype: Any) -> None:
    """Squares and what is left beside and below them are done by other code."""
    given = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    found = transposed(given)
    assert np.array_equal(found[:, : len(given)], given.T)
    assert found.flags.c_contiguous
    assert found.ctypes.data % LINE == found.strides[0] % LINE == 0
