"""What a workload is, what running one gives, and what ours must reach; knows no library that is compared.

A new workload is one file with a `WORKLOAD` of this kind and one line in `__main__.WORKLOADS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks import machine

Tell = Callable[[str], object]

BACKENDS = {"tensorflow": "Keras on TensorFlow", "jax": "Keras on JAX"}


@dataclass(frozen=True)
class Options:
    """How much is to be run. None leaves `steps` (batches a turn) and `turns` (rounds) to the workload."""

    quick: bool = False
    steps: int | None = None
    turns: int | None = None
    whole: bool = False  # whole epochs, where a workload is one
    keras: bool = True

    def backends(self, slow: tuple[str, ...] = ()) -> list[str]:
        """Keras's backends that take part; JAX, and those that are `slow` here, only in a full run."""
        every = list(BACKENDS) if self.keras else []
        return [backend for backend in every if not (self.quick and backend in ("jax", *slow))]

    def missing(self, slow: tuple[str, ...] = ()) -> list[str]:
        """Names of Keras's backends that are left out of a quick run."""
        left_out = set(replace(self, quick=False).backends()) - set(self.backends(slow))
        return [f"{BACKENDS[backend]}, for it is slow here" for backend in sorted(left_out)]

    @property
    def settle(self) -> float:
        """Seconds for the thread pools of the one before to stop spinning."""
        return 0.15 if self.quick else 0.3

    def extent(self, full: tuple[int, int], quick: tuple[int, int]) -> tuple[int, int]:
        """(steps, turns): what was asked for, else the workload's own for a full or a quick run."""
        steps, turns = quick if self.quick else full
        return self.steps or steps, self.turns or turns


@dataclass(frozen=True)
class Contestant:
    """One library's way of doing the work: `turn` does `share` of it, `warm` a little of the same shapes.

    `padded` marks one that also computes steps which are not there. A share below 1 is for what is so slow
    that a part must stand for the whole: its seconds are divided by the share.
    """

    name: str
    turn: Callable[[], object]
    warm: Callable[[], object]
    ours: bool = False
    padded: bool = False
    setting: Callable[[], str] = str  # once warm: what was chosen for it
    share: float = 1.0


@dataclass(frozen=True)
class Goal:
    """What ours must reach against the fastest of `others` (none: of all others), by its time ÷ ours.

    With `at_most`, ours may take at most so many times the other's time: ours ÷ its time is judged.
    """

    value: float
    what: str = "the fastest other"
    others: tuple[str, ...] = ()
    at_most: bool = False


@dataclass(frozen=True)
class Prepared:
    """Contestants ready to be timed: their outputs and gradients have already been found to agree.

    A turn's seconds times `scale` are what the workload asks for (one epoch); `work` is the floating-point
    operations that must be done in one turn, in whatever way; `agreed` are sentences of what was compared.
    Where reading weights and not arithmetic limits all, `work` is bytes, and `read_rate` gives how many the
    machine reads a second. Where the gates take longer than the products, `squashed` is how many numbers they
    squash in a turn, which counts as work as well, at the rate at which the machine does that alone.
    `overhead` measures seconds of a turn that are neither's arithmetic, and pass whoever computes.
    """

    contestants: Sequence[Contestant]
    agreed: Sequence[str]
    goals: Sequence[Goal]
    scale: float = 1.0
    work: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""  # where a workload has several such scenes
    measured: str = ""  # what the seconds are of
    read_rate: Callable[[], float] | None = None
    squashed: float = 0.0
    overhead: Callable[[], float] | None = None

    def rate(self) -> float:
        """How much of `work` the machine could do in a second now."""
        if self.read_rate is not None:
            return self.read_rate()
        if self.work is None or not self.squashed:
            return machine.matrix_rate()
        return self.work / (self.work / machine.matrix_rate() + self.squashed / machine.squash_rate())


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
    roofline: float | None = None


@dataclass(frozen=True)
class Outcome:
    """A goal and what was reached, in `unit`; `x` is a ratio of times."""

    what: str
    value: float
    goal: float
    at_most: bool = False
    unit: str = "x"

    @property
    def met(self) -> bool:
        """Whether the goal was reached."""
        return self.margin >= 1.0

    @property
    def margin(self) -> float:
        """How far beyond the goal: 1.0 is just reached."""
        if not self.at_most:
            return self.value / self.goal
        return self.goal / self.value if self.value > 0 else float("inf")


@dataclass(frozen=True)
class Finding:
    """What one scene of a workload gave: timings in turns, or a table of its own, and the goals' outcomes."""

    name: str
    measured: str
    outcomes: Sequence[Outcome]
    agreed: Sequence[str] = ()
    timings: Sequence[Timing] = ()
    table: Sequence[Sequence[str]] = ()  # the first row is the head
    facts: Mapping[str, Any] = field(default_factory=dict)
    turns: int = 1
    rate: float | None = None  # floating-point operations a second of a large float32 matrix product
    work: float | None = None  # floating-point operations that must be done for what was measured
    reading: bool = False  # both are bytes instead, read
    squashed: float = 0.0  # numbers that gates squash in a turn; the rate is that of both then


@dataclass(frozen=True)
class Workload:
    """`run` prepares one scene after the other, lets the contestants agree, measures, and frees them."""

    name: str
    title: str
    run: Callable[[Options, Tell], Iterator[Finding]]
    needs_keras: bool = False  # nothing is left to compare with where Keras is left out
