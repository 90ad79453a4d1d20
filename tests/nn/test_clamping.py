"""Gates clamped open, shut or half open: against each cell's lines written out once more, gate by gate."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatelight.errors import DataError
from gatelight.nn import CELLS, pack
from gatelight.nn.clamping import Clamp, clamp
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.stack import Stack
from gatelight.nn.status import calls

LENGTHS = [5, 1, 7]
FLOAT32 = 2e-6
"""The kernels' sigmoid ends 1.2e-7 short of 0 and 1; over seven steps the states differ by a few of these."""
FLOAT64 = 1e-13
GATES = [(name, gate) for name, cell in EQUATIONS.items() for gate in cell.gates if gate in cell.saved]


def layer_of(name: str, dtype: torch.dtype = torch.float64, bidirectional: bool = True) -> Stack:
    torch.manual_seed(3)
    layer = CELLS[name](4, 5, bidirectional=bidirectional, dtype=dtype)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


def by_hand(layer: Stack, x: torch.Tensor, gate: str, value: float, units: list[int], d: int) -> np.ndarray:
    """One sequence [T, D] in one direction, the gate replaced after it was computed → hidden [T, H]."""
    suffix = "_reverse" if d else ""
    W, U, b, b_h = (
        getattr(layer, f"{name}_l0{suffix}").detach().double()
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )

    def clamped(name: str, values: torch.Tensor) -> torch.Tensor:
        values = values.clone()
        if name == gate:
            values[units] = value
        return values

    h = c = torch.zeros(layer.hidden_size, dtype=torch.float64)
    out = torch.zeros(len(x), layer.hidden_size, dtype=torch.float64)
    for t in reversed(range(len(x))) if d else range(len(x)):
        a, u = W @ x[t].double() + b, U @ h + b_h
        if layer.cell == "gru":
            (a_r, a_z, a_n), (u_r, u_z, u_n) = a.chunk(3), u.chunk(3)
            r, z = (
                clamped("reset_gate", torch.sigmoid(a_r + u_r)),
                clamped("update_gate", torch.sigmoid(a_z + u_z)),
            )
            n = clamped("candidate", torch.tanh(a_n + r * u_n))
            h = (1 - z) * n + z * h
        else:
            p = getattr(layer, f"weight_peephole_l0{suffix}", torch.zeros(3, len(h))).detach().double()
            i, f, g, o = (a + u).chunk(4)
            i = clamped("input_gate", torch.sigmoid(i + p[0] * c))
            f = clamped("forget_gate", torch.sigmoid(f + p[1] * c))
            c = f * c + i * clamped("candidate", torch.tanh(g))
            h = clamped("output_gate", torch.sigmoid(o + p[2] * c)) * torch.tanh(c)
        out[t] = h
    return out.numpy()


@pytest.mark.parametrize(("name", "gate"), GATES)
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_clamped_gate_has_its_value_and_all_else_follows_from_it(
    name: str, gate: str, value: float, dtype: torch.dtype
) -> None:
    """A clamp that forgot the peephole, the second bias or a direction would tell of another model."""
    layer, units = layer_of(name, dtype), [0, 3]
    packing = pack(LENGTHS)
    flat = torch.randn(sum(LENGTHS), 4, dtype=dtype)
    x = flat[torch.from_numpy(packing.sequence_rows)]
    before = calls()
    clamped = clamp(layer, [Clamp.of(layer, gate, value, units)])
    trace = clamped.trace_packed(x, packing)
    hidden, _ = clamped.packed(x, packing)
    assert calls()["kernels"] == before["kernels"] + 2
    tolerance = FLOAT64 if dtype == torch.float64 else FLOAT32
    starts = np.cumsum(LENGTHS) - LENGTHS
    for k, (start, length) in enumerate(zip(starts, LENGTHS, strict=True)):
        for d in (0, 1):
            expected = by_hand(layer, flat[start : start + length], gate, value, units, d)
            rows = packing.sequence(k)
            np.testing.assert_allclose(trace.gate("hidden_state", 0, d, k), expected, atol=tolerance)
            np.testing.assert_allclose(hidden.detach()[rows, 5 * d : 5 * d + 5], expected, atol=tolerance)
            np.testing.assert_allclose(trace.gate(gate, 0, d, k)[:, units], value, atol=tolerance)


def test_a_value_for_each_unit_in_one_direction_and_the_layer_itself_untouched() -> None:
    """Means are clamped unit by unit; a clamp that wrote into the model would spoil every answer after it."""
    layer = layer_of("lstm")
    kept = {name: value.clone() for name, value in layer.state_dict().items()}
    values = np.linspace(0.1, 0.9, 5)
    clamped = clamp(layer, [Clamp.of(layer, "output_gate", values, direction=1)])
    x = torch.randn(6, 4, dtype=torch.float64)
    traced, own = clamped.trace_packed(x, pack([6])), layer.trace_packed(x, pack([6]))
    np.testing.assert_allclose(traced.gate("output_gate", direction=1), np.tile(values, (6, 1)), atol=FLOAT64)
    np.testing.assert_array_equal(traced.gate("output_gate"), own.gate("output_gate"))
    assert all(torch.equal(value, kept[name]) for name, value in layer.state_dict().items())


def test_two_clamps_together() -> None:
    """A second clamp must not undo the first."""
    layer = layer_of("peephole")
    first = clamp(layer, [Clamp.of(layer, "forget_gate", 1.0)])
    clamped = clamp(first, [Clamp.of(layer, "output_gate", 0.5), Clamp.of(layer, "input_gate", 0.0)])
    trace = clamped.trace_packed(torch.randn(6, 4, dtype=torch.float64), pack([6]))
    np.testing.assert_allclose(trace.gate("forget_gate"), 1, atol=FLOAT64)
    np.testing.assert_allclose(trace.gate("input_gate"), 0, atol=FLOAT64)
    np.testing.assert_allclose(trace.gate("output_gate"), 0.5, atol=FLOAT64)


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        ("rnn", {"gate": "forget_gate", "value": 1}, "has no 'forget_gate' to clamp; it has none"),
        ("gru", {"gate": "forget_gate", "value": 1}, "there are reset_gate, update_gate, candidate"),
        ("lstm", {"gate": "forget_gate", "value": 1.5}, "can be clamped from 0 to 1"),
        ("lstm", {"gate": "forget_gate", "value": [1, 0]}, "at one value or at 5"),
        ("lstm", {"gate": "forget_gate", "value": 1, "units": [5]}, "units are numbered 0 to 4"),
        ("lstm", {"gate": "forget_gate", "value": 1, "direction": 2}, "direction 2 is not there"),
    ],
)
def test_what_cannot_be_clamped_is_said(name: str, how: dict[str, object], message: str) -> None:
    """A typo in a gate's name must not give a model in which nothing is clamped."""
    with pytest.raises(DataError, match=message):
        Clamp.of(layer_of(name), **how)  # type: ignore[arg-type]
