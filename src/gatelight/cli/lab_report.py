"""What the lab found, said on the console, as an HTML page and as pictures. Computes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from gatelight.cli import charts, html
from gatelight.cli.output import percent, say
from gatelight.errors import MissingExtraError

if TYPE_CHECKING:
    from gatelight.lab.report import Row

COLUMNS = ["task", "length", "cell", "H", "solved [95 %]", "sequences", "right", "chance", "a run", "reaches",
           "half-life before", "after"]  # fmt: skip
NARROW = (0, 1, 2, 4, 5, 6)
REASONS = ("number", "adding")  # the tasks whose gradients are shown
DISTANT = "number"
RATES, GRADIENTS = "rates.png", "gradients.png"
NAMES = {"rnn": "plain RNN", "lstm": "LSTM", "peephole": "peephole LSTM", "gru": "GRU"}
LEAST = -12.0  # powers of ten: gradients below are drawn here


def cells(row: Row) -> list[str]:
    """One row of COLUMNS."""
    before, after = (("–" if found is None else f"{found[1]:.1f}") for found in row.half_lives)
    reaches = "–" if not row.reaches else f"{row.reaches[len(row.reaches) // 2]} (best {row.reaches[-1]})"
    return [
        row.task, str(row.length), NAMES[row.cell], str(row.hidden),
        f"{row.solved}/{row.runs} [{100 * row.low:.0f}, {100 * row.high:.0f}]",
        "–" if row.sequences is None else f"{row.sequences:,.0f}",
        percent(row.score), percent(row.chance), f"{row.processor_seconds:.1f} s", reaches, before, after,
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
    html.write(path, "Who remembers how long", _sections(rows, runs))


def _sections(rows: Sequence[Row], runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    from gatelight.lab.tasks import TASKS

    yield html.heading("Who remembers how long", 1)
    hours = sum(run["seconds"] for run in runs) / 3600
    yield html.paragraph(
        f"{len(runs):,} runs, {hours:.1f} hours of them on one thread each. Every cell has as many "
        "parameters, every run of a task the same budget. Intervals are Wilson's, 95 %."
    )
    yield html.table(*overview(rows))
    for line in answers(rows):
        yield html.paragraph(line)
    for task in REASONS:
        yield from _reasons(task, runs)
    for name in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == name]
        yield html.heading(f"{name}: {TASKS[name].about}")
        yield html.paragraph(TASKS[name].source, soft=True)
        if len({row.length for row in of_task}) > 1:
            yield html.figure(_rates(of_task, TASKS[name].of), "Share of the runs that solved it.")
        yield html.table(COLUMNS[1:], (cells(row)[1:] for row in of_task))


def _reasons(task: str, runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    lines = _gradients(task, runs)
    if not lines:
        return
    yield html.heading(f"Why: the gradient that still arrives ({task})")
    for when, curves in lines.items():
        yield html.figure(
            charts.curves(
                [charts.Curve(NAMES[cell], points) for cell, points in curves.items()],
                "steps back", "gradient, relative to that at the answer",
                y_range=(LEAST, max(1.0, *(y for points in curves.values() for _, y in points))),
                powers=True,
            ),
            f"How much of the loss's gradient reaches the input so many steps before the answer, {when} "
            "training; geometric mean over the runs at the longest length.",
        )  # fmt: skip


def _gradients(
    task: str, runs: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Before and after, by cell: (distance, power of ten) at the longest length."""
    from gatelight.lab.report import fading

    of_task = [run for run in runs if run["task"] == task]
    longest = max((run["length"] for run in of_task), default=0)
    there = [run for run in of_task if run["length"] == longest]
    return {
        when: {
            cell: [(float(k), max(math.log10(norm), LEAST)) for k, norm in points]
            for cell, points in fading(there, when).items()
        }
        for when in (("before", "after") if there else ())
    }


def _rates(rows: Sequence[Row], of: str) -> str:
    lines = [
        charts.Curve(NAMES[cell], [(float(row.length), row.rate) for row in rows if row.cell == cell])
        for cell in _cells(rows)
    ]
    return charts.curves(lines, of, "solved")


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


def pictures(folder: Path, rows: Sequence[Row], runs: Sequence[Mapping[str, Any]], to: Console) -> list[str]:
    """Write the figures as PNG where matplotlib is there, and say so where it is not; return their names."""
    try:
        from gatelight.cli.lab_pictures import draw_curves
    except MissingExtraError as error:
        say(to, f"no pictures: {error}")
        return []
    names = []
    tasks = list(dict.fromkeys(row.task for row in rows))
    panels = {
        task: {
            NAMES[cell]: [
                (row.length, row.rate, row.low, row.high)
                for row in rows
                if row.task == task and row.cell == cell
            ]
            for cell in _cells(rows)
        }
        for task in tasks
    }
    draw_curves(folder / RATES, panels, "length", "solved", bands=True)
    names.append(RATES)
    reasons = {
        f"{task}, {when} training": {
            NAMES[cell]: [(k, 10**y) for k, y in points] for cell, points in by_cell.items()
        }
        for task in REASONS
        for when, by_cell in _gradients(task, runs).items()
    }
    if reasons:
        draw_curves(folder / GRADIENTS, reasons, "steps back", "gradient", powers=True)
        names.append(GRADIENTS)
    return names
