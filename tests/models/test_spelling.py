"""Words' rows out of their letters: against torch's convolution, each gradient, alone and in company."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatelight.errors import DataError
from gatelight.models.pieces import Pieces
from gatelight.models.spelling import WIDTHS, Spelling, place_bounds

LETTERS, FILTERS, DIM = 7, 5, 4
SUMMED = 1e-5  # float32 sums of at most six numbers below 2 and a dense layer of 30, in another order
SPELLED = [[5, 1, 2, 3, 4, 0, 2, 6], [5, 6], [5, 1, 6], [3], [5, 2, 2, 2, 2, 1, 6]]


def pieces() -> Pieces:
    return Pieces(4, np.cumsum([0, *map(len, SPELLED)]), np.concatenate(SPELLED).astype(np.int32))


def module() -> Spelling:
    made = Spelling(2, DIM, letters=LETTERS, filters=FILTERS, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        made.bias.uniform_(-1, 1)
        made.dense_bias.uniform_(-1, 1)
    return made


def by_convolution(made: Spelling, word: list[int]) -> torch.Tensor:
    """One word's row by `torch.nn.functional.conv1d` over a one-hot array."""
    if not word:
        return made.dense_bias
    hot = torch.nn.functional.one_hot(torch.tensor(word), LETTERS).float().T
    pooled = []
    for width, begin in zip(range(1, WIDTHS + 1), place_bounds(), strict=False):
        seen = min(width, len(word))
        kernel = made.weight[begin * LETTERS : (begin + seen) * LETTERS]
        kernel = kernel.view(seen, LETTERS, FILTERS).permute(2, 1, 0)
        pooled.append(torch.nn.functional.conv1d(hot[None], kernel)[0].amax(dim=1))
    hidden = torch.relu(torch.cat(pooled) + made.bias)
    return hidden @ made.dense_weight.T + made.dense_bias


def test_rows_and_every_gradient_are_those_of_a_convolution() -> None:
    """A place, a border of a short word or a gradient gone wrong would train quietly into a worse model."""
    made = module()
    ids = np.array([5, 4, 1, 8, 4, 6, 7, 5], np.int32)
    rows, number = made(ids, None, pieces())
    words = [[] if i < 4 else SPELLED[i - 4] for i in ids.tolist()]
    expected = torch.stack([by_convolution(made, word) for word in words])
    torch.testing.assert_close(rows[torch.from_numpy(number).long()], expected, atol=SUMMED, rtol=SUMMED)
    weights = torch.randn(len(ids), DIM, generator=torch.Generator().manual_seed(4))
    parameters = list(made.parameters())
    wanted = torch.autograd.grad((expected * weights).sum(), parameters)
    found = torch.autograd.grad((rows[torch.from_numpy(number).long()] * weights).sum(), parameters)
    for a, b in zip(found, wanted, strict=True):
        assert b.abs().max() > 0
        torch.testing.assert_close(a, b, atol=SUMMED, rtol=SUMMED)


def test_a_word_has_the_same_bits_alone() -> None:
    """A text judged alone must get the probability that it gets in a batch."""
    made = module().eval()
    with torch.no_grad():
        together, number = made(np.arange(4, 9, dtype=np.int32), None, pieces())
        for k in range(len(SPELLED)):
            alone, _ = made(np.array([4 + k], np.int32), None, pieces())
            assert torch.equal(alone[0], together[number[k]])


def test_ids_without_letters_are_refused() -> None:
    """Reading beyond the table would be a word made of whatever lies in memory there."""
    with pytest.raises(DataError, match="outside of the vocabulary"):
        module()(np.array([4], np.int32), None, None)
    with pytest.raises(DataError, match="do not fit a model of 7 letters"):
        module()(np.array([3], np.int32), None, pieces())
    strange = Pieces(4, np.array([0, 1]), np.array([LETTERS], np.int32))
    with pytest.raises(DataError, match="letters up to 7"):
        module()(np.array([4], np.int32), None, strange)
