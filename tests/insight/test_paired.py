"""The paired bootstrap: against a formula where there is one, and against what it is for."""

from __future__ import annotations

import numpy as np

from gatelight.insight.paired import paired_difference

B = 4000
TENTH = 0.1
"""The bootstrap's own chance, of 2,000 draws, moves the interval's ends by some hundredths of its width."""


def test_of_one_seed_it_is_the_interval_of_mcnemars_difference() -> None:
    """With one seed only texts are drawn: the formula for paired shares must come out."""
    draw = np.random.default_rng(1)
    reference = draw.random((1, B)) < 0.8
    right = np.where(draw.random((1, B)) < 0.06, ~reference, reference)
    found = paired_difference(right, reference)
    gain = right.astype(float) - reference
    reach = 1.96 * gain.std() / np.sqrt(B)
    assert found.mean == gain.mean()
    expected = gain.mean() - reach, gain.mean() + reach
    np.testing.assert_allclose([found.low, found.high], expected, atol=TENTH * reach)


def test_seeds_that_disagree_widen_the_interval() -> None:
    """A gain that one lucky seed brings is no gain: chance of the start is chance too."""
    reference = np.zeros((4, B), bool)
    steady, lucky = reference.copy(), reference.copy()
    steady[:, : B // 20] = True
    lucky[0, : B // 5] = True
    even, uneven = paired_difference(steady, reference), paired_difference(lucky, reference)
    assert even.mean == uneven.mean == 0.05
    assert not even.includes_zero
    assert uneven.includes_zero
