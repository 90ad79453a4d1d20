"""Are the misread words rare? Means of right and wrong texts, and a regression beside length and class.

Knows numbers of texts, no words. An effect is no cause: `edits` changes words and looks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from gatelight.estimators.evaluation import Z_95

FEWEST = 10  # texts of either kind for each measure; fewer tell nothing (Peduzzi et al. 1996)

NO_SPREAD = 1e-9  # rounding, where all texts have the same value

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """One measure in right and wrong texts: means and Cohen's d, None where it does not vary within either.

    `odds` is by how much the odds of a mistake rise with one standard deviation, length and class and the
    other measures held; None where too few texts tell. Each has its 95 % interval.
    """

    name: str
    right: float
    wrong: float
    d: float | None
    d_low: float | None
    d_high: float | None
    odds: float | None = None
    odds_low: float | None = None
    odds_high: float | None = None


def effects(
    measures: dict[str, Floats], wrong: NDArray[np.bool_], lengths: Floats, classes: NDArray[np.int64]
) -> list[Effect]:
    """Compare wrong texts with right ones, measure by measure; nothing with fewer than two of either."""
    n_wrong, n_right = int(wrong.sum()), int((~wrong).sum())
    if min(n_wrong, n_right) < 2:
        return []
    odds = _odds(measures, wrong, lengths, classes)
    return [_effect(name, values, wrong, odds.get(name)) for name, values in measures.items()]


def _effect(
    name: str, values: Floats, wrong: NDArray[np.bool_], odds: tuple[float, float, float] | None
) -> Effect:
    bad, good = values[wrong], values[~wrong]
    right_mean, wrong_mean = float(good.mean()), float(bad.mean())
    ratio = odds or (None, None, None)
    degrees = max(len(values) - 2, 1)
    spread = np.sqrt(((bad - wrong_mean) ** 2).sum() / degrees + ((good - right_mean) ** 2).sum() / degrees)
    if spread <= NO_SPREAD:
        return Effect(name, right_mean, wrong_mean, None, None, None, *ratio)
    d = float((wrong_mean - right_mean) / spread)
    # Hedges and Olkin (1985), for large samples.
    reach = Z_95 * math.sqrt(len(values) / (len(bad) * len(good)) + d * d / (2 * len(values)))
    return Effect(name, right_mean, wrong_mean, d, d - reach, d + reach, *ratio)


def _odds(
    measures: dict[str, Floats], wrong: NDArray[np.bool_], lengths: Floats, classes: NDArray[np.int64]
) -> dict[str, tuple[float, float, float]]:
    """Odds ratios with Wald's intervals, of a logistic regression without penalty."""
    varied = {name: values for name, values in measures.items() if values.std() > 0}
    dummies = [classes == number for number in np.unique(classes)[1:]]
    columns = [*varied.values(), np.log1p(lengths), *(dummy.astype(np.float64) for dummy in dummies)]
    if not varied or min(int(wrong.sum()), int((~wrong).sum())) < FEWEST * len(columns):
        return {}
    x = np.stack(columns, axis=1)
    deviations = x.std(axis=0)
    x = ((x - x.mean(axis=0)) / np.where(deviations > 0, deviations, 1))[:, deviations > 0]
    model = LogisticRegression(C=np.inf, max_iter=1000, tol=1e-8).fit(x, wrong)
    p = model.predict_proba(x)[:, 1]
    design = np.column_stack([np.ones(len(x)), x])
    information = design.T @ (design * (p * (1 - p))[:, None])
    # A pseudo-inverse: measures that say the same share what they say, and their intervals show it.
    errors = np.sqrt(np.maximum(np.diag(np.linalg.pinv(information)), 0))[1:]
    slopes = model.coef_[0]
    return {
        name: tuple(np.exp([b, b - Z_95 * error, b + Z_95 * error]).tolist())
        for name, b, error in zip(varied, slopes, errors, strict=False)
    }
