"""The memory tasks: what each draws, at which lengths, on which budget, and when it counts as solved."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from gatelight.errors import DataError
from gatelight.lab import lags, languages, reber, timing
from gatelight.lab.drawing import Drawn

Draw = Callable[[Generator, int, int], Drawn]
NUMBER, CLASS, SET = "number", "class", "set"


@dataclass(frozen=True)
class Task:
    """One task. Of all its settings none depends on the cell.

    An answer of `kind` "number" is right when it is off by less than `tolerance`, of "class" when the right
    one has a probability above 1 − tolerance, of "set" when just those outputs are above one half that are in
    it. A sequence is right when all its answers are. Solved: of `test` fresh sequences of `exam` (None: of
    `draw`) a share of `enough` is right.
    """

    name: str
    draw: Draw
    kind: str
    lengths: tuple[int, ...]
    chance: Callable[[int], float]  # share of the asked steps that are right without any memory
    of: str  # what is long, as an axis's name
    budget: int = 100_000  # sequences
    batch: int = 32
    rate: float = 0.01
    hidden: int = 16  # of LSTM; other cells get as many parameters
    tolerance: float = 0.5
    exam: Draw | None = None
    test: int = 2000
    enough: float = 1.0
    each: Draw | None = None  # every string up to a length: trained to the end, then tried on longer ones

    @property
    def about(self) -> str:
        """The task in one sentence."""
        return (inspect.getdoc(self.draw) or "").partition("\n\n")[0].replace("\n", " ")

    @property
    def source(self) -> str:
        """Where it comes from, its bound, and what is published."""
        return (inspect.getdoc(self.draw) or "").partition("\n\n")[2].replace("\n", " ")


def _share(value: float) -> Callable[[int], float]:
    return lambda length: value


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("adding", lags.adding, NUMBER, (20, 50, 100), lags.adding_by_chance, "steps", tolerance=0.04,
             budget=120_000, test=2560, enough=0.998),
        Task("copying", lags.copying, CLASS, (5, 10, 20), _share(1 / lags.SYMBOLS), "blank steps",
             budget=100_000, enough=0.99),
        Task("order", lags.temporal_order, CLASS, (10, 20, 50), _share(0.25), "steps", tolerance=0.3,
             budget=60_000),
        Task("noise-free", lags.noise_free_lag, CLASS, (10, 50, 100), _share(0.5), "steps",
             tolerance=0.25, budget=20_000, batch=8, test=100),
        Task("word-back", lags.word_back, CLASS, (5, 10, 20, 40), _share(1 / lags.WORDS), "steps back",
             budget=80_000, exam=lags.word_back_exam),
        Task("reber", reber.embedded_reber, SET, (5, 15, 30), _share(0.5), "symbols between",
             budget=60_000, batch=16, rate=0.005, hidden=32, test=256),
        Task("continual-reber", reber.continual_reber, SET, (5, 15), _share(0.5), "symbols between",
             budget=10_000, batch=8, hidden=24, exam=reber.continual_exam, test=10),
        Task("anbn", languages.anbn, SET, (10, 30), languages.counting_by_chance, "largest n",
             budget=20_000, batch=16, exam=languages.each_anbn, each=languages.each_anbn),
        Task("anbncn", languages.anbncn, SET, (10, 30), languages.counting_by_chance, "largest n",
             budget=20_000, batch=16, exam=languages.each_anbncn, each=languages.each_anbncn),
        Task("brackets", languages.nested_brackets, CLASS, (2, 4, 8), _share(1 / languages.KINDS), "depth",
             budget=40_000, batch=16, enough=0.95),
        Task("msd", timing.measuring_delays, NUMBER, (10, 20, 50), _share(0.5), "steps between spikes",
             tolerance=0.49, budget=40_000, batch=16, exam=timing.measuring_exam, test=10),
        Task("gts", timing.making_spikes, NUMBER, (10, 20, 50), _share(0.5), "steps between spikes",
             tolerance=0.49, budget=2_000, batch=1, exam=timing.spikes_exam, test=1),
        Task("pfg", timing.making_waves, NUMBER, (10, 25), timing.waves_by_chance, "steps of a period",
             tolerance=0.3, budget=2_000, batch=1, exam=timing.waves_exam, test=1),
        Task("multiplication", languages.long_multiplication, SET, (2, 3, 4), languages.multiplying_by_chance,
             "digits", budget=40_000, batch=16, enough=0.99),
    )
}  # fmt: skip


def known(names: Sequence[str]) -> list[Task]:
    """The tasks of these names, all if there are none; DataError for a name that there is not."""
    strange = [name for name in names if name not in TASKS]
    if strange:
        raise DataError(f"there is no task {strange[0]!r}; expected some of {', '.join(TASKS)}")
    return [TASKS[name] for name in dict.fromkeys(names)] or list(TASKS.values())
