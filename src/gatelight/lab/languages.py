"""Formal languages: strings that must be counted, brackets that must be matched, long multiplication.

Knows no cell. Each function draws `count` fresh sequences for one length.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.random import Generator

from gatelight.lab.drawing import Drawn, Index, drawn, one_hot

KINDS = 2  # of brackets
FARTHEST = 256  # the largest n that a trained counter is tried on; that of Weiss, Goldberg & Yahav 2018


def _counted(letters: int, sizes: Index) -> Drawn:
    """Strings S a…a b…b (c…c) of so many of each letter, with the sets that may follow: a, b, (c,) T."""
    steps = 1 + letters * int(sizes.max())
    place = np.arange(steps) - 1
    block = np.minimum(place // sizes[:, None], letters)  # 0 while a is read, 1 for b, …; −1 at S
    last = (place + 1) % sizes[:, None] == 0
    following = np.where(place < 0, 0, block + last)
    targets = one_hot(following.clip(max=letters), letters + 1)
    targets[block == 0, :2] = 1  # another a is always possible
    inputs = one_hot((block + 1).clip(max=letters), letters + 1)
    learnt = np.ones(block.shape, np.bool_)
    return drawn(inputs, targets, learnt, block > 0, 1 + letters * sizes)


def anbn(draw: Generator, length: int, count: int) -> Drawn:
    """What may come next in aⁿbⁿ, n from 1 to `length`: b's are to be counted against a's.

    Gers & Schmidhuber 2001, "LSTM recurrent networks learn simple context-free and context-sensitive
    languages": the symbols that may follow are to be named at every step of S aⁿ bⁿ; solved when all strings
    that are trained on are without a mistake, and then tried on longer ones. Published: LSTM with peepholes,
    trained to n = 10, solves it in all trials after 22,000 strings and goes on to n = 118 on average, 1,000
    at best. Weiss, Goldberg & Yahav 2018: trained to n = 100, LSTM goes on to 256, GRU errs from 39 on, since
    it cannot count without bound.
    """
    return _counted(2, draw.integers(1, length + 1, count))


def anbncn(draw: Generator, length: int, count: int) -> Drawn:
    """What may come next in aⁿbⁿcⁿ, n from 1 to `length`: two counts at a time.

    Sources and bound as for aⁿbⁿ. Published: LSTM with peepholes, trained to n = 10, solves it in all trials
    after 54,000 strings and goes on to n = 28 on average, 52 at best. Weiss, Goldberg & Yahav 2018: trained
    to n = 50, LSTM goes on to 100, GRU errs from 9 on.
    """
    return _counted(3, draw.integers(1, length + 1, count))


def each_anbn(draw: Generator, length: int, count: int) -> Drawn:
    """Every string of aⁿbⁿ with n from 1 to `length`, in this order."""
    return _counted(2, np.arange(1, length + 1))


def each_anbncn(draw: Generator, length: int, count: int) -> Drawn:
    """Every string of aⁿbⁿcⁿ with n from 1 to `length`, in this order."""
    return _counted(3, np.arange(1, length + 1))


def counting_by_chance(length: int) -> float:
    """What is right of always "another b" after a b, or always "no other", whichever is better."""
    return max(length - 1, 2) / (length + 1)


def nested_brackets(draw: Generator, length: int, count: int) -> Drawn:
    """Which bracket is to be closed next, of two kinds nested `length` deep?

    After Skachkova, Trost & Klakow 2018, "Closing brackets with recurrent neural networks": `length` brackets
    open, at 2 · length steps one opens or closes at random, then all are closed; at every step the kind of
    the innermost open one is to be named, or that none is. Solved here when 95 of 100 sequences are without a
    mistake; the sources give accuracies. Published: LSTM and GRU close nearly all brackets, plain RNN fewer
    the farther apart; Suzgun et al. 2019 ("LSTM networks can perform dynamic counting"): none of LSTM, GRU
    and RNN learns two kinds of brackets well.
    """
    rows, steps = np.arange(count), 4 * length
    opened = np.zeros((count, length + 1), np.int64)  # kind of the bracket at each depth, from 1
    depth = np.zeros(count, np.int64)
    numbers, targets = np.full((count, steps), -1), np.zeros((count, steps), np.int64)
    for step in range(steps):
        up = draw.random(count) < 0.5
        if step < length:
            up[:] = True
        elif step < 3 * length:
            up = (up | (depth == 1)) & (depth < length)
        else:
            up[:] = False
        kinds = draw.integers(1, KINDS + 1, count)
        alive = (depth > 0) | up
        closed = opened[rows, depth]
        depth = np.where(alive, depth + np.where(up, 1, -1), 0)
        opened[rows[up], depth[up]] = kinds[up]
        numbers[:, step] = np.where(alive, np.where(up, kinds, KINDS + closed) - 1, -1)
        targets[:, step] = np.where(depth > 0, opened[rows, depth], 0)
    lengths = (numbers >= 0).sum(1)
    asked = (numbers >= KINDS) & (targets > 0)
    learnt = np.ones(numbers.shape, np.bool_)
    return drawn(one_hot(numbers, 2 * KINDS), targets, learnt, asked, lengths, KINDS + 1)


def long_multiplication(draw: Generator, length: int, count: int) -> Drawn:
    """Two binary numbers of `length` digits, read digit by digit from the lowest, are multiplied.

    After Kaiser & Sutskever 2016 (arXiv:1511.08228): a step brings one digit of each number, then the
    product's 2 · length digits are to be written, the lowest first. Solved here when 99 of 100 products are
    right. Published: the neural GPU learns 20 digits and goes on to 2,000; LSTM, with attention too, does not
    go on beyond its training.
    """
    factors = draw.integers(0, 2**length, (count, 2))
    steps = np.arange(3 * length)
    inputs = np.zeros((count, 3 * length, 3), np.float32)
    inputs[:, :length, :2] = (factors[:, None, :] >> np.arange(length)[:, None]) & 1
    inputs[:, length:, 2] = 1
    product = factors.prod(1)
    targets = ((product[:, None] >> (steps - length).clip(min=0)) & 1).astype(np.float32)
    learnt = np.broadcast_to(steps >= length, targets.shape)
    return drawn(inputs, targets[..., None], learnt, learnt)


@cache
def multiplying_by_chance(length: int) -> float:
    """The share of zeros among the digits of all products."""
    numbers = np.arange(2**length)
    ones = int(np.bitwise_count(np.multiply.outer(numbers, numbers)).sum())
    return 1 - ones / (2.0 * length * 4.0**length)
