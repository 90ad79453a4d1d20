"""What a workload is and what running one gives; knows nothing of any library that is compared.

A new workload is one file with a `WORKLOAD` of this kind and one line in `__main__.WORKLOADS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Options:
    """How much is to be run; `steps` batches a turn (None: the whole epoch) in `turns` rounds."""

    steps: int | None = 60
    turns: int = 5
    keras: bool = True


@dataclass(frozen=True)
class Contestant:
    """One library's way of doing the work: `turn` does all of it, `warm` a little of the same shapes.

    `padded` marks one that also computes steps which are not there.
    """

    name: str
    turn: Callable[[], None]
    warm: Callable[[], None]
    ours: bool = False
    padded: bool = False
    setting: Callable[[], str] = str  # once warm: what was chosen for it


@dataclass(frozen=True)
class Prepared:
    """A workload ready to be timed: its outputs and gradients have already been found to agree.

    A turn's seconds times `scale` are what the workload asks for (one epoch); `work` is the floating-point
    operations that must be done in one turn, in whatever way; `agreed` are sentences of what was compared.
    """

    contestants: Sequence[Contestant]
    agreed: Sequence[str]
    scale: float
    work: float
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Workload:
    """`goal` is how many times faster than the fastest other contestant ours must be."""

    name: str
    title: str
    measured: str  # what the seconds are of
    goal: float
    prepare: Callable[[Options], Prepared]
