"""The cases of PyTorch's own tests of its recurrent layers, put to ours: shapes, packing, dropout, copies."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from layer_cases import TORCH, parts
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from gatelight.nn import CELLS

# float64 on both sides, with other sums and another tanh.
SAME = 1e-10

OURS: dict[str, Any] = {name: CELLS[name] for name in TORCH}


def pair(cell: str, *args: Any, **options: Any) -> tuple[Any, Any]:
    """Ours and torch's with the same weights."""
    options = {"dtype": torch.float64, **options}
    theirs = TORCH[cell](*args, **options)
    ours = OURS[cell](*args, **options)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def state_of(cell: str, *shape: int, **options: Any) -> Any:
    h = torch.randn(*shape, dtype=torch.float64, **options)
    return (h, torch.randn(*shape, dtype=torch.float64, **options)) if cell == "lstm" else h


def same(found: Any, expected: Any, atol: float = SAME) -> None:
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
                torch.testing.assert_close(found.grad, expected.grad, rtol=0, atol=SAME)
