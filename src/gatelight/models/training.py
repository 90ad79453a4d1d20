"""The training loop: epochs, validation, best weights, early stopping, checkpoints that go on bit for bit.

Knows ids, lengths and a model that turns them into logits: nothing of texts. Every random draw comes
from (seed, epoch) or (seed, step), none from global state, so where a run stands is said by its tensors and
a few numbers, and the same seed gives the same bits at any thread count.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from gatelight.errors import DataError
from gatelight.models.checkpoint import read_record, remove_leftovers, write_checkpoint
from gatelight.models.classifier import Classifier
from gatelight.models.classifying import Classifying, Given
from gatelight.models.history import Diverged, History, Interrupted, Progress
from gatelight.models.interruption import interrupts_held
from gatelight.models.run import Run
from gatelight.models.subwords import Subwords
from gatelight.models.task import Task
from gatelight.models.training_config import TrainingConfig
from gatelight.nn.threads import single_threaded_torch, threads, using

__all__ = ["Diverged", "History", "Interrupted", "Progress", "TrainingConfig", "train"]

PROGRESS_EVERY = 0.1  # seconds between two calls of on_progress, at least


def train(
    model: Classifier,
    ids: ArrayLike,
    lengths: ArrayLike,
    targets: ArrayLike,
    *,
    config: TrainingConfig,
    valid: Given | None = None,
    sample_weight: ArrayLike | None = None,
    subwords: Subwords | None = None,
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 60.0,
    resume: bool = False,
) -> History:
    """Train `model` in place on flat ids int32 [N], lengths [B] and targets; it ends with its best weights.

    Targets are 0 or 1 [B] for one output, class numbers [B] for softmax, 0 or 1 [B, C] for labels;
    `sample_weight` is [B]. The best epoch is found by `config.best_by` on `valid` = (ids, lengths, targets);
    without it the last counts. With `config.average` the averaged weights are what is validated and kept.
    `subwords` says what ids beyond the vocabulary are made of, in training and validation data alike.

    `checkpoint` is one file, written at the start, at each epoch's end, every `checkpoint_seconds` and on
    Ctrl-C. With `resume` the run goes on from it and ends in the same weights and the same history, bit for
    bit, as if it had never stopped; the model, data and config must be the same (`config.threads` may
    change). The file stays at the end; resuming a finished run gives its result at once.

    Raises DataError for data and settings that do not fit, or where `checkpoint` holds an unfinished run and
    `resume` is not set; ModelFileError for a damaged checkpoint; Interrupted after Ctrl-C; Diverged when
    the numbers stop being finite; OSError when a checkpoint cannot be written.
    """
    return train_task(
        lambda: Classifying(model, (ids, lengths, targets), sample_weight, valid, config, subwords),
        config, on_epoch=on_epoch, on_progress=on_progress, checkpoint=checkpoint,
        checkpoint_seconds=checkpoint_seconds, resume=resume,
    )  # fmt: skip


def train_task(
    task: Callable[[], Task],
    config: TrainingConfig,
    *,
    on_epoch: Callable[[dict[str, Any]], object] | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 60.0,
    resume: bool = False,
) -> History:
    """Train the model of the task that `task()` makes; all else is as in `train`.

    Of several processes that torchrun started each takes its part of every batch, and the first writes.
    """
    # How many threads there are is asked once, not by each of a step's dozen computations.
    with using(config.threads or threads()), single_threaded_torch(), interrupts_held() as check:
        run = Run(task(), config)
        if checkpoint is not None:
            checkpoint = Path(checkpoint)
            if resume:
                run.restore(checkpoint)
            elif checkpoint.exists():
                _refuse_unfinished(checkpoint)
            if run.group.rank == 0:
                remove_leftovers(checkpoint)
        elif resume:
            raise DataError("resume was asked for without a checkpoint; name the file to go on from")
        run.agree()
        writer = _CheckpointWriter(run, checkpoint, checkpoint_seconds)
        mode = run.model.training
        try:
            if not resume:
                writer.write()
            _loop(run, writer, on_epoch, on_progress, check)
        except KeyboardInterrupt:
            # Between two steps the state is whole; in the middle of an update the last checkpoint is.
            if run.whole:
                writer.write()
            raise Interrupted(checkpoint, writer.written_step, run.total_steps) from None
        finally:
            run.model.train(mode)
            run.end()
    return run.history


def _loop(
    run: Run,
    writer: _CheckpointWriter,
    on_epoch: Callable[[dict[str, Any]], object] | None,
    on_progress: Callable[[Progress], object] | None,
    check: Callable[[], None],
) -> None:
    told = 0.0
    while run.history.stopped is None:
        plan = run.plan()
        run.model.train()
        while run.step_in_epoch < len(plan):
            run.train_step(plan[run.step_in_epoch])
            now = time.monotonic()
            # A first step says nothing of the rest: it may take a hundred times as long.
            due = run.throughput.known and now - told >= PROGRESS_EVERY
            if on_progress is not None and (due or run.step == run.total_steps):
                told = now
                on_progress(run.progress())
            check()
            writer.write_if_due(now)
        record = run.close_epoch()
        writer.write()
        if on_epoch is not None:
            on_epoch(dict(record))
        check()
    run.take_best_weights()


class _CheckpointWriter:
    """Writes the run's checkpoint when it is due; without a path it does nothing."""

    def __init__(self, run: Run, path: Path | None, every: float) -> None:
        self.run, self.path, self.every = run, path, every
        self.written_step = run.step
        self.written_at = time.monotonic()

    def write(self) -> None:
        self.written_step = self.run.step
        if self.path is not None and self.run.group.rank == 0:
            write_checkpoint(self.path, self.run.tensors(), self.run.record())
            self.written_at = time.monotonic()

    def write_if_due(self, now: float) -> None:
        if self.path is not None and now - self.written_at >= self.every:
            self.write()


def _refuse_unfinished(path: Path) -> None:
    # read_record also refuses a file that is none of ours, which must never be overwritten.
    record = read_record(path)
    history, step = record.get("history"), record.get("step")
    if isinstance(history, dict) and history.get("stopped") is None and step:
        raise DataError(
            f"{path} holds a run that stopped after step {step} of {record.get('steps')}: go on from there "
            "with resume (on the command line --resume), or delete the file to begin anew"
        )
