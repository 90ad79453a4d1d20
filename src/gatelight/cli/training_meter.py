"""Shows a fit while it runs, for `train` and `train-lm`: bar, a line for each epoch, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console

from gatelight.cli.faults import Stopped
from gatelight.cli.output import duration, emit
from gatelight.cli.progress import Meter, epoch_line

if TYPE_CHECKING:
    from gatelight.models.training import Progress

STAGES = {
    "tokenize": "reading tokens",
    "vectors": "word vectors",
    "train": "training",
    "validate": "validating",
    "baseline": "n-gram baseline",
}


@contextmanager
def shown(to: Console, epochs: int, json: bool) -> Iterator[dict[str, Any]]:
    """Yield what `fit` is to call on its way; Ctrl-C in it becomes Stopped, which says how to go on."""
    from gatelight.models.training import Interrupted

    with Meter(to) as meter:

        def on_epoch(record: dict[str, Any]) -> None:
            meter.line(epoch_line(record, epochs))
            if json:
                emit(record)

        def on_progress(at: Progress) -> None:
            accuracy = "" if at.accuracy is None else f" accuracy {at.accuracy:.3f}"
            pace = f"{at.steps_per_second:.1f} steps/s {duration(at.seconds_left)} left"
            loss = f"loss {at.loss:.3f}{accuracy}"
            meter.show(f"epoch {at.epoch}/{at.epochs}", at.step, at.steps, f"{loss} {pace}")

        try:
            yield {
                "on_epoch": on_epoch,
                "on_progress": on_progress,
                "on_vectors": lambda done, of: meter.show("word vectors", done, of, f"{done} of {of} epochs"),
                "on_stage": lambda stage: meter.show(STAGES[stage], 0, None),
            }
        except Interrupted as stop:
            raise Stopped(
                f"stopped after step {stop.step} of {stop.steps}; the same command with --resume goes on"
            ) from None
