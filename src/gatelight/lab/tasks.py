"""The memory tasks: what each draws, at which lengths, on which budget, and when it counts as solved.

Each draws `count` fresh sequences for one length, from a generator of random numbers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from gatelight.errors import DataError
from gatelight.lab import grammars
from gatelight.lab.sequences import Drawn, Index, one_hot, only_last

Draw = Callable[[Generator, int, int], Drawn]
NUMBER, CLASS, SET = "number", "class", "set"
LONGER = 1.1  # Hochreiter & Schmidhuber draw lengths from T to T + T/10
SYMBOLS, COPIED = 8, 5
CLASSES_OF_ORDER = 4


@dataclass(frozen=True)
class Task:
    """One task. Of all its settings none depends on the cell.

    An answer of `kind` "number" is right when it is off by less than `tolerance`, of "class" when the right
    one has a probability above 1 − tolerance, of "set" when just those outputs are above one half that are in
    it. A sequence is right when all its answers are. Solved: of `test` fresh sequences of `exam` (None: of
    `draw`) a fraction of `enough` is right.
    """

    name: str
    draw: Draw
    kind: str
    lengths: tuple[int, ...]
    chance: Callable[[int], float]  # fraction of the asked steps that are right without any memory
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


def _lengths(draw: Generator, length: int, count: int) -> Index:
    return draw.integers(length, int(length * LONGER) + 1, count)


def adding(draw: Generator, length: int, count: int) -> Drawn:
    """Two marked numbers among many are to be added at the end.

    Hochreiter & Schmidhuber 1997, "Long short-term memory", experiment 4: T to 1.1 T steps (a number from −1
    to 1, a mark), first and last step marked −1; the target is 0.5 + (X1 + X2)/4, right when nearer than
    0.04; solved when 2,000 sequences in a row are right. One mark stands in each half, as Le, Jaitly & Hinton
    2015 (arXiv:1504.00941) and most since have it; in the source both stand in the first half. Published:
    LSTM solves T = 100 after 74,000 sequences, T = 500 after 209,000, T = 1,000 after 853,000; a plain RNN
    with tanh does not beat the constant answer at T = 150.
    """
    lengths = _lengths(draw, length, count)
    steps, rows = int(lengths.max()), np.arange(count)
    inputs = np.zeros((count, steps, 2), np.float32)
    inputs[..., 0] = draw.uniform(-1, 1, (count, steps))
    first = draw.integers(1, length // 2, count)
    second = draw.integers(length // 2, length - 1, count)
    inputs[rows, 0, 1] = inputs[rows, lengths - 1, 1] = -1
    inputs[rows, first, 1] = inputs[rows, second, 1] = 1
    total = inputs[rows, first, 0] + inputs[rows, second, 0]
    targets = np.zeros((count, steps, 1), np.float32)
    targets[rows, lengths - 1, 0] = 0.5 + total / 4
    last = only_last(lengths, steps)
    return Drawn(inputs, lengths, targets, last, last)


def adding_by_chance(length: int) -> float:
    """The fraction that the constant 0.5 hits to 0.04: targets are distributed as a triangle from 0 to 1."""
    return 1 - (1 - 2 * 0.04) ** 2


def copying(draw: Generator, length: int, count: int) -> Drawn:
    """Five symbols are to be written out again, so many blank steps after the last.

    After Hochreiter & Schmidhuber 1997 in the form of Arjovsky, Shah & Bengio 2016 (arXiv:1511.06464):
    symbols out of 8, blanks, a sign to begin, blanks while the answer is written; here 5 symbols, not 10, and
    only the answer counts. The source names no bound: solved here when 99 of 100 sequences are copied without
    a mistake. Published: LSTM and plain RNN stay at the constant answer at T = 100 and more, within 20,000
    batches; the unitary RNN solves T = 500.
    """
    blank, begin = SYMBOLS, SYMBOLS + 1
    numbers = np.full((count, length + 2 * COPIED), blank)
    symbols = draw.integers(0, SYMBOLS, (count, COPIED))
    numbers[:, :COPIED] = symbols
    numbers[:, -COPIED - 1] = begin
    targets = np.zeros(numbers.shape, np.int64)
    targets[:, -COPIED:] = symbols
    learnt = np.zeros(numbers.shape, np.bool_)
    learnt[:, -COPIED:] = True
    lengths = np.full(count, numbers.shape[1])
    return Drawn(one_hot(numbers, SYMBOLS + 2), lengths, targets, learnt, learnt, SYMBOLS)


def temporal_order(draw: Generator, length: int, count: int) -> Drawn:
    """Of two symbols far apart, X or Y each, the order is to be named at the end.

    Hochreiter & Schmidhuber 1997, experiment 6a: T to 1.1 T steps of a, b, c, d between E and B, the first X
    or Y at T/10 to T/5, the second at T/2 to 3T/5; four classes; right when no output is off by 0.3; solved
    when 2,000 sequences in a row are right. Published: LSTM solves T = 100 after 31,390 sequences. Pascanu,
    Mikolov & Bengio 2013: a plain RNN without further measures fails above T = 50 or so, from every start.
    """
    lengths = _lengths(draw, length, count)
    steps, rows = int(lengths.max()), np.arange(count)
    numbers = draw.integers(0, 4, (count, steps))
    numbers[:, 0] = 6
    numbers[rows, lengths - 1] = 7
    signs = draw.integers(0, 2, (count, 2))
    for sign, low, high in ((0, length // 10, length // 5), (1, length // 2, 3 * length // 5)):
        numbers[rows, draw.integers(max(low, 1), max(high, low, 1) + 1, count)] = 4 + signs[:, sign]
    targets = np.broadcast_to((2 * signs[:, 0] + signs[:, 1])[:, None], (count, steps))
    last = only_last(lengths, steps)
    return Drawn(one_hot(numbers, 8), lengths, targets, last, last, CLASSES_OF_ORDER)


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("adding", adding, NUMBER, (20, 50, 100), adding_by_chance, "steps", tolerance=0.04,
             budget=120_000, test=2560, enough=0.998),
        Task("copying", copying, CLASS, (5, 10, 20), lambda length: 1 / SYMBOLS, "blank steps",
             budget=100_000, enough=0.99),
        Task("order", temporal_order, CLASS, (10, 20, 50), lambda length: 0.25, "steps", tolerance=0.3,
             budget=60_000),
        Task("reber", grammars.embedded_reber, SET, (5, 15, 30), lambda length: 0.5, "symbols between",
             budget=60_000, batch=16, rate=0.005, hidden=32, test=256),
        Task("anbn", grammars.anbn, SET, (10, 30), grammars.counting_by_chance, "largest n",
             budget=20_000, batch=16, exam=grammars.each_anbn, each=grammars.each_anbn),
        Task("number", grammars.number, CLASS, (5, 10, 20, 40), lambda length: 0.5, "words to the verb",
             budget=60_000, batch=64, rate=0.003, hidden=24, exam=grammars.number_exam, test=1000,
             enough=0.99),
    )
}  # fmt: skip


def known(names: Sequence[str]) -> list[Task]:
    """The tasks of these names, all if there are none; DataError for a name that there is not."""
    strange = [name for name in names if name not in TASKS]
    if strange:
        raise DataError(f"there is no task {strange[0]!r}; expected some of {', '.join(TASKS)}")
    return [TASKS[name] for name in dict.fromkeys(names)] or list(TASKS.values())
