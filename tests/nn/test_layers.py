"""The layers as stand-ins for torch.nn's: constructor, call forms, state_dict, copies, autocast, errors.

The last ones are the cases of PyTorch's own tests of its recurrent layers.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from layer_cases import (
    CELL_NAMES,
    TORCH,
    one_by_one,
    parts,
    random,
    random_layer,
    random_state,
)
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatelight.errors import DataError
from gatelight.nn import CELLS, GRU, LSTM, RNN

# float64 kernels against torch's float64: other order of sums, other tanh.
SAME_IN_FLOAT64 = 1e-10
# bfloat16 keeps 8 bits; inputs of about 1 are rounded to 2^-9 before float32 takes over.
INPUT_IN_BFLOAT16 = 2e-2


def pair(cell: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Ours on the fast path and torch's, with the same random weights in float64."""
    ours = random_layer(CELLS[cell], *args, **options)
    theirs = TORCH[cell](*args, dtype=torch.float64, **options)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def state_of(cell: str, *shape: int, **options: Any) -> Any:
    h = torch.randn(*shape, dtype=torch.float64, **options)
    return (h, torch.randn(*shape, dtype=torch.float64, **options)) if cell == "lstm" else h


def same(found: Any, expected: Any, atol: float = SAME_IN_FLOAT64) -> None:
    if isinstance(expected, PackedSequence):
        assert isinstance(found, PackedSequence)
        assert torch.equal(found.batch_sizes, expected.batch_sizes)
        for ours, theirs in (
            (found.sorted_indices, expected.sorted_indices),
            (found.unsorted_indices, expected.unsorted_indices),
        ):
            assert (ours is None) == (theirs is None)
            assert ours is None or torch.equal(ours, theirs)
        found, expected = found.data, expected.data
    for a, b in zip(parts(found), parts(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize(
    "form", [list, torch.tensor, lambda v: torch.tensor(v).numpy()], ids=["list", "tensor", "numpy"]
)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cell", TORCH)
def test_lengths_beside_padded_input(cell: str, batch_first: bool, form: Any) -> None:
    """What lies beyond a length is neither read nor written: NaN there must not come through."""
    ours, theirs = pair(cell, 3, 4, 2, bidirectional=True, batch_first=False)
    ours.batch_first = batch_first
    lengths = [4, 0, 7, 1, 7]
    x = random(9, 5, 3, seed=1)
    state = random_state(ours, 5, pair=cell == "lstm")
    wanted, wanted_end = one_by_one(theirs, x, lengths, state)
    for b, length in enumerate(lengths):
        x[length:, b] = torch.nan
    output, end = ours(x.transpose(0, 1) if batch_first else x, state, lengths=form(lengths))
    same(output.transpose(0, 1) if batch_first else output, wanted)
    same(end, wanted_end)


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_same_constructor_keys_and_start(cell: str) -> None:
    """A checkpoint of torch's layer loads, and the same seed starts with the same weights."""
    torch.manual_seed(3)
    ours = CELLS[cell](3, 4, 2, bidirectional=True)
    torch.manual_seed(3)
    theirs = TORCH.get(cell, nn.LSTM)(3, 4, 2, bidirectional=True)
    expected = theirs.state_dict()
    found = {name: value for name, value in ours.state_dict().items() if "peephole" not in name}
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    peepholes = [name for name, _ in ours.named_parameters() if "peephole" in name]
    if cell == "peephole":
        assert peepholes == [
            f"weight_peephole_l{layer}{side}" for layer in (0, 1) for side in ("", "_reverse")
        ]
        assert all(ours.get_parameter(name).shape == (3, 4) for name in peepholes)
        assert all(0 < ours.get_parameter(name).abs().max() <= 0.5 for name in peepholes)
    else:
        assert not peepholes
        assert isinstance(ours, TORCH[cell])
        assert repr(ours) == repr(theirs)


def test_positional_arguments_mean_what_they_mean_in_torch() -> None:
    """RNN takes its nonlinearity in the fourth place, the others their bias."""
    assert repr(RNN(3, 4, 2, "relu", False, True, 0.1, True)) == repr(
        nn.RNN(3, 4, 2, "relu", False, True, 0.1, True)
    )
    for ours, theirs in ((LSTM, nn.LSTM), (GRU, nn.GRU)):
        assert repr(ours(3, 4, 2, False, True, 0.1, True)) == repr(theirs(3, 4, 2, False, True, 0.1, True))
    assert RNN(3, 4, backend="reference").extra_repr().endswith("backend='reference'")


def test_relu_is_torchs_own() -> None:
    """nonlinearity="relu" works in every call form, on torch's kernels."""
    ours = random_layer(RNN, 3, 4, nonlinearity="relu")
    theirs = nn.RNN(3, 4, nonlinearity="relu", dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    x, state = random(7, 5, 3, seed=1), random_state(ours, 5, pair=False)
    same(ours(x, state)[0], theirs(x, state)[0])
    lengths = [4, 0, 7, 1, 7]
    for found, expected in zip(
        ours(x, state, lengths=lengths), one_by_one(theirs, x, lengths, state), strict=True
    ):
        same(found, expected)


@pytest.mark.parametrize("cell", TORCH)
def test_types_without_kernels_take_torchs_path_with_lengths(cell: str) -> None:
    """bfloat16 runs on torch's kernels; the zero-length and unsorted cases must hold there too."""
    ours = CELLS[cell](3, 4, 2, bidirectional=True, dtype=torch.bfloat16)
    theirs = TORCH[cell](3, 4, 2, bidirectional=True, dtype=torch.bfloat16)
    theirs.load_state_dict(ours.state_dict())
    x = random(7, 5, 3, seed=1, dtype=torch.bfloat16)
    state = random_state(ours, 5, pair=cell == "lstm")
    lengths = [4, 0, 7, 1, 7]
    for found, expected in zip(
        ours(x, state, lengths=lengths), one_by_one(theirs, x, lengths, state), strict=True
    ):
        for a, b in zip(parts(found), parts(expected), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=INPUT_IN_BFLOAT16)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("cell", CELL_NAMES)
def test_autocast_computes_in_float32(cell: str, backend: str) -> None:
    """Under autocast a layer is fed half types; it takes them and does not add up their rounding."""
    layer = random_layer(CELLS[cell], 3, 4, 2, dtype=torch.float32, backend=backend)
    x = random(7, 5, 3, seed=1, dtype=torch.float32)
    exact, _ = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output, _ = layer(x)
        assert torch.equal(output, exact)
        halved = x.to(torch.bfloat16).requires_grad_()
        output, _ = layer(halved)
        output.sum().backward()
    assert output.dtype == torch.float32
    assert torch.equal(output, layer(halved.float())[0])
    assert halved.grad is not None


@pytest.mark.parametrize("cell", CELL_NAMES)
def test_copies_frozen_weights_and_no_grad(cell: str) -> None:
    """What people do with modules: copy, freeze, move between types, call a functional copy."""
    layer = random_layer(CELLS[cell], 3, 4, 2, bidirectional=True, dtype=torch.float32)
    x = random(5, 2, 3, seed=1, dtype=torch.float32)
    expected, _ = layer(x)
    twin = copy.deepcopy(layer)
    assert torch.equal(twin(x)[0], expected)
    with torch.no_grad():
        twin.weight_hh_l0.zero_()
        assert torch.equal(layer(x)[0], expected), "the copy has its own weights"
        assert not torch.equal(twin(x)[0], expected)
    frozen = copy.deepcopy(layer).requires_grad_(False)
    assert not frozen(x)[0].requires_grad
    given = x.clone().requires_grad_()
    assert torch.autograd.grad(frozen(given)[0].sum(), given)[0].abs().max() > 0
    double = copy.deepcopy(layer).double()
    torch.testing.assert_close(double(x.double())[0].float(), expected, rtol=0, atol=1e-5)
    other = {name: torch.zeros_like(value) for name, value in layer.named_parameters()}
    swapped, _ = torch.func.functional_call(layer, other, (x,))
    assert not swapped.any()


def test_lengths_that_do_not_fit_are_refused() -> None:
    """Too few, too many, too long, negative or beside a PackedSequence."""
    layer, x = LSTM(3, 4), torch.zeros(5, 2, 3)
    for lengths in ([5], [5, 2, 1], [6, 2]):
        with pytest.raises(RuntimeError, match=r"length|steps"):
            layer(x, lengths=lengths)
    for lengths in ([-1, 2], [1.5, 2.0]):
        with pytest.raises(DataError):
            layer(x, lengths=lengths)
    with pytest.raises(ValueError, match="PackedSequence"):
        layer(pack_padded_sequence(x, torch.tensor([5, 2])), lengths=[5, 2])
    with pytest.raises(DataError, match="relu"):
        RNN(3, 4, nonlinearity="relu", backend="reference")
    with pytest.raises(DataError, match="fast"):
        LSTM(3, 4, backend="fast")


# --- shapes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("cell", TORCH)
def test_unbatched_input_is_a_batch_of_one(cell: str, batch_first: bool) -> None:
    """batch_first says nothing about input without a batch."""
    ours, theirs = pair(cell, 4, 3, 2, batch_first=batch_first, bidirectional=True)
    x, state = torch.randn(5, 4, dtype=torch.float64), state_of(cell, 4, 3)
    for found, expected in zip(ours(x, state), theirs(x, state), strict=True):
        same(found, expected)
    assert ours(x)[0].shape == (5, 6)
    one = x.unsqueeze(0 if batch_first else 1)
    same(ours(one)[0].squeeze(0 if batch_first else 1), ours(x)[0])


@pytest.mark.parametrize("cell", TORCH)
def test_an_empty_batch(cell: str) -> None:
    """No sequence at all is a batch too: shapes come out, and gradients are zeros."""
    ours, theirs = pair(cell, 4, 3, 2, bidirectional=True)
    x = torch.zeros(5, 0, 4, dtype=torch.float64)
    for found, expected in zip(ours(x), theirs(x), strict=True):
        assert [part.shape for part in parts(found)] == [part.shape for part in parts(expected)]
    ours(x)[0].sum().backward()
    assert all(not parameter.grad.any() for parameter in ours.parameters())


@pytest.mark.parametrize("cell", TORCH)
def test_input_that_is_not_contiguous(cell: str) -> None:
    """Views, transposes and expanded states are read by their strides."""
    ours, theirs = pair(cell, 4, 3)
    x = torch.randn(4, 10, 12, dtype=torch.float64).permute(2, 1, 0)[::2, 1::3]
    h = torch.randn(1, 1, 3, dtype=torch.float64).expand(1, 3, 3)
    state = (h, h) if cell == "lstm" else h
    for found, expected in zip(ours(x, state), theirs(x, state), strict=True):
        same(found, expected)


@pytest.mark.parametrize("cell", TORCH)
def test_weights_changed_in_place_after_forward_are_noticed(cell: str) -> None:
    """A gradient from weights that are no longer those of the forward pass would be silently wrong."""
    for layer in pair(cell, 4, 3):
        output, _ = layer(torch.randn(5, 2, 4, dtype=torch.float64))
        with torch.no_grad():
            layer.weight_hh_l0.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            output.sum().backward()


# --- packed sequences -------------------------------------------------------------------------------------


@pytest.mark.parametrize("enforce_sorted", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("cell", TORCH)
def test_variable_sequences(cell: str, batch_first: bool, enforce_sorted: bool) -> None:
    """As each sequence alone, states and gradients in the caller's order, sorted or not."""
    lengths = [7, 5, 5, 2, 1, 1] if enforce_sorted else [1, 5, 2, 7, 5, 1]
    ours, theirs = pair(cell, 4, 3, 2, bidirectional=True, batch_first=batch_first)
    padded = torch.randn(6, 7, 4, dtype=torch.float64)
    padded = padded if batch_first else padded.transpose(0, 1)
    state = state_of(cell, 4, 6, 3)
    results = []
    for layer in (ours, theirs):
        inputs = padded.clone().requires_grad_()
        packed = pack_padded_sequence(
            inputs, torch.tensor(lengths), batch_first=batch_first, enforce_sorted=enforce_sorted
        )
        output, end = layer(packed, state)
        steps, found = pad_packed_sequence(output, batch_first=batch_first)
        assert found.tolist() == lengths
        (steps.square().sum() + sum(part.square().sum() for part in parts(end))).backward()
        results.append((steps, end, inputs.grad))
        layer_lengths = lengths
    for found_part, expected in zip(*results, strict=True):
        same(found_part, expected)
    for place, length in enumerate(layer_lengths):
        alone = padded[place, :length] if batch_first else padded[:length, place]
        begin = tuple(part[:, place].contiguous() for part in parts(state))
        steps, _ = ours(alone, begin if cell == "lstm" else begin[0])
        together = results[0][0][place, :length] if batch_first else results[0][0][:length, place]
        same(steps, together)


# --- dropout ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", TORCH)
@pytest.mark.parametrize("fraction", [0.0, 0.276, 1.0])
def test_dropout_between_layers(cell: str, fraction: float) -> None:
    """The same seed drops the same values as in torch; 1 drops all, 0 none, evaluation none."""
    ours, theirs = pair(cell, 10, 40, 3, dropout=fraction)
    x = torch.randn(4, 5, 10, dtype=torch.float64)
    for train in (True, False):
        for packed in (False, True):
            given = pack_padded_sequence(x, torch.tensor([4, 4, 3, 2, 1])) if packed else x
            outputs = []
            for layer in (ours.train(train), theirs.train(train)):
                torch.manual_seed(5)
                outputs.append(layer(given))
            for found, expected in zip(*outputs, strict=True):
                same(found, expected)


# --- modules ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", TORCH)
def test_frozen_parts(cell: str) -> None:
    """Any subset of weights, input and state may want gradients; the others get none."""
    for frozen in ("weight_hh_l0", "weight_ih_l0", "bias_ih_l0", "bias_hh_l0"):
        ours, theirs = pair(cell, 4, 3)
        for layer in (ours, theirs):
            layer.get_parameter(frozen).requires_grad_(False)
            torch.manual_seed(2)
            layer(torch.randn(5, 2, 4, dtype=torch.float64))[0].square().sum().backward()
        for (name, found), expected in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            assert (found.grad is None) == (expected.grad is None) == (name == frozen)
            if found.grad is not None:
                torch.testing.assert_close(found.grad, expected.grad, rtol=0, atol=SAME_IN_FLOAT64)
