"""Transposed copies against numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatelight.nn.transposing import transpose_rows


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (32, 16), (200, 300), (37, 18), (7, 33), (0, 5)])
def test_every_element_changes_its_place(shape: tuple[int, int], dtype: Any) -> None:
    """Squares and what is left beside and below them are done by other code."""
    given = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    found = np.zeros((shape[1], shape[0] + 3), dtype)
    transpose_rows(given[None], found[None], 2, 0, len(given))
    np.testing.assert_array_equal(found[:, 2:-1], given.T)
    assert not found[:, :2].any()
    assert not found[:, -1].any()
