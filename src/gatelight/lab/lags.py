"""Tasks of which something must be kept for long: adding, copying, order, one word. Knows no cell.

Each function draws `count` fresh sequences for one length, from a generator of random numbers.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from gatelight.lab.drawing import Drawn, Index, drawn, one_hot, only_last

LONGER = 1.1  # Hochreiter & Schmidhuber draw lengths from T to T + T/10
SYMBOLS, COPIED = 8, 5
WORDS = 8
CLASSES_OF_ORDER = 4


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
    return drawn(inputs, targets, last, last, lengths)


def adding_by_chance(length: int) -> float:
    """The share that one constant, 0.5, hits to 0.04: the target is distributed as a triangle from 0 to 1."""
    return 1 - (1 - 2 * 0.04) ** 2


def copying(draw: Generator, length: int, count: int) -> Drawn:
    """Five symbols are to be written out again, `length` blank steps after the last.

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
    return drawn(one_hot(numbers, SYMBOLS + 2), targets, learnt, learnt, classes=SYMBOLS)


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
    return drawn(one_hot(numbers, 8), targets, last, last, lengths, CLASSES_OF_ORDER)


def noise_free_lag(draw: Generator, length: int, count: int) -> Drawn:
    """One of two sequences, alike but for their first symbol, which is also their last, is to be foretold.

    Hochreiter & Schmidhuber 1997, experiment 2a: x or y, then a1 … a(p−1), then the first symbol again; every
    next symbol is foretold, right when no output is off by 0.25; solved when 10,000 sequences in a row are
    right, which for two sequences is: both. Published: real-time recurrent learning solves p = 4 in 78 % of
    the trials and p = 10 in none, back-propagation through time p = 100 in none; LSTM p = 100 in all, after
    5,040 sequences.
    """
    first = draw.integers(0, 2, count)
    numbers = np.broadcast_to(np.arange(1, length + 1), (count, length)).copy()
    numbers[:, 0] = np.where(first == 1, length, 0)
    targets = np.concatenate([numbers[:, 1:], numbers[:, :1]], axis=1)
    learnt = np.ones(numbers.shape, np.bool_)
    last = only_last(np.full(count, length), length)
    return drawn(one_hot(numbers, length + 1), targets, learnt, last, classes=length + 1)


def word_back(draw: Generator, length: int, count: int) -> Drawn:
    """Which word came k steps before the question, k from 1 to `length`?

    The latch of Bengio, Simard & Frasconi 1994 ("Learning long-term dependencies with gradient descent is
    difficult"), with words: one of 8, then k − 1 others at random, then a question mark, and there the first
    is to be named. Learnt from all distances, as sentences have clauses of any length; judged at k = `length`
    alone; solved when 2,000 sequences in a row are right. Published: gradient descent on a plain RNN that is
    to keep one bit fails the more often the farther it is, mostly from 20 steps or so on.
    """
    return _word_back(draw, draw.integers(1, length + 1, count))


def word_back_exam(draw: Generator, length: int, count: int) -> Drawn:
    """The same, k = `length` alone."""
    return _word_back(draw, np.full(count, length))


def _word_back(draw: Generator, distances: Index) -> Drawn:
    count, steps = len(distances), int(distances.max()) + 1
    numbers = draw.integers(0, WORDS, (count, steps))
    numbers[np.arange(count), distances] = WORDS
    targets = np.broadcast_to(numbers[:, :1], numbers.shape)
    last = only_last(distances + 1, steps)
    return drawn(one_hot(numbers, WORDS + 1), targets, last, last, distances + 1, WORDS)
