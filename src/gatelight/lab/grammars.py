"""Sequences that grammars make: strings to be counted, Reber's grammar, sentences before their verb."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from gatelight.errors import DataError
from gatelight.lab.sequences import Drawn, Index, one_hot, only_last

FARTHEST = 256  # the largest n that a trained counter is tried on; that of Weiss, Goldberg & Yahav 2018
REBER = "BTSXPVE"
_INNER = ("B1", "T2 P3", "S2 X4", "T3 V5", "X3 S6", "P4 V6", "E7")  # Reber 1967
_END, _LONGEST = 7, 40  # steps beyond the least length: longer strings are rarer than one in a million

PREPOSITIONS = ("near", "behind", "beside", "without")
NOUNS = (
    "dog", "girl", "farmer", "teacher", "horse", "king", "window", "table", "river", "bird", "pilot",
    "sister", "doctor", "letter", "ladder", "driver", "bus", "class", "dress", "box", "church", "brush",
    "lens", "focus",
)  # fmt: skip
VERBS = (
    ("see", "seen"), ("like", "liked"), ("help", "helped"), ("follow", "followed"), ("know", "known"),
    ("hear", "heard"), ("watch", "watched"), ("praise", "praised"),
)  # fmt: skip
ADJECTIVES = ("old", "small", "quick", "happy", "green", "tall")
SHORTEST, LONGEST = 3, 5  # words of a piece of a clause


def anbn(draw: Generator, length: int, count: int) -> Drawn:
    """What may come next in aⁿbⁿ, n from 1 to the largest: b's are to be counted against a's.

    Gers & Schmidhuber 2001, "LSTM recurrent networks learn simple context-free and context-sensitive
    languages": the symbols that may follow are to be named at every step of S aⁿ bⁿ; solved when all strings
    that are trained on are without a mistake, and then tried on longer ones. Published: LSTM with peepholes,
    trained to n = 10, solves it in all trials after 22,000 strings and goes on to n = 118 on average, 1,000
    at best. Weiss, Goldberg & Yahav 2018: trained to n = 100, LSTM goes on to 256, GRU errs from 39 on, since
    it cannot count without bound.
    """
    return _counted(draw.integers(1, length + 1, count))


def each_anbn(draw: Generator, length: int, count: int) -> Drawn:
    """Every string of aⁿbⁿ with n from 1 to `length`, in this order."""
    return _counted(np.arange(1, length + 1))


def counting_by_chance(length: int) -> float:
    """What is right of always "another b" after a b, or always "no other", whichever is better."""
    return max(length - 1, 2) / (length + 1)


def _counted(sizes: Index) -> Drawn:
    """Strings S a…a b…b with so many of each letter, and the sets that may follow, of a, b and T."""
    steps = 1 + 2 * int(sizes.max())
    place = np.arange(steps) - 1
    block = np.minimum(place // sizes[:, None], 2)  # −1 at S, 0 while a is read, 1 for b
    last = (place + 1) % sizes[:, None] == 0
    following = np.where(place < 0, 0, block + last)
    targets = one_hot(following.clip(max=2), 3)
    targets[block == 0, :2] = 1  # another a is always possible
    inputs = one_hot((block + 1).clip(max=2), 3)
    learnt = np.ones(block.shape, np.bool_)
    return Drawn(inputs, 1 + 2 * sizes, targets, learnt, block > 0)


def _table() -> Index:
    """The embedded grammar: B, then T or P, Reber's grammar, the same T or P, E; state 0 begins, 2 ends."""
    table = np.full((3 + 2 * (_END + 2), len(REBER)), -1)
    table[0, REBER.index("B")] = 1
    for copy, outer in enumerate("TP"):
        first = 3 + copy * (_END + 2)
        table[1, REBER.index(outer)] = first
        for state, ways in enumerate(_INNER):
            for way in ways.split():
                table[first + state, REBER.index(way[0])] = first + int(way[1])
        table[first + _END, REBER.index(outer)] = first + _END + 1
        table[first + _END + 1, REBER.index("E")] = 2
    return table


NEXT = _table()
ALLOWED = (NEXT >= 0).astype(np.float32)


def _ends_in() -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """[steps, state]: the probability that a walk that takes each way equally often ends in so many steps."""
    ways = ALLOWED / np.maximum(ALLOWED.sum(1, keepdims=True), 1)
    ends = np.zeros((256, len(NEXT)))
    ends[0, 2] = 1
    for steps in range(1, len(ends)):
        ends[steps] = (ways * np.where(NEXT >= 0, ends[steps - 1][NEXT], 0)).sum(1)
    return ends


_ENDS = _ends_in()


def strings(draw: Generator, shortest: int, count: int) -> tuple[Index, Index]:
    """Symbols int64 [count, T] (−1 beyond the end) and states before each, as the grammar makes strings.

    Only those whose part between the two outer letters has `shortest` symbols or more.
    """
    lengths = np.arange(shortest + 4, shortest + 4 + _LONGEST)  # with B, T or P, T or P and E
    fraction = _ENDS[lengths, 0]
    left = draw.choice(lengths, count, p=fraction / fraction.sum())
    symbols = np.full((count, left.max()), -1)
    states = np.full(symbols.shape, 2)
    state = np.zeros(count, np.int64)
    for step in range(symbols.shape[1]):
        alive = left > step
        weights = np.where(NEXT[state] >= 0, _ENDS[np.maximum(left - step - 1, 0)[:, None], NEXT[state]], 0)
        below = np.cumsum(weights, axis=1)
        choice = (below < (draw.random(count) * below[:, -1])[:, None]).sum(1).clip(max=len(REBER) - 1)
        states[alive, step], symbols[alive, step] = state[alive], choice[alive]
        state = np.where(alive, NEXT[state, choice], state)
    return symbols, states


def embedded_reber(draw: Generator, length: int, count: int) -> Drawn:
    """What may come next in strings of Reber's grammar, whose second symbol returns as the last but one.

    Hochreiter & Schmidhuber 1997, experiment 1 (after Smith & Zipser 1989): every possible next symbol is to
    be named at every step; solved when 256 strings that were not seen are without a mistake. `length` is the
    least number of symbols between the two outer letters: 5 leaves the grammar as it is. Published: Elman's
    net solves it in no trial of 200,000 strings, recurrent cascade correlation in half of them after 182,000,
    LSTM in 97 to 100 % after 8,440 to 39,740.
    """
    symbols, states = strings(draw, length, count)
    lengths = (symbols >= 0).sum(1) - 1
    inputs, after = symbols[:, :-1], states[:, 1:]
    learnt = np.ones(inputs.shape, np.bool_)
    asked = np.arange(inputs.shape[1]) == lengths[:, None] - 2
    return Drawn(one_hot(inputs, len(REBER)), lengths, ALLOWED[after], learnt, asked)


def number(draw: Generator, length: int, count: int) -> Drawn:
    """Is the verb to come singular or plural, so many words and any clauses behind its subject?

    After Linzen, Dupoux & Goldberg 2016 (arXiv:1611.01368), on sentences of a small grammar that stop before
    their verb: every noun's number is drawn apart, so that the words that come last tell nothing of the
    subject. Learnt from all distances up to `length`, tried at `length` alone; solved here when 99 of 100
    sentences are right. Published: LSTM of 50 units errs in less than 1 % of a corpus's sentences, the more
    often the more nouns come between.
    """
    if 1 < length <= SHORTEST:
        raise DataError(
            f"no verb stands {length} words behind its subject; expected 1, or {SHORTEST + 1} and more"
        )
    distances = [distance for distance in range(1, length + 1) if distance == 1 or distance > SHORTEST]
    return _sentences(draw, draw.choice(distances, count).tolist())


def number_exam(draw: Generator, length: int, count: int) -> Drawn:
    """The same with all verbs `length` words behind their subjects."""
    return _sentences(draw, [length] * count)


def sentence(draw: Generator, distance: int) -> tuple[list[str], bool]:
    """Words up to the verb, `distance` words behind the subject's noun, and whether the verb is plural.

    `distance` is 1, or 4 and more.
    """
    plural = bool(draw.integers(2))
    words = ["the", *_choice(draw, ADJECTIVES, int(draw.integers(2))), _noun(draw, plural)]
    left = distance - 1
    while left:
        sizes = [n for n in range(SHORTEST, LONGEST + 1) if left == n or left - n >= SHORTEST]
        piece = _piece(draw, sizes[draw.integers(len(sizes))])
        words += piece
        left -= len(piece)
    return words, plural


def _piece(draw: Generator, size: int) -> list[str]:
    other = bool(draw.integers(2))
    noun, kind = _noun(draw, other), draw.integers(3)
    verb, participle = VERBS[draw.integers(len(VERBS))]
    if size == SHORTEST or (size == SHORTEST + 1 and kind == 0):
        return [*_choice(draw, PREPOSITIONS), "the", *_choice(draw, ADJECTIVES, size - SHORTEST), noun]
    adjective = _choice(draw, ADJECTIVES, size - SHORTEST - 1)
    if kind == 1:
        return ["that", "the", *adjective, noun, verb if other else with_s(verb)]
    return ["having", participle, "the", *adjective, noun]


def _choice(draw: Generator, words: Sequence[str], count: int = 1) -> list[str]:
    return [words[int(draw.integers(len(words)))] for _ in range(count)]


def _noun(draw: Generator, plural: bool) -> str:
    (noun,) = _choice(draw, NOUNS)
    return with_s(noun) if plural else noun


def with_s(word: str) -> str:
    """The plural of a noun and the singular of a verb: one ending for both."""
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


WORDS = (
    "the", "that", "having", *PREPOSITIONS, *ADJECTIVES,
    *(form for noun in NOUNS for form in (noun, with_s(noun))),
    *(form for verb, participle in VERBS for form in (verb, with_s(verb), participle)),
)  # fmt: skip
_NUMBER_OF = {word: k for k, word in enumerate(WORDS)}


def _sentences(draw: Generator, distances: Sequence[int]) -> Drawn:
    """Sentences as one-hot words, with one question each, at the last word: 0 singular, 1 plural."""
    made = [sentence(draw, distance) for distance in distances]
    lengths = np.array([len(words) for words, _ in made])
    numbers = np.full((len(made), lengths.max()), -1)
    for row, (words, _) in zip(numbers, made, strict=True):
        row[: len(words)] = [_NUMBER_OF[word] for word in words]
    plural = np.broadcast_to(np.array([[it] for _, it in made], np.int64), numbers.shape)
    last = only_last(lengths, numbers.shape[1])
    far = last & (np.array(distances)[:, None] > 1)  # right behind the subject its own ending tells
    return Drawn(one_hot(numbers, len(WORDS)), lengths, plural, last, far, 2)
