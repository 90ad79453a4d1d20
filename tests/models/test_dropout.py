"""The hashed dropout against what independent fair draws would give."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gatelight.models.dropout import dropout, word_dropout

# A fraction of 400,000 draws has a standard deviation below 0.0008; five of them.
NEAR = 0.004


def mask(seed: int, fraction: float = 0.3, shape: tuple[int, int] = (2000, 200)) -> torch.Tensor:
    return dropout(torch.ones(shape), fraction, torch.Generator().manual_seed(seed)) == 0


@pytest.mark.parametrize("fraction", [0.05, 0.5, 0.95])
def test_fraction_and_scale(fraction: float) -> None:
    """Red when more or fewer are dropped than asked, or the mean is not kept."""
    values = dropout(torch.ones(2000, 200), fraction, torch.Generator().manual_seed(1))
    assert abs((values == 0).float().mean() - fraction) < NEAR
    assert torch.allclose(values[values != 0], torch.tensor(1 / (1 - fraction)))
    assert dropout(values, 0.0, None) is values


def test_draws_are_independent_of_their_neighbours() -> None:
    """Red when the hash has stripes: equal columns, equal rows, or neighbours that fall together."""
    dropped = mask(2).float() - 0.3
    for shift in (1, 2, 16, 64):
        assert abs((dropped[:, shift:] * dropped[:, :-shift]).mean()) < NEAR
        assert abs((dropped[shift:] * dropped[:-shift]).mean()) < NEAR
    # A row's or column's count is binomial; its variance over many would show any dependence.
    for axis, trials in ((1, 200), (0, 2000)):
        expected = trials * 0.3 * 0.7
        assert 0.75 * expected < mask(3).float().sum(axis).var() < 1.33 * expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradient_is_dropped_at_the_same_places(dtype: torch.dtype) -> None:
    """Red when the backward pass draws anew."""
    values = torch.randn(50, 7, dtype=dtype, requires_grad=True)
    out = dropout(values, 0.4, torch.Generator().manual_seed(7))
    (gradient,) = torch.autograd.grad(out, values, torch.ones_like(out))
    torch.testing.assert_close(out, values * gradient)
    assert 0 < (gradient == 0).sum() < gradient.numel()


def test_word_dropout_turns_a_share_into_unknown() -> None:
    """Red when the wrong fraction is dropped, the given array is changed, or kept ids change."""
    ids = np.random.default_rng(0).integers(2, 1000, 100_000).astype(np.int32)
    before = ids.copy()
    out = word_dropout(ids, 0.2, 1, torch.Generator().manual_seed(3))
    assert (ids == before).all()
    assert abs((out == 1).mean() - 0.2) < 0.007  # five standard deviations of 100,000 draws
    assert (out[out != 1] == ids[out != 1]).all()
    assert word_dropout(ids, 0.0, 1, None) is ids
