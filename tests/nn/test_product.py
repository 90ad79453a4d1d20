"""Products of many rows: every element is one sum in one order, whoever computes it."""

import numpy as np
import pytest

from gatelight.nn import threads
from gatelight.nn.kernels import gemm
from gatelight.nn.kernels.rows import summed_rows

SIZES = [(1, 7, 3), (530, 200, 300), (300, 1500, 64), (19, 33, 13), (1030, 60, 80), (0, 5, 9)]


def normal(dtype: type, *shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "depth", "columns"), SIZES)
def test_a_row_has_the_bits_that_it_has_by_itself(dtype: type, rows: int, depth: int, columns: int) -> None:
    a, weight, start = normal(dtype, rows, depth), normal(dtype, columns, depth), normal(dtype, columns)
    b = gemm.panels(weight.T)
    single = [gemm.rows_times(a[k : k + 1], b, start) for k in range(rows)]
    expected = np.concatenate([np.empty((0, columns), dtype), *single])
    np.testing.assert_allclose(expected, start + a @ weight.T, rtol=1e-3, atol=1e-3)
    for count in (1, 2, 3):
        with threads.using(count):
            np.testing.assert_array_equal(gemm.rows_times(a, b, start), expected)
    for some in range(1, min(rows, 20)):  # there is a tile for some numbers of rows
        np.testing.assert_array_equal(gemm.rows_times(a[:some], b, start), expected[:some])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "gates", "dim"), SIZES)
def test_a_gradient_is_summed_over_the_rows_in_their_order(
    dtype: type, rows: int, gates: int, dim: int
) -> None:
    d_out, x = normal(dtype, rows, gates), normal(dtype, rows, dim)
    with threads.using(1):
        weight, bias = gemm.transposed_times(d_out, x)
    np.testing.assert_allclose(weight, d_out.T @ x, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(bias, d_out.sum(axis=0), rtol=1e-3, atol=1e-3)
    for count in (2, 3):
        with threads.using(count):
            for found, wanted in zip(gemm.transposed_times(d_out, x), (weight, bias), strict=True):
                np.testing.assert_array_equal(found, wanted)


def test_rows_are_summed_by_number() -> None:
    rows, number = normal(np.float32, 500, 300), np.random.default_rng(0).integers(0, 9, 500, np.int32)
    expected = np.zeros((12, 300), np.float32)
    np.add.at(expected, number, rows)
    for count in (1, 3):
        with threads.using(count):
            np.testing.assert_array_equal(summed_rows(rows, number, 12), expected)
