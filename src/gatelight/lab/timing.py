"""Tasks of exact time: spikes measured, spikes made, waves made. Knows no cell.

All three of Gers, Schraudolph & Schmidhuber 2002, "Learning precise timing with LSTM recurrent networks", who
put an input's peepholes to the test with them. An answer is right when off by less than 0.49 (0.3 for waves);
solved when a stream of 1,000 spikes or periods is without a mistake, here of 100.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from gatelight.lab.drawing import Drawn, drawn

PERIODS, PERIODS_OF_AN_EXAM = 4, 100


def measuring_delays(draw: Generator, length: int, count: int, spikes: int = 2 * PERIODS) -> Drawn:
    """MSD: spikes come after F or F + 1 steps, and at each it is to be said after which; F is `length`.

    Published: LSTM solves it with and without peepholes, and takes the longer the larger F; with peepholes it
    needs more sequences but tells F + 1 = 50 from 49.
    """
    longer = draw.integers(0, 2, (count, spikes))
    at = np.cumsum(length + longer, axis=1) - 1
    steps = int(at.max()) + 1
    rows = np.arange(count)[:, None]
    inputs, targets = np.zeros((2, count, steps, 1), np.float32)
    inputs[rows, at, 0] = 1
    targets[rows, at, 0] = longer
    spike = inputs[..., 0] == 1
    return drawn(inputs, targets, spike, spike, at[:, -1] + 1)


def measuring_exam(draw: Generator, length: int, count: int) -> Drawn:
    """MSD on `count` long streams."""
    return measuring_delays(draw, length, count, PERIODS_OF_AN_EXAM)


def making_spikes(draw: Generator, length: int, count: int, periods: int = PERIODS) -> Drawn:
    """GTS: a spike is to be made every F steps, with nothing to go by; F is `length`.

    Published: only LSTM with peepholes solves it, for F from 10 to 50, the later the larger F.
    """
    steps = np.arange(1, periods * length + 1)
    spike = np.broadcast_to(steps % length == 0, (count, len(steps)))
    before = np.broadcast_to((steps + 1) % length == 0, spike.shape)
    every = np.ones(spike.shape, np.bool_)
    return drawn(np.ones((*spike.shape, 1), np.float32), _column(spike), every, spike | before)


def spikes_exam(draw: Generator, length: int, count: int) -> Drawn:
    """GTS for longer than was trained."""
    return making_spikes(draw, length, count, PERIODS_OF_AN_EXAM)


def waves(length: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Cosine, triangle and rectangle from 0 to 1, [F, 3]."""
    t = np.arange(1, length + 1) % length
    cosine = (1 - np.cos(2 * np.pi * t / length)) / 2
    triangle = 1 - np.abs(1 - 2 * t / length)
    return np.stack([cosine, triangle, t > length / 2], axis=1).astype(np.float64)


def making_waves(draw: Generator, length: int, count: int, periods: int = PERIODS) -> Drawn:
    """PFG: a cosine, a triangle and a rectangle of period F are to be made of nothing; F is `length`.

    The source makes one wave at a time, here one net makes all three. Published: for F = 10 and 25 LSTM with
    peepholes makes all, without them only the cosine of F = 10, and later.
    """
    targets = np.broadcast_to(np.tile(waves(length), (periods, 1)), (count, periods * length, 3))
    every = np.ones(targets.shape[:2], np.bool_)
    return drawn(np.ones((*every.shape, 1), np.float32), targets.astype(np.float32), every, every)


def waves_exam(draw: Generator, length: int, count: int) -> Drawn:
    """PFG for longer than was trained."""
    return making_waves(draw, length, count, PERIODS_OF_AN_EXAM)


def waves_by_chance(length: int) -> float:
    """The largest share of steps that three constants hit to 0.3 at once."""
    wanted = waves(length)
    near = [np.abs(wanted[:, wave, None] - np.linspace(0, 1, 101)) < 0.3 for wave in range(3)]
    return float(np.einsum("ti,tj,tk->ijk", *(n.astype(np.float64) for n in near)).max()) / length


def _column(
    spike: np.ndarray[tuple[int, int], np.dtype[np.bool_]],
) -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    return spike[..., None].astype(np.float32)
