"""Products of many rows: what is put into panels first has the bits of what is not."""

import itertools

import numpy as np
import pytest

from gatelight.nn import threads
from gatelight.nn.kernels import gemm


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rows", "gates", "dim"), [(330, 520, 300), (239, 200, 333), (7, 1024, 128)])
def test_a_weights_gradient_is_that_of_its_parts(dtype: type, rows: int, gates: int, dim: int) -> None:
    """Each element is summed over the rows in their order, however large the weight is."""
    numbers = np.random.default_rng(3)
    d_out, x, weight = (
        numbers.standard_normal(shape).astype(dtype) for shape in ((rows, gates), (rows, dim), (gates, dim))
    )
    with threads.using(1):  # else each thread's share might be small
        d_x, whole, _ = gemm.linear_back(d_out, x, [weight], True, True, False)
        assert whole.size >= gemm.LARGE
        np.testing.assert_allclose(whole, d_out.T @ x, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(d_x, d_out @ weight, rtol=1e-3, atol=1e-3)
        for begin in range(0, gates, 40):
            part = slice(begin, begin + 40)
            some = np.ascontiguousarray(d_out[:, part]), x, [weight[part]]
            assert some[2][0].size < gemm.LARGE
            np.testing.assert_array_equal(whole[part], gemm.linear_back(*some, False, True, False)[1])
    with threads.using(2):
        np.testing.assert_array_equal(whole, gemm.linear_back(d_out, x, [weight], False, True, False)[1])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(
    ("rows", "gates", "dim"), [(530, 200, 300), (300, 1500, 64), (19, 33, 13), (3, 1024, 100), (270, 20, 70)]
)
def test_an_inputs_gradient_has_the_bits_of_each_row_by_itself(
    dtype: type, directions: int, rows: int, gates: int, dim: int
) -> None:
    """Tasks take some rows and some columns, and a deep weight in pieces; none of it may be seen."""
    numbers = np.random.default_rng(6)
    room = 5  # what a direction's columns have beyond its gates is not theirs
    d_out = numbers.standard_normal((rows, directions, gates + room)).astype(dtype)
    weights = [numbers.standard_normal((gates, dim)).astype(dtype) for _ in range(directions)]
    x = np.zeros((rows, dim), dtype)
    flat = d_out.reshape(rows, -1)
    with threads.using(1):
        single = [
            gemm.linear_back(flat[k : k + 1], x[k : k + 1], weights, True, False, False)[0]
            for k in range(rows)
        ]
    expected = np.concatenate(single)
    exact = sum(d_out[:, d, :gates].astype(np.float64) @ weights[d] for d in range(directions))
    np.testing.assert_allclose(expected, exact, rtol=1e-3, atol=1e-3)
    for count in (1, 2, 3):
        with threads.using(count):
            found = gemm.linear_back(flat, x, weights, True, False, False)[0]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("depth", "columns"), [(20, 1), (33, 13), (50, 150), (128, 512)])
def test_few_rows_have_the_bits_of_each_by_itself(dtype: type, depth: int, columns: int) -> None:
    """There is a tile for each number of rows, and each is of another width."""
    numbers = np.random.default_rng(4)
    a, b = (numbers.standard_normal(shape).astype(dtype) for shape in ((19, depth), (columns, depth)))
    start = numbers.standard_normal(columns).astype(dtype)
    single = np.concatenate([gemm.rows_times(a[k : k + 1], [b], start) for k in range(len(a))])
    np.testing.assert_allclose(single, start + a.astype(np.float64) @ b.T, rtol=1e-3, atol=1e-4)
    for rows in range(1, len(a) + 1):
        np.testing.assert_array_equal(gemm.rows_times(a[:rows], [b], start), single[:rows])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(
    ("rows", "depth", "size"), [(1, 7, 3), (19, 33, 13), (171, 300, 200), (40, 16, 256), (1030, 60, 80)]
)
def test_a_product_has_the_bits_of_each_row_by_itself(
    dtype: type, directions: int, rows: int, depth: int, size: int
) -> None:
    """How many rows and threads there are decides who does what; none of it may be seen."""
    numbers = np.random.default_rng(5)
    a = numbers.standard_normal((rows, depth)).astype(dtype)
    weights = [numbers.standard_normal((size, depth)).astype(dtype) for _ in range(directions)]
    start = numbers.standard_normal(directions * size).astype(dtype)
    expected = np.concatenate([gemm.rows_times(a[k : k + 1], weights, start) for k in range(rows)])
    np.testing.assert_allclose(expected, start + a @ np.concatenate(weights).T, rtol=1e-3, atol=1e-4)
    for count, room in itertools.product((1, 2, 3), (0, 5)):  # between what is of one weight and of the other
        with threads.using(count):
            found = gemm.rows_times(a, weights, start, size + room)
        assert found.shape == (rows, directions * (size + room))
        written = found.reshape(rows, directions, -1)[:, :, :size].reshape(rows, -1)
        np.testing.assert_array_equal(written, expected)


def test_a_weight_without_rows_gives_no_columns() -> None:
    """A task is some of its rows; of none there are no tasks."""
    a, weight = np.ones((3, 4), np.float32), np.empty((0, 4), np.float32)
    assert gemm.rows_times(a, [weight], np.empty(0, np.float32)).shape == (3, 0)
