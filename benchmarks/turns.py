"""Contestants timed in turns, A B C A B C, and what is made of the times.

A machine's speed drifts, so ratios are taken within a round, between neighbours, and the median of the rounds
counts.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

SETTLE = 0.3  # seconds for the thread pool of the one before to stop spinning

Tell = Callable[[str], object]
Turns = Mapping[str, Callable[[], float]]  # by name what runs once and returns its seconds; ours first


@dataclass(frozen=True)
class Row:
    """One contestant's seconds, and how many times as long as ours it took (the median of the rounds)."""

    name: str
    setting: str
    median: float
    lowest: float
    highest: float
    times_ours: float


@dataclass(frozen=True)
class Finding:
    """A workload, what its seconds are of, what agreed before, and the contestants, ours first."""

    workload: str
    measured: str
    agreed: Sequence[str]
    rows: Sequence[Row]
    rounds: int

    def line(self) -> str:
        """Ours against each other in one line."""
        ours, *others = self.rows
        found = "; ".join(f"{row.times_ours:.2f} x {row.name}" for row in others)
        return f"{self.workload}: {ours.median:.3g} s; {found}"


def take_turns(turns: Turns, rounds: int, tell: Tell, settle: float = SETTLE) -> dict[str, list[float]]:
    """Let each run once a round; seconds by name."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds):
        for name, turn in turns.items():
            time.sleep(settle)
            seconds[name].append(turn())
            tell(f"round {number + 1} of {rounds}: {name} {seconds[name][-1]:.3g} s")
    return seconds


def rows(seconds: Mapping[str, Sequence[float]], settings: Mapping[str, str]) -> list[Row]:
    """Medians, spread and ratios; the first name is ours."""
    ours = next(iter(seconds.values()))
    return [
        Row(
            name, settings.get(name, ""), statistics.median(taken), min(taken), max(taken),
            statistics.median(other / mine for other, mine in zip(taken, ours, strict=True)),
        )
        for name, taken in seconds.items()
    ]  # fmt: skip
