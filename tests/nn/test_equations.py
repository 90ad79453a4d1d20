"""Rungs 1 and 2: the equations against torch.nn and against a loop written from the paper."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from layer_cases import (
    CELL_NAMES,
    LENGTHS,
    SAME_EQUATION,
    TORCH,
    assert_same,
    everything,
    one_by_one,
    random,
    random_layer,
    random_state,
)

from gatelight.nn import CELLS
from gatelight.nn.equations import EQUATIONS

# Python's floats against torch's float64: different exp and tanh, each exact to about one last place.
SAME_PAPER = 1e-11


def test_every_layer_has_an_equation_and_the_other_way_round() -> None:
    """A cell that is added in one place only would be found here."""
    assert set(CELLS) == set(EQUATIONS)
    for name, layer in CELLS.items():
        made = layer(2, 3)
        assert made.weight_hh_l0.shape[0] == 3 * len(EQUATIONS[name].gates)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("cell", TORCH)
def test_equations_agree_with_torch_on_every_gradient(cell: str, lengths: list[int], bias: bool) -> None:
    """A swapped gate, state, bias or direction, or a state of the wrong step, shows in some gradient."""
    ours = random_layer(CELLS[cell], 3, 4, 2, bias=bias, bidirectional=True, backend="reference")
    theirs = TORCH[cell](3, 4, 2, bias=bias, bidirectional=True, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    state = random_state(ours, len(lengths), pair=EQUATIONS[cell].has_cell_state)
    x = random(max(7, *lengths), len(lengths), 3, seed=2)
    found = everything(ours, lambda x, s: ours(x, s, lengths=lengths), x, state)
    expected = everything(theirs, lambda x, s: one_by_one(theirs, x, lengths, s), x, state)
    assert_same(found, expected, SAME_EQUATION)


def test_peephole_without_peepholes_is_the_lstm() -> None:
    """Rung 2: anything else that differs between the two cells would be a mistake."""
    lengths = LENGTHS["ragged"]
    lstm = random_layer(CELLS["lstm"], 3, 4, 2, bidirectional=True, backend="reference")
    peephole = CELLS["peephole"](3, 4, 2, bidirectional=True, dtype=torch.float64, backend="reference")
    missing = peephole.load_state_dict(lstm.state_dict(), strict=False)
    assert sorted(missing.missing_keys) == [
        f"weight_peephole_l{layer}{suffix}" for layer in (0, 1) for suffix in ("", "_reverse")
    ]
    with torch.no_grad():
        for name in missing.missing_keys:
            peephole.get_parameter(name).zero_()
    state = random_state(lstm, len(lengths), pair=True)
    x = random(7, len(lengths), 3, seed=4)
    found = everything(peephole, lambda x, s: peephole(x, s, lengths=lengths), x, state)
    expected = everything(lstm, lambda x, s: lstm(x, s, lengths=lengths), x, state)
    for name in missing.missing_keys:
        assert found.pop(f"d {name}").abs().max() > 0, "a gradient flows to peepholes that are zero"
    assert_same(found, expected, SAME_EQUATION)


def peephole_from_the_paper(
    layer: Any, x: list[list[float]], h: list[float], c: list[float]
) -> list[list[float]]:
    """Gers, Schraudolph & Schmidhuber 2002, section 3, in plain Python; one sequence, one direction.

    Blocks of the weights are found by their place in PyTorch's order i, f, g, o, written out here.
    """
    size = len(h)
    W, U = layer.weight_ih_l0.tolist(), layer.weight_hh_l0.tolist()
    bias = [a + b for a, b in zip(layer.bias_ih_l0.tolist(), layer.bias_hh_l0.tolist(), strict=True)]
    see_in, see_forget, see_out = layer.weight_peephole_l0.tolist()
    outputs = []

    def sigma(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    for x_t in x:

        def net(block: int, j: int, x_t: list[float] = x_t, h: list[float] = h) -> float:
            row = block * size + j
            return (
                sum(w * value for w, value in zip(W[row], x_t, strict=True))
                + sum(u * value for u, value in zip(U[row], h, strict=True))
                + bias[row]
            )

        y_in = [sigma(net(0, j) + see_in[j] * c[j]) for j in range(size)]
        y_forget = [sigma(net(1, j) + see_forget[j] * c[j]) for j in range(size)]
        c = [y_forget[j] * c[j] + y_in[j] * math.tanh(net(2, j)) for j in range(size)]
        y_out = [sigma(net(3, j) + see_out[j] * c[j]) for j in range(size)]
        h = [y_out[j] * math.tanh(c[j]) for j in range(size)]
        outputs.append(h)
    return outputs


@pytest.mark.parametrize("backend", ["reference", "auto"])
def test_peephole_agrees_with_the_paper(backend: str) -> None:
    """The output gate must see the new cell state, the other two the old one, each through its own row."""
    layer = random_layer(CELLS["peephole"], 3, 4, backend=backend)
    x = random(9, 3, seed=5)
    h, c = random_state(layer, 1, pair=True)
    found, _ = layer(x, (h[:, 0], c[:, 0]))
    expected = torch.tensor(
        peephole_from_the_paper(layer, x.tolist(), h[0, 0].tolist(), c[0, 0].tolist()), dtype=torch.float64
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=SAME_PAPER)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_equations_differentiate_twice(cell: str) -> None:
    """backend="reference" serves users with a gradient penalty; it must stay differentiable."""
    layer = random_layer(CELLS[cell], 2, 3, backend="reference")
    x = random(3, 2, 2, seed=6, grad=True)
    assert torch.autograd.gradgradcheck(lambda x: layer(x, lengths=[3, 1])[0], (x,))
