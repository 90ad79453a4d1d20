"""Shows work in progress: a live bar on a terminal, a few plain lines in a log.

A bar in a log file is thousands of lines of noise, so off a terminal only whole epochs are written
and, in a long one, a line every half minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from gatelight.cli.faults import Stopped
from gatelight.cli.output import duration, emit, say, size
from gatelight.notices import listening

if TYPE_CHECKING:
    from gatelight.estimators.language_rules import Plan as LanguagePlan
    from gatelight.estimators.rules import Plan
    from gatelight.models.training import Progress as Training

Record = dict[str, Any]
STAGES = {
    "tokenize": "reading tokens",
    "vectors": "word vectors",
    "train": "training",
    "n-grams": "n-grams beside it",
    "validate": "validating",
    "label": "labelling the texts without a label",
    "baseline": "n-gram baseline",
}


class Meter:
    """A bar with figures behind it, or plain lines where no terminal listens; use as a context manager."""

    def __init__(self, console: Console, seconds_between_lines: float = 30.0) -> None:
        self._console, self._interval = console, seconds_between_lines
        self._last_line, self._opened = time.monotonic(), ExitStack()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if console.is_terminal and not console.is_dumb_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
                BarColumn(bar_width=10),
                TextColumn("{task.fields[figures]}", markup=False, table_column=Column(no_wrap=True)),
                console=console,
                transient=True,
                refresh_per_second=4,
            )

    def __enter__(self) -> Meter:
        if self._bar is not None:
            self._opened.enter_context(self._bar)
        self._opened.enter_context(listening(self.line))  # between two pictures of the bar it would tear it
        return self

    def __exit__(self, *error: object) -> None:
        self._opened.close()

    def show(self, what: str, done: float, total: float | None, figures: str = "") -> None:
        """Move the bar to `done` of `total`, or, off a terminal, write a line when the last is old enough."""
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task(what, total=total, figures=figures)
            self._bar.update(self._task, description=what, completed=done, total=total, figures=figures)
        elif time.monotonic() - self._last_line >= self._interval:
            percent = f" {100 * done / total:.0f} %" if total else ""
            self.line(f"{what}{percent} {figures}".rstrip())

    def line(self, text: str, style: str = "") -> None:
        """Write a line that stays, above the bar where there is one."""
        self._last_line = time.monotonic()
        say(self._console, text, style)


def download(meter: Meter, name: str) -> Callable[[int, int | None], None]:
    """Return a callback (bytes done, bytes in all or None) that shows a download on `meter`."""

    def show(done: int, total: int | None) -> None:
        figures = size(done) if total is None else f"{size(done)} of {size(total)}"
        meter.show(name, done, total, figures)

    return show


def epoch_line(record: Mapping[str, Any], epochs: int) -> str:
    """Return an epoch's figures as one line for people."""
    parts = [f"epoch {record['epoch']}/{epochs}"]
    for key, name, digits in (
        ("train_loss", "loss", 4),
        ("train_accuracy", "accuracy", 4),
        ("valid_loss", "valid loss", 4),
        ("valid_accuracy", "valid accuracy", 4),
    ):
        value = record.get(key)
        if value is not None:
            parts.append(f"{name} {value:.{digits}f}")
    parts.append(duration(float(record["seconds"])))
    return "  ".join(parts)


@contextmanager
def trials(
    to: Console, total: int, json: bool, out: Path, told: Callable[[Any, Record], tuple[str, Record]]
) -> Iterator[Callable[[Any, Record, bool], None]]:
    """Yield the callback of a trial's end, which tells people a line and machines a record, as `told` gives.

    Ctrl-C becomes Stopped, which says that what ended is kept in `out`.
    """
    from gatelight.models.history import Interrupted

    done = 0
    with Meter(to) as meter:

        def on_done(trial: Any, record: Record, before: bool) -> None:
            nonlocal done
            done += 1
            line, figures = told(trial, record)
            how = "found before" if before else duration(record["seconds"])
            meter.line(f"{done}/{total}  {line}, {how}")
            meter.show("learning", done, total, f"{done} of {total} runs")
            if json:
                emit({"run": dict(trial), **figures, "before": before})

        try:
            yield on_done
        except (Interrupted, KeyboardInterrupt):
            raise Stopped(
                f"stopped; what the finished runs found is in {out}, and the same command goes on"
            ) from None


@contextmanager
def training(to: Console, epochs: int | None, json: bool) -> Iterator[dict[str, Any]]:
    """Yield the callbacks of a `fit`: a bar, a line for each epoch, and without `epochs` one for the plan.

    Ctrl-C in it becomes Stopped, which says how to go on.
    """
    from gatelight.models.training import Interrupted

    with Meter(to) as meter:

        def on_plan(plan: Plan | LanguagePlan) -> None:
            nonlocal epochs
            epochs = plan.settings["epochs"]
            meter.line(str(plan))

        def on_epoch(record: dict[str, Any]) -> None:
            meter.line(epoch_line(record, epochs or 0))
            if json:
                emit(record)

        def on_progress(at: Training) -> None:
            accuracy = "" if at.accuracy is None else f" accuracy {at.accuracy:.3f}"
            figures = f"loss {at.loss:.3f}{accuracy} {at.steps_per_second:.1f} steps/s"
            left = duration(at.seconds_left)
            meter.show(f"epoch {at.epoch}/{at.epochs}", at.step, at.steps, f"{figures} {left} left")

        planned = {} if epochs is not None else {"on_plan": on_plan}
        try:
            yield planned | {
                "on_epoch": on_epoch,
                "on_progress": on_progress,
                "on_vectors": lambda done, of: meter.show("word vectors", done, of, f"{done} of {of} epochs"),
                "on_stage": lambda stage: meter.show(STAGES[stage], 0, None),
            }
        except Interrupted as stop:
            raise Stopped(
                f"stopped after step {stop.step} of {stop.steps}; the same command with --resume goes on"
            ) from None
