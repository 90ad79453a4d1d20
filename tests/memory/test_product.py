"""Products of many rows: what is put into panels first has the bits of what is not."""

import itertools

import numpy as np
import pytest
import torch

import gatelight
from gatelight.memory import layer_arrays, product, threads
from gatelight.memory.transposing import transposed


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize(("rows", "depth", "size"), [(1, 7, 3), (19, 33, 13), (171, 300, 200), (40, 16, 256)])
def test_a_weight_transposed_by_each_task_gives_the_bits_of_one_that_is(
    dtype: type, directions: int, rows: int, depth: int, size: int
) -> None:
    """How many rows there are decides which it is, and must not decide what a row gets."""
    numbers = np.random.default_rng(5)
    a = numbers.standard_normal((rows, depth)).astype(dtype)
    weights = [numbers.standard_normal((size, depth)).astype(dtype) for _ in range(directions)]
    start = numbers.standard_normal(directions * size).astype(dtype)
    expected = product.rows_times(a, transposed(np.concatenate(weights)), start)
    np.testing.assert_allclose(expected, start + a @ np.concatenate(weights).T, rtol=1e-3, atol=1e-4)
    for count, room in itertools.product((1, 2, 3), (0, 5)):  # between what is of one weight and of the other
        with threads.using(count):
            found = [
                product.rows_times_turned(a, weights, start, size + room),
                product.rows_times(a, transposed(np.concatenate(weights)), start, directions, size + room),
            ]
        for one in found:
            assert one.shape == (rows, directions * (size + room))
            written = one.reshape(rows, directions, -1)[:, :, :size].reshape(rows, -1)
            np.testing.assert_array_equal(written, expected)


def test_few_rows_are_those_that_stay_in_the_cache_and_are_less_than_a_large_weight() -> None:
    """Else the rows are read once for each of the weight's columns, and from memory."""
    weight, small = np.zeros((256, 300), np.float32), np.zeros((200, 300), np.float32)
    assert product.few_rows(weight[:255], [weight])
    assert not product.few_rows(weight, [weight])
    assert not product.few_rows(weight[:9], [small])
    assert product.few_rows(np.zeros((399, 300), np.float32), [small, small])
    assert not product.few_rows(np.zeros((450, 300), np.float32), [np.zeros((4096, 300), np.float32)])


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_layer_passes_few_rows_by_untransposed_weights_and_many_by_others(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which the other tests would not notice: the bits are the same."""
    taken: list[str] = []
    for name in ("rows_times", "rows_times_turned"):
        one = getattr(layer_arrays, name)
        monkeypatch.setattr(layer_arrays, name, lambda *given, n=name, f=one: taken.append(n) or f(*given))
    layer = {"lstm": gatelight.LSTM, "gru": gatelight.GRU}[cell](300, 96)
    (whole, _), few = layer(x := torch.randn(400, 1, 300)), layer(x[:20])[0]
    assert taken == ["rows_times", "rows_times_turned"]
    assert torch.equal(whole[:20], few)


@pytest.mark.parametrize("both", [False, True], ids=["one direction", "both"])
@pytest.mark.parametrize("cell", [gatelight.LSTM, gatelight.PeepholeLSTM, gatelight.GRU])
def test_gates_are_written_where_their_input_products_stood(
    cell: type, both: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else as much memory again is fetched and written, which no result shows."""
    forward, seen = layer_arrays.recurrence_forward, []

    def watched(*given: object, **more: object) -> tuple[np.ndarray, ...]:
        found = forward(*given, **more)  # type: ignore[arg-type]
        seen.append(np.shares_memory(given[1], found[3]))
        return found

    monkeypatch.setattr(layer_arrays, "recurrence_forward", watched)
    layer = cell(30, 20, bidirectional=both)
    layer(torch.randn(9, 2, 30))
    with torch.no_grad():
        layer(torch.randn(9, 2, 30))
    assert seen == [True, False]  # nothing is kept where there is no way back
