"""Is one model better than another on the same texts? Paired bootstrap; knows right and wrong, no models.

Legend: S seeds, B texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 2000

Values = NDArray[np.bool_] | NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """A difference of accuracies and its 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def includes_zero(self) -> bool:
        """Whether the texts and seeds at hand show no difference at all."""
        return self.low <= 0 <= self.high


def paired_difference(
    right: Values, reference: Values, *, resamples: int = RESAMPLES, seed: int = 0
) -> Difference:
    """Return how much more often `right` bool [S, B] is true than `reference`, run by run on the same texts.

    Row s of both has the same seed and the same training texts. Texts are drawn again with replacement, and
    so are, where there are several, seeds: another test set and another start are both chance (a percentile
    bootstrap; with few seeds it knows little of how they differ, and the interval is a little too narrow).
    """
    gain = np.asarray(right, np.float64) - reference
    seeds, texts = gain.shape
    draw = np.random.default_rng(seed)
    means = np.empty(resamples)
    for k in range(resamples):
        times = np.bincount(draw.integers(texts, size=texts), minlength=texts).astype(np.float64)
        by_seed = gain @ times / texts
        means[k] = by_seed[draw.integers(seeds, size=seeds)].mean()
    low, high = np.quantile(means, [0.025, 0.975])
    return Difference(float(gain.mean(dtype=np.float64)), float(low), float(high))
