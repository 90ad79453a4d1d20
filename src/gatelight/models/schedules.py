"""Learning-rate schedules as pure functions of step and total, as factors of the peak learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable

WARM_UP = 0.3  # fraction of all steps in which "one-cycle" rises (torch's OneCycleLR: pct_start)
START_DIVISOR = 25.0  # "one-cycle" starts at peak / 25 (div_factor)
END_DIVISOR = 1e4  # and ends at that / 10,000 (final_div_factor)


def constant(step: int, total: int) -> float:
    """1 at every step."""
    return 1.0


def linear(step: int, total: int) -> float:
    """Fall in a straight line from 1 at step 0 to 0 at step `total` (torch's LinearLR from 1 to 0)."""
    return max(0.0, 1.0 - step / total)


def cosine(step: int, total: int) -> float:
    """Fall along half a cosine from 1 at step 0 to 0 at step `total` (arXiv:1608.03983, no restarts)."""
    return 0.5 * (1.0 + math.cos(math.pi * min(step, total) / total))


def one_cycle(step: int, total: int) -> float:
    """Rise along half a cosine from 1/25 to 1 over the first 30 % of the steps, then fall to 1/250,000.

    The same numbers as torch's OneCycleLR by default (Smith & Topin, arXiv:1708.07120), without its
    cycling of momentum. Step `total - 1` is the last.
    """
    start, end = 1.0 / START_DIVISOR, 1.0 / START_DIVISOR / END_DIVISOR
    peak_at = WARM_UP * total - 1
    if step <= peak_at:
        return _anneal(start, 1.0, step / peak_at)
    last = total - 1
    # Of one step only (or of fewer than the rise needs) the peak is the best there is.
    return _anneal(1.0, end, min(1.0, (step - peak_at) / (last - peak_at))) if last > max(peak_at, 0) else 1.0


SCHEDULES: dict[str, Callable[[int, int], float]] = {
    "constant": constant,
    "linear": linear,
    "cosine": cosine,
    "one-cycle": one_cycle,
}


def _anneal(start: float, end: float, fraction: float) -> float:
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * fraction))
