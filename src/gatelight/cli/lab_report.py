"""What the lab found, said on the console and as an HTML page. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli import html
from gatelight.cli.charts import Curve, curves
from gatelight.cli.output import percent

if TYPE_CHECKING:
    from markupsafe import Markup

    from gatelight.lab.report import Row

COLUMNS = ["task", "length", "cell", "H", "solved [95 %]", "sequences", "right", "chance", "a run", "reaches"]
NARROW = (0, 1, 2, 4, 5, 6)
REASONS = ("number", "adding")  # the tasks whose gradients are shown
DISTANT = "number"
NAMES = {"rnn": "plain RNN", "lstm": "LSTM", "peephole": "peephole LSTM", "gru": "GRU"}
LEAST = 1e-12  # gradients below are drawn here


def cells(row: Row) -> list[str]:
    """One row of COLUMNS."""
    reaches = "–" if not row.reaches else f"{row.reaches[len(row.reaches) // 2]} (best {row.reaches[-1]})"
    return [
        row.task, str(row.length), NAMES[row.cell], str(row.hidden),
        f"{row.solved}/{row.runs} [{100 * row.low:.0f}, {100 * row.high:.0f}]",
        "–" if row.sequences is None else f"{row.sequences:,.0f}",
        percent(row.score), percent(row.chance), f"{row.seconds:.1f} s", reaches,
    ]  # fmt: skip


def overview(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: for each task and cell the length at which half the runs fail."""
    present = _cells(rows)
    lines = []
    for task in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == task]
        lines.append([task, *(_half([row for row in of_task if row.cell == cell]) for cell in present)])
    return ["half the runs fail at", *(NAMES[cell] for cell in present)], lines


def answers(rows: Sequence[Row]) -> Iterator[str]:
    """What is lost when a relation over a distance is missed, in accuracy, cell by cell."""
    for cell in _cells(rows):
        found = [row for row in rows if row.task == DISTANT and row.cell == cell]
        if found:
            said = ", ".join(f"{percent(row.score)} at {row.length}" for row in found)
            chance = percent(found[0].chance)
            yield f"{NAMES[cell]} is right about a verb so many words behind: {said} (chance {chance})"


def page(path: Path, rows: Sequence[Row], runs: Sequence[Mapping[str, Any]]) -> None:
    """Write all as one HTML file."""
    from gatelight.lab.tasks import TASKS

    hours = sum(run["seconds"] for run in runs) / 3600
    tasks = []
    for name in dict.fromkeys(row.task for row in rows):
        task, of_task = TASKS[name], [row for row in rows if row.task == name]
        chart = _rates(of_task, task.of) if len({row.length for row in of_task}) > 1 else None
        tasks.append((f"{name}: {task.about}", task.source, chart, [cells(row)[1:] for row in of_task]))
    html.write(
        path,
        "lab",
        "Who remembers how long",
        summary=f"{len(runs):,} runs, {hours:.1f} hours of them on one thread each. Every cell has as many "
        "parameters, every run of a task the same budget. Intervals are Wilson's, 95 %.",
        overview=overview(rows),
        answers=list(answers(rows)),
        gradients=[(task, charts) for task in REASONS if (charts := _gradients(task, runs))],
        tasks=tasks,
        columns=COLUMNS[1:],
    )


def _gradients(task: str, runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, Markup]]:
    """Before and after training: by cell the gradient at each distance, at the longest length."""
    from gatelight.lab.report import fading

    of_task = [run for run in runs if run["task"] == task]
    longest = max((run["length"] for run in of_task), default=0)
    there = [run for run in of_task if run["length"] == longest]
    return [
        (
            when,
            curves(
                [
                    Curve(NAMES[cell], [(k, max(norm, LEAST)) for k, norm in points])
                    for cell, points in fading(there, when).items()
                ],
                "steps back",
                "gradient, relative to that at the answer",
                y_range=None,
            ),
        )
        for when in (("before", "after") if there else ())
    ]


def _rates(rows: Sequence[Row], of: str) -> Markup:
    lines = [
        Curve(NAMES[cell], [(row.length, row.rate, row.low, row.high) for row in rows if row.cell == cell])
        for cell in _cells(rows)
    ]
    return curves(lines, of, "solved")


def _half(rows: Sequence[Row]) -> str:
    from gatelight.lab.report import HALF, half_fail_at

    if not rows:
        return "–"
    at = half_fail_at(rows)
    shortest = min(rows, key=lambda row: row.length)
    if at is None:
        return f"> {max(row.length for row in rows)}"
    return f"≤ {shortest.length}" if shortest.rate <= HALF else f"{at:.0f}"


def _cells(rows: Sequence[Row]) -> list[str]:
    return [cell for cell in NAMES if any(row.cell == cell for row in rows)]
