"""What a training run tells: a record per epoch, progress between them, and how it ended.

Knows numbers only: nothing of models or the loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gatelight.errors import GatelightError

FINISHED = "all epochs done"


@dataclass
class History:
    """Epoch records in order, the best epoch (from 1) whose weights are kept, and why training stopped.

    A record holds epoch (from 1), seconds, learning_rate (at its last step), train_loss and
    train_accuracy (over its batches as they were seen, dropout on; None where it is not counted), valid_loss
    and valid_accuracy (None without validation data). Only `seconds`, without compiling, may differ between
    two runs of a seed.
    """

    epochs: list[dict[str, Any]] = field(default_factory=list)
    best_epoch: int | None = None
    stopped: str | None = None  # None while it runs

    def to_dict(self) -> dict[str, Any]:
        """The history as JSON-able values."""
        return {"epochs": self.epochs, "best_epoch": self.best_epoch, "stopped": self.stopped}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> History:
        """The history that `to_dict` gave."""
        return cls([dict(record) for record in values["epochs"]], values["best_epoch"], values["stopped"])

    def better(self, record: Mapping[str, Any], best_by: str) -> bool:
        """Whether an epoch record is better than the best so far; without validation the last is the best."""
        if self.best_epoch is None or record["valid_loss"] is None or best_by == "last":
            return True
        best = self.epochs[self.best_epoch - 1]
        if best_by == "valid_loss" or record["valid_accuracy"] == best["valid_accuracy"]:
            return bool(record["valid_loss"] < best["valid_loss"])
        return bool(record["valid_accuracy"] > best["valid_accuracy"])


@dataclass
class Sums:
    """An epoch's sums so far; a checkpoint keeps them exactly, since JSON keeps every bit of a float."""

    losses: float = 0.0
    weight: float = 0.0
    correct: int | None = 0
    count: int = 0
    seconds: float = 0.0

    def add(self, loss: float, count: int, weight: float, correct: int | None) -> None:
        """Add a batch of `count` sequences whose mean loss over `weight` is `loss`; None: not counted."""
        self.losses += loss * weight
        self.weight += weight
        self.correct = None if correct is None or self.correct is None else self.correct + correct
        self.count += count

    @property
    def loss(self) -> float:
        """Mean over the weights so far."""
        return self.losses / self.weight if self.weight else 0.0

    @property
    def accuracy(self) -> float | None:
        """Fraction of the sequences so far that were predicted right; None where that is not counted."""
        return None if self.correct is None else self.correct / self.count if self.count else 0.0


@dataclass(frozen=True)
class Progress:
    """Where a run stands: `step` of `steps` are done in all; loss and accuracy are this epoch's so far.

    `seconds_left` counts the steps that are left at the speed so far, without validation.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float | None
    steps_per_second: float
    seconds_left: float


class Throughput:
    """Steps per second, without compiling, the first step and what lies between the epochs."""

    def __init__(self) -> None:
        self._steps, self._seconds = -1, 0.0

    def add(self, seconds: float) -> None:
        """Count a step that took so long."""
        self._steps += 1
        self._seconds = seconds if self._steps <= 1 else self._seconds + seconds

    @property
    def known(self) -> bool:
        """Whether a step beside the first, which loads and settles much, has been measured."""
        return self._steps > 0

    @property
    def steps_per_second(self) -> float:
        """Mean over the steps of this process; after the first step only, that step's own."""
        return max(self._steps, 1) / max(self._seconds, 1e-9)


class Interrupted(GatelightError):
    """Training was stopped by Ctrl-C; `path` is the checkpoint that it goes on from (None: there is none)."""

    def __init__(self, path: Path | None, step: int, steps: int) -> None:
        self.path, self.step, self.steps = path, step, steps
        where = f"training was interrupted after step {step} of {steps}"
        super().__init__(
            f"{where}; everything so far is in {path}: go on from there with resume "
            "(on the command line --resume)"
            if path is not None
            else f"{where}; it had no checkpoint, so it can only begin anew"
        )


class Diverged(GatelightError, ArithmeticError):
    """The loss, the gradient or the weights stopped being finite; checkpoints stay as they were."""

    def __init__(self, what: str, step: int, steps: int, clip: float | None) -> None:
        self.step = step
        advice = "a lower learning rate" + (" or clip=1" if clip is None else " or a smaller clip")
        super().__init__(
            f"training broke down at step {step} of {steps}: {what}; begin anew with {advice} "
            "(a checkpoint that was written before is as it was)"
        )
