"""Schedules give the numbers that torch's schedulers give."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, LRScheduler, OneCycleLR

from gatelight.models.schedules import SCHEDULES

PEAK = 3e-3


def torch_rates(schedule: str, total: int) -> list[float]:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler: LRScheduler = {
        "one-cycle": lambda: OneCycleLR(optimiser, max_lr=PEAK, total_steps=total, cycle_momentum=False),
        "cosine": lambda: CosineAnnealingLR(optimiser, T_max=total),
        "linear": lambda: LinearLR(optimiser, 1.0, 0.0, total_iters=total),
    }[schedule]()
    rates = []
    for _ in range(total):
        rates.append(scheduler.get_last_lr()[0])
        optimiser.step()
        if len(rates) < total:
            scheduler.step()
    return rates


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "linear"])
@pytest.mark.parametrize("total", [7, 10, 1000])
def test_every_step_equals_torch(schedule: str, total: int) -> None:
    """A peak at another step or another height would make published settings mean something else here."""
    ours = [PEAK * SCHEDULES[schedule](step, total) for step in range(total)]
    assert ours == pytest.approx(torch_rates(schedule, total), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("schedule", sorted(SCHEDULES))
@pytest.mark.parametrize("total", [1, 2, 3, 4])
def test_very_short_runs_have_usable_rates(schedule: str, total: int) -> None:
    """A division by zero or a run whose every rate is nothing would surprise whoever tries three texts."""
    rates = [SCHEDULES[schedule](step, total) for step in range(total)]
    assert all(0.0 <= rate <= 1.0 for rate in rates)
    assert max(rates) > 0.3
