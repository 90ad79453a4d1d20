"""Two judges of the same texts: where both are right, or one alone. Knows answers, not who gave them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gatelight.insight.paired import paired_difference


@dataclass(frozen=True)
class Agreement:
    """How often a model and its baseline say the same (`kappa`: beyond chance), and who is right.

    `gain` is the model's accuracy less the baseline's with its interval, `p` McNemar's exact one.
    """

    same: float
    kappa: float
    both: int
    model_only: int
    baseline_only: int
    neither: int
    gain: float
    gain_low: float
    gain_high: float
    p: float


def agreement(model: NDArray[np.int64], baseline: NDArray[np.int64], truth: NDArray[np.int64]) -> Agreement:
    """Compare two judges' class numbers int64 [B] with the truth and with each other."""
    ours, theirs = model == truth, baseline == truth
    same = float((model == baseline).mean())
    classes = int(max(model.max(), baseline.max(), truth.max())) + 1
    shares = [np.bincount(chosen, minlength=classes) / len(truth) for chosen in (model, baseline)]
    chance = float(shares[0] @ shares[1])
    one, other = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    gain = paired_difference(ours[None], theirs[None])
    return Agreement(
        same=same,
        kappa=(same - chance) / (1 - chance) if chance < 1 else 1.0,
        both=int((ours & theirs).sum()),
        model_only=one,
        baseline_only=other,
        neither=int((~ours & ~theirs).sum()),
        gain=gain.mean,
        gain_low=gain.low,
        gain_high=gain.high,
        p=float(stats.binomtest(one, one + other).pvalue) if one + other else 1.0,
    )
