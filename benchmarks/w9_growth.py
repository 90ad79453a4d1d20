"""W9, growth: ours' time against T, B, H, V and the number of texts, and what the second core brings."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks import machine
from benchmarks.bidirectional_models import OurBidirectional
from benchmarks.note_epoch import on_end
from benchmarks.note_models import CHARACTERS, WORDS, NoteModel
from benchmarks.note_ours import OurNote
from benchmarks.reviews import Reviews, word_reviews
from benchmarks.turns import nothing_old
from benchmarks.w3_bidirectional import BATCH, frequent
from benchmarks.workload import Finding, Options, Outcome, Tell, Workload
from gatelight.nn.threads import available

LINEAR = 1.15  # time for each token at the largest ÷ at the smallest
FLAT = 1.25  # time of a batch at 25 × the vocabulary: rows of a larger table are less often in the cache
SECOND_CORE = 1.7
WORTH = (
    1.8  # times as fast as on one thread that two multiply matrices; else there is no second core to measure
)
FULL_TURNS, QUICK_TURNS = 7, 2
CORE_TURNS, SPAN = (15, 2), (45.0, 0.0)  # at least, and for so many seconds: full, quick
ENOUGH, PATIENCE = 7, 120.0  # rounds with a second core that are waited for, and for how many seconds more
DIM, HIDDEN = 300, 50
WORDS_KNOWN = 20_000  # a table of which is quickly made
VOCABULARIES = (10_000, 50_000, 250_000)
PLACES = (100, 200, 400, 800), (64, 128, 256, 512), (16, 32, 64, 128)
"""Of T, of the number of texts and of B; a quick run takes the first and the last of each."""

Train = Callable[[Reviews], None]
OnThreads = Callable[[int], None]


@dataclass(frozen=True)
class Place:
    """One measured place of an axis: its value, the work, and the real tokens of it.

    The time of `less`, where there is such, is taken off: what a run takes once is not what a batch takes.
    """

    value: int
    work: Callable[[], None]
    tokens: int
    less: Callable[[], None] | None = None


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """One scene for each axis, then the threads."""
    turns = options.turns or (QUICK_TURNS if options.quick else FULL_TURNS)
    every = frequent(word_reviews(4096, 800), WORDS_KNOWN)
    for axis, places in axes(every, options.quick):
        tell(f"time against {axis}: {', '.join(str(place.value) for place in places)}")
        yield _growth(axis, places, turns)
    if available() > 1:
        yield from second_core(options.quick, tell)
    else:
        tell("one core only: what a second brings is not measured")


def axes(every: Reviews, quick: bool) -> Iterator[tuple[str, list[Place]]]:
    """The axes and their places, each with work that is the same but for the one number."""

    def pieces(count: int, steps: int) -> Reviews:
        return on_end(every, count, steps)

    batches = 2 if quick else 4
    lengths, counts, sizes = ((a, d) if quick else (a, b, c, d) for a, b, c, d in PLACES)
    yield "T", [_place(steps, _words(every, steps), pieces(32 * batches, steps)) for steps in lengths]
    words = _words(every, 400)
    yield (
        "number of texts",
        [_place(count, words, every.cut(400).select(np.arange(count))) for count in counts],
    )
    yield "B", [_place(size, _words(every, 400, batch=size), pieces(128, 400)) for size in sizes]
    if not quick:
        yield (
            "H",
            [_place(size, _words(every, 400, hidden=size), pieces(64, 400)) for size in (25, 50, 100, 200)],
        )
    # Tables and moments of V rows are made once a run, so that only the batches in between are counted.
    some = frequent(every.cut(400).select(np.arange(BATCH * (batches + 2))), VOCABULARIES[0])
    known = VOCABULARIES[:2] if quick else VOCABULARIES
    yield "V", [_of_batches(size, some, batches) for size in known]


def _of_batches(size: int, reviews: Reviews, batches: int) -> Place:
    ours = OurBidirectional(size, HIDDEN)
    all_of_them = _stretched(reviews, size)
    few = all_of_them.select(np.arange(len(reviews) - BATCH * batches))
    tokens = len(all_of_them.ids) - len(few.ids)
    return Place(size, partial(ours.epoch, all_of_them), tokens, partial(ours.epoch, few))


def _words(every: Reviews, steps: int, hidden: int = HIDDEN, batch: int = 32) -> Train:
    note = NoteModel("words", steps, DIM, hidden, 0.2, word_reviews)
    ours = OurNote(note, note.weights(every.vocabulary_size))
    ours.config = replace(ours.config, batch_size=batch)
    return ours.epoch


def _place(value: int, train: Train, reviews: Reviews) -> Place:
    return Place(value, partial(train, reviews), len(reviews.ids))


def _stretched(reviews: Reviews, size: int) -> Reviews:
    """The same reviews with their words' ids spread over a larger vocabulary."""
    return replace(
        reviews, ids=(reviews.ids.astype(np.int64) * size // reviews.vocabulary_size).astype(np.int32),
        vocabulary_size=size,
    )  # fmt: skip


def medians(works: Sequence[Callable[[], None]], turns: int) -> list[list[float]]:
    """Seconds of each work in each turn, in turns, after one that does not count."""
    for work in works:
        work()
    seconds: list[list[float]] = [[] for _ in works]
    with nothing_old():
        for _ in range(turns):
            for work, taken in zip(works, seconds, strict=True):
                gc.collect()
                began = time.perf_counter()
                work()
                taken.append(time.perf_counter() - began)
    return seconds


def _growth(axis: str, places: Sequence[Place], turns: int) -> Finding:
    works = [work for place in places for work in (place.work, place.less) if work is not None]
    taken = iter([statistics.median(times) for times in medians(works, turns)])
    middle = [next(taken) - (0.0 if place.less is None else next(taken)) for place in places]
    each = [taken / place.tokens for taken, place in zip(middle, places, strict=True)]
    return Finding(
        name=f"time against {axis}",
        measured="training",
        outcomes=outcomes(axis, middle, each),
        table=[
            [axis, "real tokens", "seconds", "µs a token"],
            *(
                [f"{place.value:,}", f"{place.tokens:,}", f"{taken:.4f}", f"{1e6 * one:.2f}"]
                for place, taken, one in zip(places, middle, each, strict=True)
            ),
        ],
        turns=turns,
    )


def outcomes(axis: str, seconds: Sequence[float], each: Sequence[float]) -> list[Outcome]:
    """Linear in real tokens; no step that grows with V; H, whose products grow by its square, is shown."""
    if axis == "H":
        return []
    if axis == "V":
        return [Outcome("time of the same batches, the largest V ÷ the smallest", seconds[-1] / seconds[0],
                        FLAT, at_most=True)]  # fmt: skip
    return [
        Outcome(
            f"time for each token, the largest {axis} ÷ the smallest",
            each[-1] / each[0],
            LINEAR,
            at_most=True,
        )
    ]


def second_core(quick: bool, tell: Tell) -> Iterator[Finding]:
    """The epochs of W1 to W3 on one thread and on two, in turns, and beside them what the machine gives."""
    batches = 3 if quick else 12
    turns = CORE_TURNS[quick]
    table = [
        ["training", "1 thread, s", "2 threads, s", "×", "matrix products ×", "rounds without a second core"]
    ]
    found = []
    for name, (train, less) in models(batches, quick).items():
        tell(f"second core: {name}")
        for threads in (1, 2):
            train(threads)
        until, rounds = time.perf_counter() + SPAN[quick], []
        while len(rounds) < turns or time.perf_counter() < until:
            rounds.append(_round(train, less))
        until = time.perf_counter() + (0.0 if quick else PATIENCE)
        while sum(one[2] >= WORTH for one in rounds) < ENOUGH and time.perf_counter() < until:
            rounds.append(_round(train, less))
        there = [one for one in rounds if one[2] >= WORTH] or rounds
        one, two, worth = (statistics.median(column) for column in zip(*there, strict=True))
        ratio = statistics.median(one / two for one, two, _ in there)
        found.append(Outcome(f"second core, {name}", ratio, SECOND_CORE))
        table.append(
            [name, f"{one:.3f}", f"{two:.3f}", f"{ratio:.2f}", f"{worth:.2f}",
             f"{sum(gives < WORTH for *_, gives in rounds)} of {len(rounds)}"]
        )  # fmt: skip
    facts = {"left out": "W3's models, H, the largest V, and the places between"} if quick else {}
    yield Finding("1 and 2 threads", "training", found, table=table, turns=turns, facts=facts)


def _round(train: OnThreads, less: OnThreads) -> tuple[float, float, float]:
    """Seconds on one thread and on two, and the least that a second core was worth before and after each.

    Those of `less` are taken off: of an epoch of so few batches, what a run does once is a part.
    """
    seconds, worth = [], [machine.second_core()]
    for threads in (1, 2):
        gc.collect()
        began = time.perf_counter()
        less(threads)
        between = time.perf_counter()
        train(threads)
        seconds.append(time.perf_counter() - between - (between - began))
        worth.append(machine.second_core())
    return seconds[0], seconds[1], min(worth)


def models(batches: int, quick: bool) -> Mapping[str, tuple[OnThreads, OnThreads]]:
    """Training of W1's, W2's and W3's models by the number of threads: so many batches, and one."""

    def on_threads(ours: OurNote | OurBidirectional, reviews: Reviews, threads: int) -> None:
        ours.config = replace(ours.config, threads=threads)
        ours.epoch(reviews)

    def both(ours: OurNote | OurBidirectional, every: Reviews, size: int) -> tuple[OnThreads, OnThreads]:
        many, one = (every.select(every.spread(size * count)) for count in (batches, 1))
        return partial(on_threads, ours, many), partial(on_threads, ours, one)

    found = {}
    for name, note in (("W1", WORDS), ("W2", CHARACTERS)):
        every = note.reviews()
        ours = OurNote(note, note.weights(every.vocabulary_size))
        found[name] = both(ours, every, 32)
    if quick:
        return found
    every = frequent(word_reviews(4096, 400))
    for hidden in (128, 256):
        model = OurBidirectional(every.vocabulary_size, hidden)
        found[f"W3, H={hidden}"] = both(model, every, BATCH)
    return found


WORKLOAD = Workload(
    name="W9", title="growth: ours against T, B, H, V, number of texts, on one thread and two", run=run
)
