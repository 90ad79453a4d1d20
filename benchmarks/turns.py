"""Contestants timed in turns, A B C A B C, and what is made of the times; knows no library and no workload.

A machine's speed drifts, so ratios are taken within a round, between neighbours, and the median of the
rounds counts.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.workload import Contestant, Prepared

SETTLE = 0.3  # seconds for the thread pools of the one before to stop spinning


@dataclass(frozen=True)
class Timing:
    """One contestant's seconds, scaled to what the workload asks for, and what they are worth.

    `times_ours` is its time divided by ours, `roofline` the necessary work ÷ time ÷ the machine's rate.
    """

    name: str
    ours: bool
    padded: bool
    setting: str
    seconds: list[float]
    median: float
    lowest: float
    highest: float
    times_ours: float
    roofline: float


@dataclass(frozen=True)
class Standing:
    """All timings, and how many times faster than the fastest other ours is: the median over the rounds."""

    timings: list[Timing]
    rate: float  # floating-point operations a second of a large float32 matrix product
    fastest: str  # of the others, by its median
    ratio: float


def take_turns(
    contestants: Sequence[Contestant],
    rounds: int,
    rate: Callable[[], float],
    tell: Callable[[str], object] = lambda line: None,
) -> tuple[dict[str, list[float]], list[float]]:
    """Warm all up, then let each run once a round; seconds by name, and the machine's rate of each round."""
    for contestant in contestants:
        tell(f"warming up: {contestant.name}")
        contestant.warm()
    seconds: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    rates = []
    for number in range(rounds):
        rates.append(rate())
        for contestant in contestants:
            gc.collect()
            time.sleep(SETTLE)
            began = time.perf_counter()
            contestant.turn()
            took = time.perf_counter() - began
            seconds[contestant.name].append(took)
            tell(f"round {number + 1} of {rounds}: {contestant.name} {took:.2f} s")
    return seconds, rates


def standing(prepared: Prepared, seconds: dict[str, list[float]], rates: Sequence[float]) -> Standing:
    """Make medians, spread and ratios of a turn's seconds; raises ValueError without ours or another."""
    ours = [c.name for c in prepared.contestants if c.ours]
    others = [c.name for c in prepared.contestants if not c.ours]
    if len(ours) != 1 or not others:
        raise ValueError(f"expected one contestant of ours and others, got {ours} and {others}")
    rate = statistics.median(rates)
    mine = seconds[ours[0]]
    timings = []
    for contestant in prepared.contestants:
        taken = seconds[contestant.name]
        median = statistics.median(taken)
        timings.append(
            Timing(
                name=contestant.name,
                ours=contestant.ours,
                padded=contestant.padded,
                setting=contestant.setting(),
                seconds=[prepared.scale * one for one in taken],
                median=prepared.scale * median,
                lowest=prepared.scale * min(taken),
                highest=prepared.scale * max(taken),
                times_ours=statistics.median(a / b for a, b in zip(taken, mine, strict=True)),
                roofline=prepared.work / median / rate,
            )
        )
    fastest = min((t for t in timings if not t.ours), key=lambda t: t.median)
    return Standing(timings, rate, fastest.name, fastest.times_ours)
