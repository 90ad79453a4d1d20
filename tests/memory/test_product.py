"""Products of many rows: what is put into panels first has the bits of what is not."""

import numpy as np
import pytest

from gatelight.memory import product, threads


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "gates", "dim"), [(330, 520, 300), (161, 200, 333), (7, 1024, 128)])
def test_a_weights_gradient_is_that_of_its_parts(dtype: type, rows: int, gates: int, dim: int) -> None:
    """Each element is summed over the rows in their order, however large the weight is."""
    numbers = np.random.default_rng(3)
    d_out, x, weight = (
        numbers.standard_normal(shape).astype(dtype) for shape in ((rows, gates), (rows, dim), (gates, dim))
    )
    with threads.using(1):  # else each thread's share might be small
        d_x, whole, _ = product.linear_back(d_out, x, [weight], True, True, False)
        assert whole.size >= product.LARGE
        np.testing.assert_allclose(whole, d_out.T @ x, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(d_x, d_out @ weight, rtol=1e-3, atol=1e-3)
        for begin in range(0, gates, 40):
            part = slice(begin, begin + 40)
            some = np.ascontiguousarray(d_out[:, part]), x, [weight[part]]
            assert some[2][0].size < product.LARGE
            np.testing.assert_array_equal(whole[part], product.linear_back(*some, False, True, False)[1])
    with threads.using(2):
        np.testing.assert_array_equal(whole, product.linear_back(d_out, x, [weight], False, True, False)[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("depth", "columns"), [(20, 1), (33, 13), (50, 150), (128, 512)])
def test_few_rows_have_the_bits_of_each_by_itself(dtype: type, depth: int, columns: int) -> None:
    """There is a tile for each number of rows, and each is of another width."""
    numbers = np.random.default_rng(4)
    a, b = (numbers.standard_normal(shape).astype(dtype) for shape in ((19, depth), (depth, columns)))
    start = numbers.standard_normal(columns).astype(dtype)
    single = np.concatenate([product.rows_times(a[k : k + 1], b, start) for k in range(len(a))])
    np.testing.assert_allclose(single, start + a.astype(np.float64) @ b, rtol=1e-3, atol=1e-4)
    for rows in range(1, len(a) + 1):
        np.testing.assert_array_equal(product.rows_times(a[:rows], b, start), single[:rows])
