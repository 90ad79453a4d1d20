"""Large weights that stand in panels: the bits of those that stand in rows, and torch's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import gatelight
from gatelight.memory import layer_arrays, panels, threads
from gatelight.memory.fixed_layer import FixedLayer
from gatelight.memory.packing import pack

# Neither is a multiple of a panel's columns, and those of two directions do not begin at one.
CELLS = {"RNN": 371, "LSTM": 187, "PeepholeLSTM": 187, "GRU": 213}
SEQUENCES, STEPS, DIM = 131, 9, 401


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("both", [False, True], ids=["one direction", "both"])
@pytest.mark.parametrize("cell", CELLS)
def test_weights_in_panels_give_the_bits_of_those_in_rows(
    cell: str, both: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a weight is large must not decide a bit: forward, back, at one thread and at several."""
    monkeypatch.setattr(panels, "MASKS", True)
    layer = _layer(cell, both, dtype)
    (gates, hidden), (x, lengths) = layer.weight_hh_l0.shape, _given(dtype)
    number_type = np.dtype(str(dtype).removeprefix("torch."))
    cases = [(lengths, False), (None, False), (lengths, True), (None, True)]
    found = {}
    for most in (1, 2, 3):
        with threads.using(most):
            found[most] = [_results(layer, x, *case) for case in cases]
    for depth, columns in ((hidden, gates), (gates, hidden), (DIM, gates), (gates, DIM)):
        assert panels.shape_of(depth, columns, number_type)[0] > depth
    monkeypatch.setattr(panels, "LEAST", 1 << 40)
    assert panels.shape_of(hidden, gates, number_type)[0] == hidden
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


@pytest.mark.parametrize("cell", CELLS)
def test_fixed_weights_in_panels_give_the_bits_of_training(
    cell: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that judges must find what it found when it was trained."""
    monkeypatch.setattr(panels, "MASKS", True)
    layer, (x, lengths) = _layer(cell, True), _given(torch.float32)
    weights = {name: value.detach().numpy() for name, value in layer.named_parameters()}
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
    prepared = layer_arrays._prepared

    def watched(*given: Any) -> Any:
        seen.append(prepared(*given))
        return seen[-1]

    monkeypatch.setattr(panels, "MASKS", True)
    monkeypatch.setattr(layer_arrays, "_prepared", watched)
    layer = _layer("LSTM", False)
    for sequences in (1, 30):
        layer(torch.randn(sequences, STEPS, DIM))
    (_, few, _), (_, many, _) = seen
    assert few.shape[1] == CELLS["LSTM"] < many.shape[1]
