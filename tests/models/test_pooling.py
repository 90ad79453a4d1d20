"""Heads over packed rows against the same heads written with padded arrays and masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from gatelight.models.heads import HEADS
from gatelight.models.pooling import pooled
from gatelight.nn.packing import Packing, pack

RAGGED = [3, 0, 7, 1, 7, 2, 0, 5]
MAX_LENGTH = 9
OUTPUTS = 3

# float64: both sides differ by the order of at most 9 × 9 additions.
EXACT = {"rtol": 1e-12, "atol": 1e-12}


def weights_of(name: str, features: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    shapes = HEADS[name].shapes(features)
    if name == "flatten":
        shapes = {"weight": (OUTPUTS, MAX_LENGTH * features), "bias": (OUTPUTS,)}
    return {key: torch.randn(shape, dtype=dtype).requires_grad_() for key, shape in shapes.items()}


def padded_of(hidden: Tensor, packing: Packing) -> tuple[Tensor, Tensor]:
    """The rows as [B, MAX_LENGTH, F] in packed order, and which steps exist."""
    padded = hidden.new_zeros(len(packing.lengths), MAX_LENGTH, hidden.shape[1]) + 0 * hidden.sum()
    real = torch.zeros(len(packing.lengths), MAX_LENGTH, dtype=torch.bool)
    row = 0
    for t in range(MAX_LENGTH):
        for k, length in enumerate(packing.lengths):
            if t < length:
                padded[k, t] = hidden[row]
                real[k, t] = True
                row += 1
    return padded, real


def by_mask(
    name: str, hidden: Tensor, packing: Packing, weights: dict[str, Tensor], directions: int
) -> Tensor:
    """Each head as a textbook has it, on padded arrays; empty sequences give zeros."""
    padded, real = padded_of(hidden, packing)
    if name == "flatten":
        return padded.flatten(1) @ weights["weight"].T + weights["bias"]
    lengths = torch.from_numpy(packing.lengths)
    there = lengths > 0
    if name == "last":
        ends = padded[torch.arange(len(lengths)), (lengths - 1).clamp(min=0)]
        half = hidden.shape[1] // 2
        made = ends if directions == 1 else torch.cat([ends[:, :half], padded[:, 0, half:]], 1)
    elif name == "mean":
        made = padded.sum(1) / lengths.clamp(min=1)[:, None]
    elif name == "max":
        made = padded.masked_fill(~real[..., None], -1e9).amax(1)
    elif name == "max+mean":
        both = [by_mask(one, hidden, packing, weights, directions) for one in ("max", "mean")]
        return torch.cat(both, 1)
    else:
        scores = padded @ weights["query"] / hidden.shape[1] ** 0.5
        fraction = torch.softmax(scores.masked_fill(~real, -1e9), dim=1)
        made = (fraction[..., None] * padded).sum(1)
    return torch.where(there[:, None], made, torch.zeros_like(made))


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("lengths", [RAGGED, [4, 4, 4], [1], [0, 0], []], ids=str)
@pytest.mark.parametrize("name", HEADS)
def test_head_equals_padding_and_masks(name: str, lengths: list[int], directions: int) -> None:
    """Red when a head reads another sequence's row, a step that does not exist, or loses a gradient."""
    torch.manual_seed(len(lengths))
    packing = pack(np.array(lengths, np.int64))
    hidden = torch.randn(packing.rows, 6, dtype=torch.float64, requires_grad=True)
    weights = weights_of(name, 6)
    inputs = [hidden, *weights.values()]
    ours = pooled(name, hidden, packing, weights, directions)
    theirs = by_mask(name, hidden, packing, weights, directions)
    torch.testing.assert_close(ours, theirs, **EXACT)
    given = torch.randn_like(ours)
    for mine, other in zip(
        torch.autograd.grad(ours, inputs, given, allow_unused=True),
        torch.autograd.grad(theirs, inputs, given, allow_unused=True),
        strict=True,
    ):
        torch.testing.assert_close(
            torch.zeros(()) if mine is None or not mine.numel() else mine,
            torch.zeros(()) if other is None or not other.numel() else other,
            **EXACT,
        )


@pytest.mark.parametrize("name", HEADS)
def test_gradcheck(name: str) -> None:
    """Red when a backward kernel is not the derivative of its forward kernel."""
    torch.manual_seed(5)
    packing = pack(np.array([2, 0, 4, 1], np.int64))
    hidden = torch.randn(packing.rows, 4, dtype=torch.float64, requires_grad=True)
    weights = weights_of(name, 4)
    keys = list(weights)

    def head(rows: Tensor, *values: Tensor) -> Tensor:
        return pooled(name, rows, packing, dict(zip(keys, values, strict=True)), 2)

    assert torch.autograd.gradcheck(head, (hidden, *weights.values()))


@pytest.mark.parametrize("features", [1, 7, 50, 256])
@pytest.mark.parametrize("name", HEADS)
def test_same_bits_alone_and_in_a_batch(name: str, features: int) -> None:
    """Red when a sequence's sum is taken in an order that depends on its company."""
    torch.manual_seed(9)
    lengths = np.array([5, 9, 0, 1, 8, 9, 3], np.int64)
    packing = pack(lengths)
    flat = torch.randn(int(lengths.sum()), features)
    weights = weights_of(name, features, torch.float32)
    with torch.no_grad():
        together = pooled(name, flat[torch.from_numpy(packing.sequence_rows)], packing, weights, 1)
        start = 0
        for index, length in enumerate(lengths):
            alone = pooled(name, flat[start : start + length], pack(lengths[index : index + 1]), weights, 1)
            assert torch.equal(alone[0], together[np.flatnonzero(packing.order == index)[0]])
            start += length


def test_max_shows_a_nan() -> None:
    """Red when a diverged model's NaN is hidden by a comparison that is false for it."""
    for step in range(3):
        hidden = torch.ones(3, 2)
        hidden[step, 1] = torch.nan
        made = pooled("max", hidden, pack(np.array([3])), {}, 1)
        assert made[0, 0] == 1
        assert made[0, 1].isnan()


def test_max_of_equal_values_gives_the_gradient_to_one_row() -> None:
    """Red when equal maxima would each take the whole gradient."""
    hidden = torch.ones(4, 1, requires_grad=True)
    pooled("max", hidden, pack(np.array([4])), {}, 1).sum().backward()
    assert hidden.grad is not None
    assert hidden.grad.flatten().tolist() == [1, 0, 0, 0]


def test_attention_of_huge_scores_is_finite() -> None:
    """Red when exp overflows for a sure query and the pooled row becomes undefined."""
    hidden = torch.tensor([[1.0], [-1.0], [0.0]])
    made = pooled("attention", hidden, pack(np.array([3])), {"query": torch.tensor([1000.0])}, 1)
    assert made.item() == 1
