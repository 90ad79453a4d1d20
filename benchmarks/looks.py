"""A contest, looked at until a shared machine was quiet for long enough: neighbours come and go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np

from benchmarks.turns import standing, take_turns
from benchmarks.workload import Finding, Prepared

BEST = 0.95  # of a run's rounds are no faster: the very fastest may be one that hardly ever comes again
QUIET, ENOUGH = 0.95, 7  # of that rate; rounds, which then alone count where a goal was missed
PATIENCE, PAUSE = 60.0, 2.0  # seconds that the machine may take to become quiet, and between two tries


class Looks:
    """The seconds of all rounds of a contest so far, and the machine's rate beside each."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        self.seconds: dict[str, list[float]] = {one.name: [] for one in prepared.contestants}
        self.rates: list[float] = []

    def look(self, turns: int, rate: Callable[[], float], settle: float) -> None:
        """Take so many turns more."""
        seconds, rates = take_turns(self.prepared.contestants, turns, rate, settle=settle)
        for name, taken in seconds.items():
            self.seconds[name] += taken
        self.rates += rates

    def quiet(self, best: float) -> list[int]:
        """The rounds in which the machine multiplied almost as fast as at its best."""
        return [k for k, rate in enumerate(self.rates) if rate >= QUIET * best]

    def all(self) -> Finding:
        """What all rounds show."""
        return standing(self.prepared, self.seconds, self.rates)

    def found(self, best: float) -> Finding:
        """What the quiet rounds show; all if these are few."""
        kept = self.quiet(best)
        if len(kept) < ENOUGH:
            return self.all()
        seconds = {name: [taken[k] for k in kept] for name, taken in self.seconds.items()}
        return standing(self.prepared, seconds, [self.rates[k] for k in kept])


def best_rate(every: Iterable[Looks]) -> float:
    """The rate that the machine had at its best in these rounds, but for the fastest few."""
    return float(np.quantile([rate for looks in every for rate in looks.rates], BEST, method="higher"))


def wait_until_quiet(best: float, rate: Callable[[], float]) -> bool:
    """Whether the machine multiplies almost as fast as at its best, perhaps after a while."""
    end = time.monotonic() + PATIENCE
    while not (quiet := rate() >= QUIET * best) and time.monotonic() < end:
        time.sleep(PAUSE)
    return quiet
