"""How to train: every setting of the loop, checked when it is made and never changed after.

Knows names and numbers only: nothing of models or data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gatelight.errors import DataError
from gatelight.models.config import Config, check_choice, check_flag, check_number, check_whole
from gatelight.models.schedules import SCHEDULES

ClassWeight = Literal["balanced"] | Mapping[int, float] | Sequence[float] | None
OPTIMISERS = ("sgd", "rmsprop", "adam", "adamw", "lazyadam")
BEST_BY = ("valid_accuracy", "valid_loss", "last")
FREE = ("threads",)  # does not change the result, so it may differ when a run goes on


@dataclass(frozen=True)
class TrainingConfig(Config):
    """Settings of `train`; raises DataError when a value cannot be.

    `best_by` says which epoch's weights are kept and what early stopping watches: accuracy (equal
    accuracies by the lower loss), because a recurrent classifier's validation loss turns upwards from
    overconfidence while its accuracy still gets better; the loss, where probabilities matter more; or
    "last", simply the last epoch, for schedules that end at a small learning rate, and for validation parts
    so small that a best epoch would be chance.
    """

    epochs: int = 5
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float = 1e-3  # the peak, where the schedule has one
    momentum: float = 0.9  # of "sgd"
    schedule: str = "constant"
    clip: float | None = None  # largest global gradient norm
    weight_decay: float = 0.0
    patience: int | None = None  # stop after this many epochs without a better one; needs validation data
    best_by: str = "valid_accuracy"
    average: float | None = (
        None  # decay of the weights' moving average, which is then what is evaluated and kept
    )
    class_weight: ClassWeight = None  # "balanced", or weights by class number
    label_smoothing: float = 0.0
    bucket: bool = True  # batches of like length
    gradual_unfreezing: bool = False  # of a classifier: see `run`
    seed: int = 0
    threads: int | None = None  # None leaves the number as it is; results do not depend on it

    def __post_init__(self) -> None:
        for name, least in (("epochs", 1), ("batch_size", 1), ("seed", 0)):
            check_whole(name, getattr(self, name), least)
        for name in ("patience", "threads"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1)
        check_choice("optimizer", self.optimizer, OPTIMISERS)
        check_choice("schedule", self.schedule, tuple(SCHEDULES))
        check_choice("best_by", self.best_by, BEST_BY)
        if self.patience is not None and self.best_by == "last":
            raise DataError(
                f"patience is {self.patience}, but best_by is 'last', which no epoch can fall behind; "
                "set best_by to valid_accuracy or valid_loss, or patience to none"
            )
        check_number("learning_rate", self.learning_rate, above=0.0)
        check_number("weight_decay", self.weight_decay, least=0.0)
        check_number("momentum", self.momentum, least=0.0, below=1.0)
        check_number("label_smoothing", self.label_smoothing, least=0.0, below=1.0)
        if self.clip is not None:
            check_number("clip", self.clip, above=0.0)
        if self.average is not None:
            check_number("average", self.average, above=0.0, below=1.0)
        for name in ("bucket", "gradual_unfreezing"):
            check_flag(name, getattr(self, name))
        object.__setattr__(self, "class_weight", _class_weight(self.class_weight))

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        values = super().to_dict()
        if isinstance(self.class_weight, Mapping):
            values["class_weight"] = {str(number): weight for number, weight in self.class_weight.items()}
        elif isinstance(self.class_weight, tuple):
            values["class_weight"] = list(self.class_weight)
        return values


def must_be_same(
    what: str, written: Mapping[str, Any], mine: Mapping[str, Any], path: Path, free: tuple[str, ...] = ()
) -> None:
    """Raise DataError, naming what differs, unless `written` in `path` equals `mine`, `free` names aside."""
    names = [name for name in {**mine, **written} if name not in free]
    differing = [name for name in names if mine.get(name) != written.get(name)]
    if differing:
        pairs = ", ".join(f"{name} was {written.get(name)!r}, is {mine.get(name)!r}" for name in differing)
        raise DataError(
            f"{path} is of a run with other {what} ({pairs}); "
            "resume with the same, or begin anew without resuming"
        )


def _class_weight(wanted: Any) -> ClassWeight:
    if wanted is None or wanted == "balanced":
        return None if wanted is None else "balanced"
    try:
        if isinstance(wanted, Mapping):
            return {int(number): float(weight) for number, weight in sorted(wanted.items())}
        if not isinstance(wanted, str):
            return tuple(float(weight) for weight in wanted)
    except (TypeError, ValueError):
        pass  # said below, with what came
    raise DataError(
        f"class_weight is {wanted!r}; expected 'balanced', weights by class number, or one weight per class"
    )
