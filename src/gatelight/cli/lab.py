"""`gatelight lab list`, `lab run` and `lab report`: memory tasks that every cell learns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli.options import JSON, RUNS, argument, meant, option
from gatelight.cli.output import emit, percent, say, table
from gatelight.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from gatelight.lab.report import Row
    from gatelight.lab.tasks import Task

NAMES = {"rnn": "plain RNN", "lstm": "LSTM", "peephole": "peephole LSTM", "gru": "GRU"}
CELLS = list(NAMES)
COLUMNS = ["task", "length", "cell", "solved [95 %]", "sequences", "right"]
DISTANT = "number"
VERSION = "1"  # of the tasks: with another, nothing that was found before counts


@dataclass(kw_only=True)
class List:
    """Name the tasks, their lengths, budgets and bounds."""

    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.lab.tasks import TASKS

        for task in TASKS.values() if self.json else ():
            emit({"task": task.name, "about": task.about, "source": task.source, "lengths": task.lengths,
                  "of": task.of, "budget": task.budget, "batch": task.batch, "rate": task.rate,
                  "solved": _bound(task), "chance": [task.chance(n) for n in task.lengths]})  # fmt: skip
        if self.json:
            return
        rows = [[task.name, f"{task.budget:,}", _bound(task)] for task in TASKS.values()]
        to.print(table(["task", "sequences", "solved by"], rows))
        for task in TASKS.values():
            say(to, f"{task.name} ({task.of} {', '.join(map(str, task.lengths))}): {task.about}")


@dataclass(kw_only=True)
class Run:
    """Let cells learn memory tasks on the same budget.

    Every cell has as many parameters. What each run finds is kept: the same command after a stop, or with
    more cells, lengths or seeds, makes only what is missing.
    """

    GOES_ON = "the runs go on, and are kept"

    out: Path = option(RUNS, metavar="FOLDER", short="o", required=True)
    names: list[str] | None = argument("tasks, as `lab list` names them; else all", "TASK")
    cells: list[str] = option("cells", CELLS)
    lengths: list[int] = option("lengths; otherwise the task's", [], least=2)
    seeds: int = option("runs of each, from seed 0 up", 5, least=1)
    budget: float = option("multiplies the sequences a run may take", 1.0, least=1e-6)
    jobs: int = option("runs at a time, of one thread each", 2, least=1)
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.cli.progress import trials
        from gatelight.lab.run import learn, settings
        from gatelight.lab.tasks import known
        from gatelight.models.trials import run_trials

        tasks, cells = known(self.names or []), checked_cells(self.cells)
        runs = [
            settings(task, length, cell, seed, self.budget)
            for task in tasks
            for length in list(dict.fromkeys(self.lengths)) or task.lengths
            for seed in range(self.seeds)
            for cell in cells
        ]
        sizes = {(trial["task"], trial["length"], trial["cell"]): trial for trial in runs}
        to.print(
            table(["task", "length", "cell", "hidden size", "parameters"],
                  [[*map(str, key), str(t["hidden"]), f"{t['parameters']:,}"] for key, t in sizes.items()])
        )  # fmt: skip

        def told(trial: Any, record: dict[str, Any]) -> tuple[str, dict[str, Any]]:
            said = "solved after" if record["solved"] else "not solved in"
            what = f"{trial['task']} {trial['length']} {trial['cell']} seed {trial['seed']}"
            line = f"{what}: {said} {record['sequences']:,}, {percent(record['score'])} right"
            return line, {name: record[name] for name in ("solved", "sequences", "score", "seconds")}

        with trials(to, len(runs), self.json, self.out, told) as on_done:
            run_trials(runs, learn, None, lambda trial: VERSION, self.out, jobs=self.jobs, on_done=on_done)
        say(to, f"saved in {self.out}; `gatelight lab report {self.out}` sums it up")


@dataclass(kw_only=True)
class Report:
    """Sum up the runs of a folder."""

    folder: Path = argument("a folder of `lab run`", "FOLDER")
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.lab.report import read_runs, summed_up

        rows = summed_up(read_runs(self.folder))
        if self.json:
            for row in rows:
                emit(asdict(row))
            return
        to.print(table(COLUMNS, map(_cells, rows)))
        to.print(_overview(rows))
        for line in _answers(rows):
            say(to, line)


def checked_cells(typed: list[str]) -> list[str]:
    """Return the cells that were typed, each once; DataError for one that is not there."""
    for cell in typed:
        if cell not in CELLS:
            raise DataError(
                f"there is no cell {cell!r}{meant(cell, CELLS)}; --cells takes {', '.join(CELLS)}"
            )
    return list(dict.fromkeys(typed))


def _bound(task: Task) -> str:
    if task.enough == 1:
        return f"{task.test:,} in a row" if task.each is None else "every string"
    return f"{percent(task.enough)} of {task.test:,}"


def _cells(row: Row) -> list[str]:
    """One row of COLUMNS."""
    return [
        row.task, str(row.length), NAMES[row.cell],
        f"{row.solved}/{row.runs} [{100 * row.low:.0f}, {100 * row.high:.0f}]",
        "–" if row.sequences is None else f"{row.sequences:,.0f}", percent(row.score),
    ]  # fmt: skip


def _overview(rows: Sequence[Row]) -> RenderableType:
    """For each task and cell the length at which half the runs fail."""
    present = _present(rows)
    lines = []
    for task in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == task]
        lines.append([task, *(_half([row for row in of_task if row.cell == cell]) for cell in present)])
    return table(["half the runs fail at", *(NAMES[cell] for cell in present)], lines)


def _answers(rows: Sequence[Row]) -> Iterator[str]:
    """What is lost when a relation over a distance is missed, in accuracy, cell by cell."""
    for cell in _present(rows):
        found = [row for row in rows if row.task == DISTANT and row.cell == cell]
        if found:
            said = ", ".join(f"{percent(row.score)} at {row.length}" for row in found)
            chance = percent(found[0].chance)
            yield f"{NAMES[cell]} is right about a verb so many words behind: {said} (chance {chance})"


def _half(rows: Sequence[Row]) -> str:
    from gatelight.lab.report import HALF, half_fail_at

    if not rows:
        return "–"
    at = half_fail_at(rows)
    shortest = min(rows, key=lambda row: row.length)
    if at is None:
        return f"> {max(row.length for row in rows)}"
    return f"≤ {shortest.length}" if shortest.rate <= HALF else f"{at:.0f}"


def _present(rows: Sequence[Row]) -> list[str]:
    return [cell for cell in NAMES if any(row.cell == cell for row in rows)]
