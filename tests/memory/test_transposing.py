"""Transposed copies against numpy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gatelight.memory.transposing import transposed


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 16, 16), (1, 200, 300), (2, 37, 18), (3, 7, 33), (1, 0, 5)])
def test_every_element_changes_its_place(shape: tuple[int, int, int], dtype: Any) -> None:
    """Squares and what is left beside and below them are done by other code."""
    random = np.random.default_rng(0)
    parts = [random.standard_normal(shape).astype(dtype) for _ in range(2)]
    wanted = np.concatenate([part.transpose(0, 2, 1) for part in parts], axis=2)
    found = transposed(*parts)
    assert np.array_equal(found, wanted)
    assert found.flags.c_contiguous
