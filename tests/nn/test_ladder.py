"""Rungs 3, 6 and 7: the fast path against the equations, with every gradient, and sequences cut in two."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings, strategies
from layer_cases import (
    CELL_NAMES,
    LENGTHS,
    assert_same,
    everything,
    parts,
    random,
    random_layer,
    random_state,
)

from gatelight.nn import CELLS, pack
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.status import calls
from gatelight.nn.threads import using

# float64 kernels sum in another order and have their own tanh: a few units in the last place per step.
SAME_IN_FLOAT64 = 1e-10
# float32 kernels against the same equations in float64: 6e-8 per rounding, up to 30 steps through two layers
# of large random weights, which amplify an error of an early step.
SAME_IN_FLOAT32 = 2e-4
# A cut changes no product and no order of sums.
SAME_BITS = 0.0
# Gradients of a cut are summed in two parts.
SAME_IN_TWO_PARTS = 1e-12


def fast_and_slow(cell: str, *args: Any, dtype: torch.dtype, **options: Any) -> tuple[Any, Any]:
    """The same weights on the fast path in `dtype` and in the equations in float64."""
    slow = random_layer(CELLS[cell], *args, backend="reference", **options)
    fast = CELLS[cell](*args, dtype=dtype, **options)
    fast.load_state_dict(slow.state_dict())
    with torch.no_grad():  # float32 has rounded the weights; both sides must start from the same numbers
        for name, value in fast.state_dict().items():
            slow.get_parameter(name).copy_(value)
    return fast, slow


def runs(cell: str, lengths: list[int], path: str, dtype: torch.dtype, **options: Any) -> Any:
    """Two functions that give outputs, last states and every gradient: of the kernels, and of the equations.

    `path` is how they are called: through row numbers of distinct rows, or padded.
    """
    fast, slow = fast_and_slow(cell, 3, dtype=dtype, **options)
    packing = pack(lengths)
    token = torch.from_numpy(np.random.default_rng(5).integers(0, 6, packing.rows).astype(np.int32))
    x = random(6, 3, seed=2, dtype=dtype)
    state = random_state(fast, len(lengths), pair=EQUATIONS[cell].has_cell_state)
    if path == "padded":
        x = random(max(lengths) + 1, len(lengths), 3, seed=2, dtype=dtype)

    def call(layer: Any) -> Any:
        if path == "padded":
            return lambda x, s: layer(x, s, lengths=lengths)
        return lambda x, s: layer.packed(x, packing, token, s)

    wide = tuple(part.double() for part in parts(state))
    return (
        lambda: everything(fast, call(fast), x, state),
        lambda: everything(slow, call(slow), x.double(), wide if len(wide) == 2 else wide[0]),
    )


@settings(max_examples=150, deadline=None, derandomize=True)
@example("lstm", [1], "rows", torch.float64, 1, 1, True, True, 1)
@example("gru", [0, 0], "padded", torch.float32, 5, 1, True, True, 2)
@example("peephole", [4, 1, 30, 3, 9, 2, 0, 1, 6, 3, 8], "rows", torch.float32, 50, 1, False, True, 2)
@example("rnn", [3] * 33, "rows", torch.float64, 16, 2, True, False, 3)
@given(
    cell=strategies.sampled_from(CELL_NAMES),
    lengths=strategies.lists(strategies.integers(0, 9), min_size=1, max_size=40),
    path=strategies.sampled_from(["rows", "padded"]),
    dtype=strategies.sampled_from([torch.float32, torch.float64]),
    hidden=strategies.one_of(strategies.integers(1, 9), strategies.sampled_from([15, 16, 17, 32, 50])),
    layers=strategies.integers(1, 3),
    both=strategies.booleans(),
    bias=strategies.booleans(),
    count=strategies.integers(1, 4),
)
def test_kernels_agree_with_the_equations(
    cell: str, lengths: list[int], path: str, dtype: torch.dtype, hidden: int, layers: int, both: bool,
    bias: bool, count: int,
) -> None:  # fmt: skip
    """A wrong gate, state, direction, row, group, lane, task or gradient in the kernels shows here."""
    sizes = {"hidden_size": hidden, "num_layers": layers, "bidirectional": both, "bias": bias}
    fast, slow = runs(cell, lengths, path, dtype, **sizes)
    before = calls()
    with using(count):
        found = fast()
    after = calls()
    assert {path: after[path] - before[path] for path in after} == {"kernels": 1, "torch": 0, "equations": 0}
    assert_same(found, slow(), SAME_IN_FLOAT64 if dtype == torch.float64 else SAME_IN_FLOAT32)
    with using(1):
        assert_same(fast(), found, SAME_BITS)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_one_output_alone_can_be_differentiated(cell: str) -> None:
    """A loss that uses only the last state, or only the outputs, leaves the other gradients undefined."""
    fast, slow = fast_and_slow(cell, 3, 4, dtype=torch.float64)
    packing = pack(LENGTHS["ragged"])
    x = random(packing.rows, 3, seed=3)
    for pick in (lambda out, end: out, lambda out, end: parts(end)[0], lambda out, end: parts(end)[-1]):
        gradients = []
        for layer in (fast, slow):
            given = x.clone().requires_grad_()
            (pick(*layer.packed(given, packing)) ** 2).sum().backward()
            gradients.append(given.grad)
        torch.testing.assert_close(*gradients, rtol=0, atol=SAME_IN_FLOAT64)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_a_sequence_cut_in_two_is_the_same_sequence(cell: str, backend: str) -> None:
    """Rung 6: the state is all that a memory carries; streams and truncated backpropagation stand on this."""
    layer = random_layer(CELLS[cell], 3, 5, 2, backend=backend)
    lengths, cut = [9, 4, 7, 2, 9], 4
    state = random_state(layer, 5, pair=EQUATIONS[cell].has_cell_state)
    x = random(9, 5, 3, seed=3)

    def in_two(x: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        first, state = layer(x[:cut], state, lengths=[min(length, cut) for length in lengths])
        second, state = layer(x[cut:], state, lengths=[max(length - cut, 0) for length in lengths])
        return torch.cat((first, second)), state

    whole = everything(layer, lambda x, s: layer(x, s, lengths=lengths), x, state)
    pieces = everything(layer, in_two, x, state)
    outputs = [name for name in whole if not name.startswith("d ")]
    bits = SAME_BITS if backend == "auto" else SAME_IN_TWO_PARTS  # torch's products may depend on the batch
    assert_same({k: pieces[k] for k in outputs}, {k: whole[k] for k in outputs}, bits)
    assert_same(pieces, whole, SAME_IN_TWO_PARTS)
