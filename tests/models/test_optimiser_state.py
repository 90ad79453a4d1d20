"""What an optimiser keeps of a table's rows: only of those that were touched, and what they missed once."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gatelight.models.optimiser_kernels import KNOWN, coast_rows, fade_rows
from gatelight.models.optimisers import Optimiser
from gatelight.nn.kernels import buffers

STATM = Path("/proc/self/statm")


@pytest.mark.parametrize("keep_square", [0.999, 0.0])
def test_rows_that_stood_still_since_different_steps_move_as_each_would_alone(keep_square: float) -> None:
    """What was missed since a step is known for rows that follow; another step may take its place."""
    numbers = np.random.default_rng(0)
    last = np.array([3, 3 + KNOWN, 3, 3 + 2 * KNOWN, 1499, 3, 1500, 3 + KNOWN])
    mean, table = numbers.standard_normal((2, len(last), 9))
    state = table, mean, mean**2
    rates = 0.01 * numbers.random(1500)
    alone = [np.copy(a) for a in state]
    for row in range(len(last)):
        coast_rows(*alone, last.copy(), np.array([row]), rates, 1500, 0.9, keep_square, 1e-8)
    coast_rows(*state, last, np.arange(len(last)), rates, 1500, 0.9, keep_square, 1e-8)
    for one, other in zip(state, alone, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (last == 1500).all()


def test_a_row_without_any_step_is_left_alone() -> None:
    """It has no moments. Were it brought up to date, its memory would be taken."""
    state = np.ones((3, 3, 4))
    last = np.array([0, 2])
    coast_rows(*state, last, np.arange(2), np.full(5, 0.1), 5, 0.9, 0.999, 1e-8)
    assert (state[:, 0] == 1).all()
    assert (state[:, 1] < 1).all()
    assert last.tolist() == [0, 5]
    fade_rows(state[2], np.array([0, 2]), np.arange(2), 5, 0.5)
    assert (state[2, 0] == 1).all()
    assert (state[2, 1] < 0.2).all()


@pytest.mark.skipif(not STATM.exists(), reason="the memory taken is told by Linux's /proc")
@pytest.mark.parametrize("kind", ["sgd", "rmsprop", "adam", "lazyadam"])
def test_state_takes_memory_only_for_rows_that_are_touched(kind: str) -> None:
    """A vocabulary of two million words has more than a gigabyte of moments, of which few are ever needed."""
    table = nn.Parameter(torch.from_numpy(buffers.sparse((2_000_000, 100), np.float32)))
    rows = np.arange(50)
    before = _resident()
    optimiser = Optimiser(kind, {}, table)
    for _ in range(3):
        leaf = torch.zeros(len(rows), 100, requires_grad=True)
        leaf.grad = torch.ones(len(rows), 100)
        optimiser.catch_up(rows)
        optimiser.step(0.1, (rows, leaf))
    optimiser.catch_up()
    assert (table[:50] < 0).all()
    assert _resident() - before < 100 << 20  # 16 MB of them the steps that each row has made


def _resident() -> int:
    gc.collect()  # else what another test left could go meanwhile, and make room unseen
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
