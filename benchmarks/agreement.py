"""Two computations held against each other before anything is timed; knows arrays only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

TOLERANCE = (
    1e-4  # of the largest value there is: float32 sums over 400 steps in two orders differ by about 1e-6
)

Results = Mapping[str, NDArray[np.float32]]


class DisagreementError(Exception):
    """Two libraries computed different things, so that comparing their times would mean nothing."""


def agree(what: str, first: Results, second: Results, tolerance: float = TOLERANCE) -> str:
    """Compare arrays by name (outputs, gradients); a sentence that says what agreed and how closely.

    Raises DisagreementError, naming the array, where names or shapes differ, a value is not finite, an array
    is nothing but zeros, or the largest difference exceeds `tolerance` times the largest value.
    """
    if first.keys() != second.keys():
        raise DisagreementError(f"{what}: {sorted(first)} on one side, {sorted(second)} on the other")
    worst = 0.0
    for name, one in first.items():
        other = second[name]
        if one.shape != other.shape:
            raise DisagreementError(
                f"{what}: {name} has shape {one.shape} on one side, {other.shape} on the other"
            )
        if not (np.isfinite(one).all() and np.isfinite(other).all()):
            raise DisagreementError(f"{what}: {name} is not finite")
        largest = float(np.abs(one).max())
        if largest == 0.0:
            raise DisagreementError(f"{what}: {name} is zero throughout, which any library could agree on")
        difference = float(np.abs(one - other).max()) / largest
        if difference > tolerance:
            raise DisagreementError(
                f"{what}: {name} differs by {difference:.1e} of its largest value, allowed is {tolerance:.0e}"
            )
        worst = max(worst, difference)
    return f"{what}: {', '.join(first)} agree (largest difference {worst:.0e} of the largest value)"
