"""Large weights that stand in panels: the bits of those that stand in rows, and torch's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import gatelight
from gatelight.nn import layer_arrays, panels, threads
from gatelight.nn.fixed_layer import FixedLayer
from gatelight.nn.packing import pack
from gatelight.nn.recurrence_forward import shares_steps, uneven

# Neither is a multiple of a panel's columns, and those of two directions do not begin at one.
CELLS = {"RNN": 371, "LSTM": 187, "PeepholeLSTM": 187, "GRU": 213}
SEQUENCES, STEPS, DIM = 131, 9, 401
SOME_CACHE = 1 << 18
"""Bytes of a second-level cache in which none of these weights stays."""


def _layer(cell: str, both: bool, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(4)
    made = getattr(gatelight, cell)(DIM, CELLS[cell], bidirectional=both, batch_first=True)
    return made.to(dtype)


def _given(dtype: torch.dtype) -> tuple[torch.Tensor, list[int]]:
    numbers = torch.Generator().manual_seed(5)
    lengths = torch.randint(0, STEPS + 1, (SEQUENCES,), generator=numbers).tolist()
    lengths[7] = STEPS
    x = torch.randn(SEQUENCES, STEPS, DIM, generator=numbers, dtype=dtype, requires_grad=True)
    return x, lengths


def _results(layer: Any, x: torch.Tensor, lengths: list[int] | None, few: bool = False) -> list[torch.Tensor]:
    if few:  # which share each step, where threads do
        x, lengths = x[:11].detach().requires_grad_(), lengths and lengths[:11]
    output, last = layer(x, lengths=lengths) if lengths else layer(x)
    states = last if isinstance(last, tuple) else (last,)
    torch.manual_seed(6)
    loss = sum((one * torch.randn_like(one)).sum() for one in (output, *states))
    found = torch.autograd.grad(loss, [x, *layer.parameters()])
    return [output.detach(), *(state.detach() for state in states), *found]


@pytest.mark.parametrize("both", [False, True], ids=["one direction", "both"])
@pytest.mark.parametrize(
    ("cell", "dtype", "cached"),
    [
        *((cell, torch.float32, cached) for cell in CELLS for cached in (panels.CACHED, SOME_CACHE)),
        *((cell, torch.float64, panels.CACHED) for cell in ("RNN", "LSTM", "GRU")),
    ],
)
def test_weights_in_panels_give_the_bits_of_those_in_rows(
    cell: str, both: bool, dtype: torch.dtype, cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a weight is large must not decide a bit: forward, back, at one thread and at several.

    Where the weights are larger than the second-level cache, as in float64, threads share all steps by units.
    """
    monkeypatch.setattr(panels, "MASKS", True)
    monkeypatch.setattr(panels, "CACHED", cached)
    layer = _layer(cell, both, dtype)
    (gates, hidden), (x, lengths) = layer.weight_hh_l0.shape, _given(dtype)
    number_type = np.dtype(str(dtype).removeprefix("torch."))
    cases = [(lengths, False), (None, False), (lengths, True), (None, True)]
    found = {}
    for most in (1, 2, 3):
        with threads.using(most):
            found[most] = [_results(layer, x, *case) for case in cases]
    parts = panels.units_of(hidden, gates, number_type, 3)
    in_parts = cached == SOME_CACHE or dtype == torch.float64
    assert 0 < parts < hidden if in_parts else parts == hidden
    monkeypatch.setattr(panels, "LEAST", 1 << 40)
    assert panels.units_of(hidden, gates, number_type, 3) == 0
    with threads.using(1):
        expected = [_results(layer, x, *case) for case in cases]
    for results in found.values():
        for some, others in zip(results, expected, strict=True):
            assert all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_weights_in_panels_give_what_torch_finds(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same numbers as torch.nn from the same weights, and gradients."""
    monkeypatch.setattr(panels, "MASKS", True)
    layer, (x, _) = _layer(cell, True, torch.float64), _given(torch.float64)
    theirs = getattr(torch.nn, cell)(DIM, CELLS[cell], bidirectional=True, batch_first=True).double()
    theirs.load_state_dict(layer.state_dict())
    for one, other in zip(_results(layer, x, None), _results(theirs, x, None), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("cached", [panels.CACHED, 1], ids=["small", "large"])
@pytest.mark.parametrize("cell", CELLS)
def test_fixed_weights_in_panels_give_the_bits_of_training(
    cell: str, cached: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that judges must find what it found when it was trained, on as many threads or fewer."""
    monkeypatch.setattr(panels, "MASKS", True)
    layer, (x, lengths) = _layer(cell, True), _given(torch.float32)
    weights = {name: value.detach().numpy() for name, value in layer.named_parameters()}
    monkeypatch.setattr(panels, "CACHED", cached)
    with threads.using(3):
        fixed = FixedLayer(layer.cell, weights)
    assert fixed.prepared()[1].shape[1] > CELLS[cell]
    packing, output = pack(lengths), layer(x, lengths=lengths)[0].detach().numpy()
    rows = np.empty((sum(lengths), DIM), np.float32)
    for k, length in enumerate(lengths):
        rows[packing.sequence(k)] = x[k, :length].detach().numpy()
    hidden = fixed.hidden(fixed.input_table(rows), packing)
    for k, length in enumerate(lengths):
        np.testing.assert_array_equal(hidden[packing.sequence(k)], output[k, :length])


def test_few_sequences_keep_their_weights_in_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sequence passes by them too seldom to copy them."""
    seen = []
    prepared = layer_arrays.prepared

    def watched(*given: Any) -> Any:
        seen.append(prepared(*given))
        return seen[-1]

    monkeypatch.setattr(panels, "MASKS", True)
    monkeypatch.setattr(layer_arrays, "prepared", watched)
    layer = _layer("LSTM", False)
    for sequences in (1, 30):
        layer(torch.randn(sequences, STEPS, DIM))
    (few, _), (many, _) = seen
    assert few.shape[1] == CELLS["LSTM"] < many.shape[1]


@pytest.mark.parametrize("gates", [1, 3, 4])
def test_a_weight_in_parts_has_each_number_where_its_part_is_read(gates: int) -> None:
    """Part after part, in each the gates' units one after the other, forty-eight columns to a panel."""
    hidden, units = 100, 48
    wide = panels.panel_columns(np.empty(0, np.float32))
    weight = np.random.default_rng(1).standard_normal((2, hidden, gates * hidden)).astype(np.float32)
    found = panels.laid_out(weight, units)
    of_part = -(-gates * units // wide)
    assert found.shape[1:] == panels.shape_in_parts(hidden, gates, hidden, units, np.dtype(np.float32))
    for unit in range(hidden):
        part, own = unit // units, min(units, hidden - unit // units * units)
        for gate in range(gates):
            panel, column = divmod(gate * own + unit % units, wide)
            place = (part * of_part + panel) * hidden
            expected = weight[:, :, gate * hidden + unit]
            np.testing.assert_array_equal(found[:, place : place + hidden, column], expected)


def test_parts_are_whole_lines_for_as_many_threads() -> None:
    """A small weight is in one part where no thread would wait, a large one never."""
    float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
    if not panels.MASKS:
        assert panels.units_of(256, 1024, float32, 2) == 0
        return
    assert [panels.units_of(256, 1024, float32, n) for n in (1, 2, 3, 5, 99)] == [256, 128, 96, 64, 16]
    assert panels.units_of(256, 768, float32, 2) == 256
    assert panels.units_of(256, 768, float32, 2, True) == panels.units_of(256, 768, float64, 2) == 128
    assert panels.units_of(181, 724, float32, 2) == 0


@pytest.mark.parametrize(
    ("lengths", "directions", "threads", "expected"),
    [
        ([9] * 16, 1, 2, False),
        ([9] * 8, 1, 2, True),
        ([9] * 8, 2, 2, False),
        ([9] * 20, 1, 2, True),
        ([9] * 8 + [3] * 8, 1, 2, True),
        ([9] * 100, 1, 2, False),
        ([9] * 100, 1, 1, False),
    ],
)
def test_threads_wait_where_groups_are_few_or_unlike(
    lengths: list[int], directions: int, threads: int, expected: bool
) -> None:
    """Eight sequences are a group, and who has none, or a short one, would wait for the others."""
    assert uneven(directions, np.array(lengths), 8, threads) == expected


def test_one_part_of_a_large_weight_is_one_threads_alone() -> None:
    """Who prepared it for one thread, and now has two, must not leave one of them idle."""
    weight, lengths = np.empty((1, 22 * 256, 48), np.float32), np.array([9] * 64)
    for count, units, expected in ((1, 256, True), (2, 256, False), (2, 128, True), (1, 128, True)):
        with threads.using(count):
            assert shares_steps(1, 256, lengths, weight, units) == expected
    with threads.using(1):
        assert not shares_steps(1, 256, lengths, weight[:, : 16 * 256], 256)
