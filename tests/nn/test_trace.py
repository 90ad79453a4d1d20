"""Traces: by name, per real step, equal to what the equations say and to what forward returns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from layer_cases import CELL_NAMES, LENGTHS, random, random_layer, random_state
from torch.nn.utils.rnn import pack_padded_sequence

from gatelight.errors import DataError
from gatelight.nn import CELLS, RNN, Trace, pack
from gatelight.nn.equations import EQUATIONS

# Kernels and equations in float64: other exp and tanh, over at most 7 steps and 2 layers.
SAME_IN_FLOAT64 = 1e-10

NAMES = {
    "rnn": ("hidden_state",),
    "lstm": ("input_gate", "forget_gate", "candidate", "output_gate", "cell_state", "hidden_state"),
    "peephole": ("input_gate", "forget_gate", "candidate", "output_gate", "cell_state", "hidden_state"),
    "gru": ("reset_gate", "update_gate", "candidate", "hidden_state"),
}


@pytest.mark.parametrize("cell", [name for name in CELL_NAMES if name != "rnn"])
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_a_gate_is_found_by_its_name(cell: str, backend: str) -> None:
    """With no weights but one bias per block, each gate is known by hand: a wrong block order cannot hide."""
    layer = CELLS[cell](1, 2, dtype=torch.float64, backend=backend)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        values = [0.3 * (k + 1) for k in range(len(layer.bias_ih_l0) // 2)]
        layer.bias_ih_l0.copy_(torch.tensor(values, dtype=torch.float64).repeat_interleave(2))
    trace = layer.trace(torch.ones(1, 1, 1, dtype=torch.float64))
    order = {"gru": ("reset_gate", "update_gate", "candidate")}.get(
        cell, ("input_gate", "forget_gate", "candidate", "output_gate")
    )
    for name, value in zip(order, values, strict=True):
        expected = math.tanh(value) if name == "candidate" else 1 / (1 + math.exp(-value))
        np.testing.assert_allclose(trace.gate(name), [[expected] * 2], rtol=0, atol=SAME_IN_FLOAT64)


@pytest.mark.parametrize("lengths", [LENGTHS["ragged"], LENGTHS["with empty"]], ids=str)
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_the_fast_trace_is_the_reference_trace(cell: str, lengths: list[int]) -> None:
    """Every quantity, layer, direction and sequence."""
    fast = random_layer(CELLS[cell], 3, 5, 2, bidirectional=True)
    slow = random_layer(CELLS[cell], 3, 5, 2, bidirectional=True, backend="reference")
    x = random(7, len(lengths), 3, seed=8)
    state = random_state(fast, len(lengths), pair=EQUATIONS[cell].has_cell_state)
    ours, plain = fast.trace(x, state, lengths=lengths), slow.trace(x, state, lengths=lengths)
    assert ours.names == plain.names == NAMES[cell]
    for layer in range(2):
        for direction in range(2):
            for b, length in enumerate(lengths):
                for name in ours.names:
                    found = ours.gate(name, layer, direction, b)
                    assert found.shape == (length, 5)
                    expected = plain.gate(name, layer, direction, b)
                    np.testing.assert_allclose(found, expected, rtol=0, atol=SAME_IN_FLOAT64)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_the_traced_hidden_state_is_the_output(cell: str) -> None:
    """The trace comes from the path that forward runs, bit for bit, in each of its call forms."""
    layer = random_layer(CELLS[cell], 3, 4, bidirectional=True, dtype=torch.float32)
    lengths = LENGTHS["ragged"]
    x = random(7, len(lengths), 3, seed=8, dtype=torch.float32)
    packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
    output = layer(x, lengths=lengths)[0].detach().numpy()
    packing = pack(lengths)
    flat = torch.cat([x[:length, b] for b, length in enumerate(lengths)])
    traces: list[Trace] = [
        layer.trace(x, lengths=lengths),
        layer.trace(packed),
        layer.trace_packed(flat[torch.from_numpy(packing.sequence_rows)], packing),
    ]
    for trace in traces:
        for b, length in enumerate(lengths):
            for direction in range(2):
                found = trace.gate("hidden_state", direction=direction, sequence=b)
                np.testing.assert_array_equal(found, output[:length, b, direction * 4 : direction * 4 + 4])


def test_what_was_not_traced_is_refused_by_name() -> None:
    """A typing mistake must say what there is, not give another gate's numbers."""
    trace = CELLS["gru"](3, 4).trace(random(5, 2, 3, seed=1, dtype=torch.float32))
    with pytest.raises(DataError, match="reset_gate, update_gate, candidate, hidden_state"):
        trace.gate("cell_state")
    for wrong in ({"layer": 1}, {"direction": 1}, {"sequence": 2}, {"sequence": -1}):
        with pytest.raises(DataError, match="not traced"):
            trace.gate("hidden_state", **wrong)
    with pytest.raises(DataError, match="relu"):
        RNN(3, 4, nonlinearity="relu").trace(torch.zeros(2, 1, 3))


def test_a_trace_holds_no_graph_and_changes_nothing() -> None:
    """Tracing a batch during training must neither keep its graph alive nor touch the weights' gradients."""
    layer = random_layer(CELLS["lstm"], 3, 4)
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    trace = layer.trace(random(5, 2, 3, seed=1, grad=True))
    values = trace.gate("input_gate")
    values[:] = 7
    assert not (trace.gate("input_gate") == 7).any(), "a sequence's values are a copy"
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())
    assert all(parameter.grad is None for parameter in layer.parameters())
