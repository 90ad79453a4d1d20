"""Contestants timed in turns, A B C A B C, and what is made of the times; knows no library and no workload.

A machine's speed drifts, so ratios are taken within a round, between neighbours, and the median of the
rounds counts. The machine's own rate is one of these neighbours: it is measured before ours and after it.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks.workload import Contestant, Finding, Goal, Options, Outcome, Prepared, Tell, Timing


def in_turns(prepared: Prepared, rounds: int, options: Options, tell: Tell) -> Finding:
    """Say what agreed, time the contestants and hold the times against the goals."""
    for sentence in prepared.agreed:
        tell(sentence)
    seconds, rates = take_turns(prepared.contestants, rounds, prepared.rate, tell, options.settle)
    return standing(prepared, seconds, rates)


def take_turns(
    contestants: Sequence[Contestant],
    rounds: int,
    rate: Callable[[], float],
    tell: Tell = lambda line: None,
    settle: float = 0.0,
) -> tuple[dict[str, list[float]], list[float]]:
    """Warm all up, then let each run once a round; seconds by name, and the machine's rate beside ours."""
    for contestant in contestants:
        tell(f"warming up: {contestant.name}")
        contestant.warm()
    seconds: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    rates = []
    with nothing_old():
        for number in range(rounds):
            for contestant in contestants:
                gc.collect()
                before = rate() if contestant.ours else 0.0
                time.sleep(settle)
                began = time.perf_counter()
                contestant.turn()
                took = (time.perf_counter() - began) / contestant.share
                if contestant.ours:
                    # What takes 1 s at one rate and 2 s at the other takes 1.5 s at both together.
                    rates.append(2 / (1 / before + 1 / rate()))
                seconds[contestant.name].append(took)
                tell(f"round {number + 1} of {rounds}: {contestant.name} {took:.3g} s")
    return seconds, rates


@contextmanager
def nothing_old() -> Iterator[None]:
    """Inside the block garbage is sought only among what is new: to look at all takes tenths of a second."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def standing(prepared: Prepared, seconds: dict[str, list[float]], rates: Sequence[float]) -> Finding:
    """Make medians, spread, ratios and outcomes of a turn's seconds; ValueError without ours or another."""
    ours = [c.name for c in prepared.contestants if c.ours]
    others = [c.name for c in prepared.contestants if not c.ours]
    if len(ours) != 1 or not others:
        raise ValueError(f"expected one contestant of ours and others, got {ours} and {others}")
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
                roofline=_roofline(prepared.work, taken, rates),
            )
        )
    return Finding(
        name=prepared.name,
        measured=prepared.measured,
        outcomes=[outcome(goal, timings, prepared.name) for goal in prepared.goals],
        agreed=prepared.agreed,
        timings=timings,
        facts=prepared.facts,
        turns=len(mine),
        rate=statistics.median(rates),
        work=None if prepared.work is None else prepared.work * prepared.scale,
        reading=prepared.read_rate is not None,
        squashed=prepared.squashed * prepared.scale,
    )


def _roofline(work: float | None, seconds: Sequence[float], rates: Sequence[float]) -> float | None:
    """The share of the machine's rate at which the work was done, the median over the rounds."""
    if work is None:
        return None
    return statistics.median(work / (taken * rate) for taken, rate in zip(seconds, rates, strict=True))


def outcome(goal: Goal, timings: Sequence[Timing], scene: str = "") -> Outcome:
    """What ours reached of a goal; the fastest is by its median, its ratio the median over the rounds."""
    others = [t for t in timings if not t.ours and (not goal.others or t.name in goal.others)]
    if not others:
        raise ValueError(f"nobody was timed of {', '.join(goal.others)}")
    fastest = min(others, key=lambda t: t.median)
    what = ", ".join(part for part in (scene, goal.what) if part)
    value = 1 / fastest.times_ours if goal.at_most else fastest.times_ours
    named = what if goal.others == (fastest.name,) else f"{what} ({fastest.name})"
    return Outcome(named, value, goal.value, goal.at_most)
