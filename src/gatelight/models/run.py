"""One training run: all the state that going on depends on, and the steps that change it.

Knows a task and its settings: nothing of what is learned, of files' whereabouts, callbacks or Ctrl-C.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatelight.compiled import clock
from gatelight.errors import DataError, GatelightError, ModelFileError
from gatelight.models.checkpoint import fingerprint, read_checkpoint, restore
from gatelight.models.history import FINISHED, Diverged, History, Progress, Sums, Throughput
from gatelight.models.optim import Optimiser, WeightAverage
from gatelight.models.process_group import process_group
from gatelight.models.schedules import SCHEDULES
from gatelight.models.task import Outcome, Task
from gatelight.models.training_config import FREE, TrainingConfig, must_be_same


class Run:
    """Weights, optimiser, averages, best weights, history and position of one run of `config` on a task.

    `whole` is False only while these change together; whatever is written then could not be gone on from.
    """

    def __init__(self, task: Task, config: TrainingConfig) -> None:
        """Start at step 0 and forget old gradients; raises DataError where there is nothing to train."""
        self.task, self.model, self.config = task, task.model, config
        self.group = process_group()
        named = {name: p for name, p in task.model.named_parameters() if p.requires_grad}
        if not named:
            raise DataError("the model has no weights to train; unfreeze some")
        self._never = [p for p in task.model.parameters() if not p.requires_grad]
        embedding: Any = getattr(task.model, "embedding", None)
        by_rows = getattr(embedding, "sparse", False) and embedding.weight.requires_grad
        self._embedding = embedding if by_rows else None
        table = embedding.weight if by_rows else None
        self.dense = {name: p for name, p in named.items() if p is not table}
        self.weights = {name: p.detach() for name, p in {**self.dense, **named}.items()}  # the table last
        for parameter in named.values():
            parameter.grad = None
        self._unfreezing = _unfreezing(task.model) if config.gradual_unfreezing else []
        self.optimiser = Optimiser(
            config.optimizer, self.dense, table,
            weight_decay=config.weight_decay, momentum=config.momentum, clip=config.clip,
        )  # fmt: skip
        self.average = None if config.average is None else WeightAverage(config.average, self.weights)
        self.best: dict[str, Tensor] = {}
        self.history, self.throughput = History(), Throughput()
        self.schedule = SCHEDULES[config.schedule]
        self.total_steps = config.epochs * task.steps_per_epoch
        self.epoch = self.step_in_epoch = self.step = 0
        self.sums = Sums()
        self.generator, self.first_seed = torch.Generator(), first_seed(config.seed)
        self.whole = True
        self._identity: str | None = None
        if self._embedding is not None:
            self._embedding.before_reading = self.optimiser.catch_up

    def end(self) -> None:
        """Leave the model as it was found, its weights aside."""
        self._unfreeze(len(self._unfreezing))
        if self._embedding is not None:
            self._embedding.before_reading = self._embedding.touched = None

    def agree(self) -> None:
        """Begin from the weights of the first process; DataError where another has other data."""
        self.group.same([*self.model.parameters(), *self.model.buffers()])
        own = int(self.identity()[:12], 16) if self.group.size > 1 else 0  # exact as a float, times thousands
        if self.group.total([own])[0] != own * self.group.size:
            raise DataError(
                "the processes of this training have other data or settings each; give all the same files"
            )

    def plan(self) -> list[NDArray[np.int64]]:
        """The batches of the present epoch, which also begins to train what it is the first to train."""
        groups, epochs = len(self._unfreezing), self.config.epochs
        self._unfreeze(max(self.epoch + 1, -(-groups * (self.epoch + 1) // epochs)))
        return self.task.plan(self.epoch)

    def _unfreeze(self, groups: int) -> None:
        for place, group in enumerate(self._unfreezing):
            for parameter in group:
                parameter.requires_grad_(place < groups)

    def train_step(self, index: NDArray[np.int64]) -> None:
        """Forward, backward and update on the batch `index`; or raise Diverged, unchanged."""
        began = clock()
        self.generator.manual_seed((self.first_seed + self.step) % 2**32)
        outcome = self.task.outcome(index, self.generator)
        loss, count, weight, correct = self._of_all(outcome)
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}", self.step + 1)
        fraction = outcome.loss.new_tensor(outcome.weight / weight if weight else 1.0)
        outcome.loss.backward(fraction)  # type: ignore[no-untyped-call]
        own = None if self._embedding is None else self._embedding.touched
        touched = self.group.sum_gradients(self.dense.values(), own)
        if touched is not None and self.group.size > 1:
            self.optimiser.catch_up(touched[0])  # those too that only other processes read
        norm = self.optimiser.gradient_norm(touched)
        if not math.isfinite(norm):
            raise self._diverged(f"the gradient's norm is {norm}", self.step + 1)
        self.whole = False
        self.optimiser.step(self.learning_rate, touched)
        if self.average is not None:
            self.average.step()
        self.step += 1
        self.step_in_epoch += 1
        self.task.after_step()
        self.sums.add(loss, count, weight, correct)
        passed = clock() - began
        self.sums.seconds += passed
        self.throughput.add(passed)
        self.whole = True

    def _of_all(self, outcome: Outcome) -> tuple[float, int, float, int | None]:
        """Mean loss, count, weight and correct ones of the whole batch."""
        loss, right = outcome.loss.item(), outcome.correct
        if self.group.size == 1:
            return loss, outcome.count, outcome.weight, right
        own = loss * outcome.weight if outcome.weight else 0.0  # the mean of nothing is NaN
        numbers = own, outcome.count, outcome.weight, math.nan if right is None else right
        losses, count, weight, correct = self.group.total(numbers)
        loss = losses / weight if weight else 0.0
        return loss, int(count), weight, None if math.isnan(correct) else int(correct)

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return self._rate(self.step)

    def _rate(self, step: int) -> float:
        return self.config.learning_rate * self.schedule(step, self.total_steps)

    def progress(self) -> Progress:
        """Where the run stands."""
        rate = self.throughput.steps_per_second
        return Progress(
            epoch=min(self.epoch + 1, self.config.epochs),
            epochs=self.config.epochs,
            step=self.step,
            steps=self.total_steps,
            loss=self.sums.loss,
            accuracy=self.sums.accuracy,
            steps_per_second=rate,
            seconds_left=(self.total_steps - self.step) / rate,
        )

    def close_epoch(self) -> dict[str, Any]:
        """Validate, keep the weights if they are the best, decide whether to stop; the epoch's record."""
        began = clock()
        config = self.config
        rate = self._rate(self.step - 1)
        self.optimiser.catch_up()
        with self._evaluated_weights() as weights:
            loss, accuracy = self._validate()
            record = {
                "epoch": self.epoch + 1,
                "seconds": round(self.sums.seconds, 3),
                "valid_seconds": round(clock() - began, 3),
                "learning_rate": rate,
                "train_loss": self.sums.loss,
                "train_accuracy": self.sums.accuracy,
                "valid_loss": loss,
                "valid_accuracy": accuracy,
            }
            best = self.history.better(record, config.best_by)
            keep = best and self.task.validates and config.best_by != "last"
            kept = {name: w.clone() for name, w in weights.items()} if keep else {}
        self.whole = False
        self.history.epochs.append(record)
        self.epoch += 1
        self.step_in_epoch = 0
        self.sums = Sums()
        if best:
            self.history.best_epoch = self.epoch
            self.best = kept
        if config.patience is not None and self.epoch - (self.history.best_epoch or 0) >= config.patience:
            self.history.stopped = f"no better {config.best_by} in {config.patience} epochs"
        elif self.epoch == config.epochs:
            self.history.stopped = FINISHED
        self.whole = True
        return record

    def take_best_weights(self) -> None:
        """Put the kept weights into the model; without validation the last ones, averaged if asked for."""
        best = self.best or ({} if self.average is None else self.average.means)
        if best:
            self._put(best)

    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, tensor in self.weights.items():
            tensor.copy_(weights[name])

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor that going on depends on, by name."""
        average = {} if self.average is None else self.average.means
        groups = {
            "weights": self.weights,
            "optimiser": self.optimiser.state(),
            "average": average,
            "best": self.best,
            "task": self.task.state(),
        }
        return {f"{group}/{name}": t for group, tensors in groups.items() for name, t in tensors.items()}

    def record(self) -> dict[str, Any]:
        """Everything else that going on depends on, JSON-able."""
        return {
            "model": self.task.settings(),
            "config": self.config.to_dict(),
            "data": self.identity(),
            "epoch": self.epoch,
            "step_in_epoch": self.step_in_epoch,
            "step": self.step,
            "steps": self.total_steps,
            "sums": vars(self.sums),
            "history": self.history.to_dict(),
        }

    def restore(self, path: Path) -> None:
        """Stand where the checkpoint at `path` stood; raises ModelFileError, DataError if another's."""
        record, tensors = read_checkpoint(path)
        try:
            must_be_same("model settings", record["model"], self.task.settings(), path)
            must_be_same("settings", record["config"], self.config.to_dict(), path, FREE)
            if record["data"] != self.identity():
                raise DataError(
                    f"{path} is of a run on other data (texts, labels, weights, vocabulary, frozen "
                    "vectors or validation part); resume with the same, or begin anew without resuming"
                )
            history = History.from_dict(record["history"])
            self.epoch, self.step_in_epoch = int(record["epoch"]), int(record["step_in_epoch"])
            self.step = int(record["step"])
            self.sums = Sums(**record["sums"])
        except GatelightError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelFileError(
                f"{path} has a record that cannot be read ({error!r}); delete it and begin without resuming"
            ) from error
        self.history = history
        restore(self.weights, tensors, "weights/", path)
        restore(self.optimiser.state(), tensors, "optimiser/", path)
        restore(self.task.state(), tensors, "task/", path)
        self.optimiser.go_on_from(self._rate(step) for step in range(self.step))
        if self.average is not None:
            restore(self.average.means, tensors, "average/", path)
            self.average.steps = self.step
        if any(name.startswith("best/") for name in tensors):
            self.best = {name: torch.empty_like(w) for name, w in self.weights.items()}
            restore(self.best, tensors, "best/", path)

    def identity(self) -> str:
        """A hash of all that a checkpoint leaves out and that must be the same: data and frozen weights."""
        if self._identity is None:
            parts = [*self.task.arrays(), *self._never, *self.model.buffers()]
            self._identity = fingerprint(parts)
        return self._identity

    @contextmanager
    def _evaluated_weights(self) -> Iterator[dict[str, Tensor]]:
        if self.average is None:
            yield self.weights
            return
        raw = {name: tensor.clone() for name, tensor in self.weights.items()}
        self.whole = False
        try:
            self._put(self.average.means)
            yield self.average.means
        finally:
            self._put(raw)
            self.whole = True

    def _validate(self) -> tuple[float | None, float | None]:
        if not self.task.validates:
            return None, None
        loss, accuracy = self.task.validate()
        if not math.isfinite(loss):
            raise self._diverged(f"the validation loss is {loss}", self.step)
        return loss, accuracy

    def _diverged(self, what: str, step: int) -> Diverged:
        return Diverged(what, step, self.total_steps, self.config.clip)


def _unfreezing(model: Any) -> list[list[nn.Parameter]]:
    """The groups of a classifier's weights that begin to train one after another.

    The head, the layers from the last down, the embedding; what the model does not train is in none. A group
    more each epoch, or where there are fewer epochs than groups several: so what was learned before is not
    destroyed by the first gradients of a head that knows nothing yet (Howard & Ruder 2018, arXiv:1801.06146,
    section 3.3).
    """
    parts: list[nn.Module] = [model.head, *reversed(list(model.memory)), model.embedding]
    trained = [[p for p in part.parameters() if p.requires_grad] for part in parts]
    return [group for group in trained if group]


def first_seed(seed: int) -> int:
    """The 32-bit seed of step 0; step t has that plus t, so no two steps of a run draw the same numbers."""
    # torch's CPU generator takes 32 bits only; SeedSequence spreads the run's seed over them.
    return int(np.random.SeedSequence(seed).generate_state(1)[0])
