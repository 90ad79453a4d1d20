"""What a training run asks of whatever is learned: batches, a loss for each, and an evaluation.

A run (see `run`) does the rest: optimiser, averages, schedules, checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class Outcome:
    """The mean loss of a batch, how many were counted, with what weight in all, and how many were right.

    `correct` is None where that is not counted.
    """

    loss: Tensor
    count: int
    weight: float
    correct: int | None


class Task:
    """A model with its training and validation data."""

    model: nn.Module
    steps_per_epoch: int
    validates: bool

    def settings(self) -> dict[str, Any]:
        """Return the model's shape, and what else a resumed run must share, JSON-able."""
        raise NotImplementedError

    def plan(self, epoch: int) -> list[NDArray[np.int64]]:
        """Return the batches of an epoch, each as numbers that `outcome` understands."""
        raise NotImplementedError

    def outcome(self, index: NDArray[np.int64], generator: torch.Generator) -> Outcome:
        """Run the model forward on this process's part of a batch; changes nothing that goes on."""
        raise NotImplementedError

    def after_step(self) -> None:
        """Take over what the last batch leaves to the next one: nothing, unless a subclass says so."""

    def state(self) -> dict[str, Tensor]:
        """Return that, by name: tensors of the task's own, which a checkpoint keeps and puts back."""
        return {}

    def validate(self) -> tuple[float, float]:
        """Return loss and accuracy of the model as it is on the validation data, where there are any."""
        raise NotImplementedError

    def arrays(self) -> list[NDArray[Any] | Tensor | None]:
        """Return all that says which data these are, in a fixed order."""
        raise NotImplementedError
