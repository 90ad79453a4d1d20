"""Reber's grammar, embedded in itself and as an endless stream. Knows no cell.

A grammar is a table of states and symbols: `NEXT[state, symbol]` is the state after, or −1.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from gatelight.lab.drawing import Drawn, Index, drawn, one_hot

SYMBOLS = "BTSXPVE"
STRINGS_OF_A_STREAM, STRINGS_OF_AN_EXAM = 8, 1000
_INNER = ("B1", "T2 P3", "S2 X4", "T3 V5", "X3 S6", "P4 V6", "E7")  # Reber 1967
_END, _LONGEST = 7, 40  # steps beyond the least length: longer strings are rarer than one in a million


def _table() -> Index:
    """The embedded grammar: B, then T or P, Reber's grammar, the same T or P, E; state 0 begins, 2 ends."""
    table = np.full((3 + 2 * (_END + 2), len(SYMBOLS)), -1)
    table[0, SYMBOLS.index("B")] = 1
    for copy, outer in enumerate("TP"):
        first = 3 + copy * (_END + 2)
        table[1, SYMBOLS.index(outer)] = first
        for state, ways in enumerate(_INNER):
            for way in ways.split():
                table[first + state, SYMBOLS.index(way[0])] = first + int(way[1])
        table[first + _END, SYMBOLS.index(outer)] = first + _END + 1
        table[first + _END + 1, SYMBOLS.index("E")] = 2
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
    share = _ENDS[lengths, 0]
    left = draw.choice(lengths, count, p=share / share.sum())
    symbols = np.full((count, left.max()), -1)
    states = np.full(symbols.shape, 2)
    state = np.zeros(count, np.int64)
    for step in range(symbols.shape[1]):
        alive = left > step
        weights = np.where(NEXT[state] >= 0, _ENDS[np.maximum(left - step - 1, 0)[:, None], NEXT[state]], 0)
        below = np.cumsum(weights, axis=1)
        choice = (below < (draw.random(count) * below[:, -1])[:, None]).sum(1).clip(max=len(SYMBOLS) - 1)
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
    return drawn(one_hot(inputs, len(SYMBOLS)), ALLOWED[after], learnt, asked, lengths)


def continual_reber(draw: Generator, length: int, count: int, size: int = STRINGS_OF_A_STREAM) -> Drawn:
    """The same strings as a stream without marked ends.

    Gers, Schmidhuber & Cummins 2000, "Learning to forget": solved when ten streams are foretold without a
    mistake; there of 100,000 symbols, here of 1,000 strings, some 12,000; trained on streams of 8 strings.
    Published: LSTM without forget gates solves it in no trial, with them in 18 %, with a learning rate that
    falls in 62 %, after 14,000 to 19,000 streams.
    """
    symbols, states = strings(draw, length, count * size)
    lengths = (symbols >= 0).sum(1)
    real = symbols >= 0
    after = NEXT[states[real], symbols[real]]
    after[after == 2] = 0
    of_stream = lengths.reshape(count, size).sum(1)
    asked = (np.arange(symbols.shape[1]) == lengths[:, None] - 3)[real]
    every = np.ones(len(after), np.bool_)
    return Drawn(one_hot(symbols[real], len(SYMBOLS)), of_stream, ALLOWED[after], len(SYMBOLS), every, asked)


def continual_exam(draw: Generator, length: int, count: int) -> Drawn:
    """`count` long streams."""
    return continual_reber(draw, length, count, STRINGS_OF_AN_EXAM)
