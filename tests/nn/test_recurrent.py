"""Rungs 4, 5 and 7: the operator by derivative checks; bits alone, in a batch, on any number of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from layer_cases import CELL_NAMES, everything, parts, random, random_layer, random_state
from torch import Tensor

from gatelight.nn import CELLS, autograd, pack
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.linear import linear
from gatelight.nn.recurrent import RecurrentLayers, kinds_of
from gatelight.nn.threads import using

FLOAT32 = 3e-5
"""Sums of a few hundred float32 terms in another order."""


def arguments(cell: str, lengths: list[int], distinct: int, masked: bool) -> list[Any]:
    """What the operator is given for two layers of both directions, all of it wanting a gradient."""
    layer = random_layer(CELLS[cell], 2, 3, 2, bidirectional=True)
    packing = pack(lengths)
    index = torch.randint(distinct, (packing.rows,), dtype=torch.int32) if distinct else None
    x = random(distinct or packing.rows, 2, seed=1, grad=True)
    h, *c = parts(random_state(layer, len(lengths), pair=EQUATIONS[cell].has_cell_state, grad=True))
    masks = [random(packing.rows, 6, seed=7)] if masked else []
    c_0 = c[0] if c else torch.zeros(4, len(lengths), 0, dtype=torch.float64)
    return [cell, x, index, packing, layer._layers(), h, c_0, masks]


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_gradcheck_in_float64(cell: str) -> None:
    """The gradient is that of the function itself, by finite differences."""
    _, x, index, packing, layers, h_0, c_0, masks = arguments(cell, [3, 0, 2], 4, masked=True)
    weights = [weight for layer in layers for own in layer.values() for weight in own]
    states = (h_0, c_0) if EQUATIONS[cell].has_cell_state else (h_0,)

    def run(x: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        given = iter(rest)
        state = [next(given) for _ in states]
        named = [{kind: [next(given) for _ in own] for kind, own in layer.items()} for layer in layers]
        c = state[1] if len(state) == 2 else c_0
        hidden, *end = autograd.recurrent(cell, x, index, packing, named, state[0], c, masks)
        return (hidden, *end[: len(states)])

    assert torch.autograd.gradcheck(run, (x, *states, *weights))


@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("distinct", [0, 3])
def test_opcheck(cell: str, distinct: int) -> None:
    """Schema, fake tensors and autograd registration are what torch.compile and torch.export rely on."""
    cell, x, index, packing, layers, h_0, c_0, masks = arguments(cell, [4, 1, 3], distinct, masked=True)
    weights = [weight for layer in layers for own in layer.values() for weight in own]
    given = cell, True, 2, x, index, torch.from_numpy(packing.lengths), weights, h_0, c_0, masks
    torch.library.opcheck(torch.ops.gatelight.recurrent.default, given)


@pytest.mark.parametrize("lengths", [[2, 2], [1, 2], [3, 1], [2, 1, -1]])
def test_lengths_of_another_batch(lengths: list[int]) -> None:
    """A program traced for one batch may bring the lengths of another: kernels would read beyond the rows."""
    cell, x, index, _, layers, h_0, c_0, masks = arguments("gru", [2, 1], 0, masked=False)
    weights = [weight for layer in layers for own in layer.values() for weight in own]
    with pytest.raises((RuntimeError, ValueError), match=r"not a packing|zero or more steps"):
        torch.ops.gatelight.recurrent(
            cell, True, 2, x, index, torch.tensor(lengths), weights, h_0, c_0, masks
        )


def fixed(cell: str, hidden: int, layers: int = 2) -> tuple[RecurrentLayers, Any]:
    layer = random_layer(CELLS[cell], 5, hidden, layers, bidirectional=True, dtype=torch.float32)
    own = [{k: [w.detach().numpy() for w in ws] for k, ws in each.items()} for each in layer._layers()]
    assert tuple(own[0]) == kinds_of(cell)
    return RecurrentLayers(cell, own), layer


@pytest.mark.parametrize("cell", CELL_NAMES)
@pytest.mark.parametrize("hidden", [20, 50, 128, 150])
def test_a_sequence_alone_has_the_bits_that_it_has_in_any_batch(cell: str, hidden: int) -> None:
    """Neither the company nor the order of a batch changes a bit, with a table of products or without."""
    lengths = [40, 3, 17, 60, 1, 33, 33, 8, 25, 59, 2, 14, 40, 21]
    layers, _ = fixed(cell, hidden)
    packing, x = pack(lengths), random(30, 5, seed=4, dtype=torch.float32).numpy()
    index = np.random.default_rng(2).integers(0, 30, packing.rows).astype(np.int32)
    numbers = np.random.default_rng(3)
    shape = (2, len(lengths), hidden)
    pair = 2 if EQUATIONS[cell].has_cell_state else 1
    state = [tuple(numbers.standard_normal(shape, np.float32) for _ in range(pair)) for _ in range(2)]
    together = layers.forward(x, index, packing, state)
    for sequence, length in enumerate(lengths):
        rows, position = packing.sequence(sequence), int(packing.positions[sequence])
        own = [tuple(np.ascontiguousarray(s[:, position : position + 1]) for s in layer) for layer in state]
        for alone in (
            layers.forward(layers.input_table(x), index[rows], pack([length]), own, table=True),
            layers.forward(x[index[rows]], None, pack([length]), own, keep=True),
        ):
            np.testing.assert_array_equal(alone.hidden, together.hidden[rows])
            for one, all_of_them in zip(alone.state, together.state, strict=True):
                for part, of_batch in zip(one, all_of_them, strict=True):
                    np.testing.assert_array_equal(part[:, 0], of_batch[:, position])


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_the_number_of_threads_changes_no_bit(cell: str) -> None:
    """Outputs and all gradients at 1, 2 and 5 threads, on work large enough to be shared out."""
    lengths = np.random.default_rng(0).integers(1, 90, 40).tolist()
    _, layer = fixed(cell, 64)
    packing, x = pack(lengths), random(100, 5, seed=4, dtype=torch.float32)
    index = torch.randint(100, (packing.rows,), dtype=torch.int32)
    state, found = random_state(layer, 40, pair=EQUATIONS[cell].has_cell_state), []
    for count in (1, 2, 5):
        with using(count):
            found.append(everything(layer, lambda x, s: layer.packed(x, packing, index, s), x, state))
    for others in found[1:]:
        assert all(torch.equal(others[name], value) for name, value in found[0].items())


def test_linear() -> None:
    """Rows have their bits in any company; the gradient is that of finite differences."""
    x, weight = random(37, 45, seed=5, dtype=torch.float32), random(101, 45, seed=6, dtype=torch.float32)
    together = linear(x, weight)
    torch.testing.assert_close(together, torch.nn.functional.linear(x, weight), atol=FLOAT32, rtol=FLOAT32)
    for row in range(len(x)):
        assert torch.equal(linear(x[row : row + 1], weight)[0], together[row])
    given = random(5, 3, seed=1, grad=True), random(4, 3, seed=2, grad=True), random(4, seed=3, grad=True)
    assert torch.autograd.gradcheck(linear, given)
    assert torch.autograd.gradcheck(linear, given[:2])
    with pytest.raises(TypeError, match="float16"):
        linear(torch.zeros(2, 3, dtype=torch.float16), torch.zeros(2, 3, dtype=torch.float16))
    with pytest.raises(TypeError, match="float32"):
        linear(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.float64))


def test_a_second_derivative_is_refused() -> None:
    """torch would only warn, and give a wrong number. The equations have one (test_equations)."""
    layer, x = CELLS["lstm"](3, 4), random(5, 2, 3, seed=1, dtype=torch.float32, grad=True)
    (first,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="reference"):
        torch.autograd.grad(first.sum(), x)


def test_nan_is_not_hidden_by_the_clamp_of_tanh() -> None:
    """A diverged training must show as NaN, not as a saturated gate."""
    layers, _ = fixed("lstm", 20, 1)
    x = np.zeros((3, 5), np.float32)
    x[1] = np.nan
    assert np.isnan(layers.forward(x, None, pack([1, 1, 1])).hidden[1]).all()
