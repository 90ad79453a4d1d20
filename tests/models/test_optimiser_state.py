"""What an optimiser keeps of a table's rows: only of those that were touched, and what they missed once."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gatelight.models.optim import Optimiser
from gatelight.nn.kernels import buffers

STATM = Path("/proc/self/statm")


@pytest.mark.parametrize("kind", ["sgd", "rmsprop", "adam"])
def test_rows_that_stood_still_since_different_steps_move_as_each_would_alone(kind: str) -> None:
    """What was missed since a step is known for rows that follow; another step may take its place."""
    numbers = np.random.default_rng(0)
    last = torch.tensor([3, 515, 3, 1027, 1499, 3, 1500, 515, 0])  # 512 and 1024 apart: one place for both
    start, rates = torch.from_numpy(numbers.standard_normal((9, 5))), 0.01 * numbers.random(1500)

    def caught_up(rows: list[list[int]]) -> list[torch.Tensor]:
        table = nn.Parameter(start.clone())
        optimiser = Optimiser(kind, {}, table)
        for name, tensor in optimiser.state().items():
            tensor.copy_(last if name == "last/rows" else start.abs() + 1)
        optimiser.go_on_from(rates)
        for some in rows:
            optimiser.catch_up(np.array(some))
        return [table.detach(), *optimiser.state().values()]

    together = caught_up([list(range(9))])
    for one, other in zip(together, caught_up([[row] for row in range(9)]), strict=True):
        assert torch.equal(one, other)
    assert together[-1].tolist() == [1500] * 8 + [0]  # without any step it has no moments
    assert torch.equal(together[0][[6, 8]], start[[6, 8]])
    assert torch.equal(together[0], start) == (kind == "rmsprop")


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
