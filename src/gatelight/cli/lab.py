"""`gatelight lab list`, `lab run` and `lab report`: memory tasks that every cell learns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli.charts import Chart, Curve
from gatelight.cli.document import Block, Figure, Heading, Line, Table, print_blocks, write_page
from gatelight.cli.options import JSON, RUNS, argument, meant, option
from gatelight.cli.output import emit, percent, save_json, say, table
from gatelight.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.lab.report import Row
    from gatelight.lab.tasks import Task

NAMES = {"rnn": "plain RNN", "lstm": "LSTM", "peephole": "peephole LSTM", "gru": "GRU"}
CELLS = list(NAMES)
COLUMNS = ["task", "length", "cell", "H", "solved [95 %]", "sequences", "right", "chance", "a run", "reaches"]
NARROW = (0, 1, 2, 4, 5, 6)  # a terminal is too narrow for all
REASONS = ("number", "adding")  # the tasks whose gradients are shown
DISTANT = "number"
LEAST = 1e-12  # gradients below are drawn here
PAGE, TABLE = "report.html", "report.json"
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
    """Sum up the runs of a folder, as a page too."""

    folder: Path = argument("a folder of `lab run`", "FOLDER")
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.lab.report import read_runs, summed_up

        runs = read_runs(self.folder)
        rows = summed_up(runs)
        summary: list[Block] = [_overview(rows), *map(Line, _answers(rows))]
        narrow = Table([COLUMNS[k] for k in NARROW], [[_cells(row)[k] for k in NARROW] for row in rows])
        print_blocks(to, [narrow, *summary])
        write_page(self.folder / PAGE, "Who remembers how long", [*summary, *_details(rows, runs)])
        whole = [asdict(row) for row in rows]
        save_json(self.folder / TABLE, whole)
        say(to, f"written in {self.folder}: {PAGE}, {TABLE}")
        if self.json:
            emit({"rows": whole, "files": [PAGE, TABLE]})


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
    reaches = "–" if not row.reaches else f"{row.reaches[len(row.reaches) // 2]} (best {row.reaches[-1]})"
    return [
        row.task, str(row.length), NAMES[row.cell], str(row.hidden),
        f"{row.solved}/{row.runs} [{100 * row.low:.0f}, {100 * row.high:.0f}]",
        "–" if row.sequences is None else f"{row.sequences:,.0f}",
        percent(row.score), percent(row.chance), f"{row.seconds:.1f} s", reaches,
    ]  # fmt: skip


def _overview(rows: Sequence[Row]) -> Table:
    """For each task and cell the length at which half the runs fail."""
    present = _present(rows)
    lines = []
    for task in dict.fromkeys(row.task for row in rows):
        of_task = [row for row in rows if row.task == task]
        lines.append([task, *(_half([row for row in of_task if row.cell == cell]) for cell in present)])
    return Table(["half the runs fail at", *(NAMES[cell] for cell in present)], lines)


def _answers(rows: Sequence[Row]) -> Iterator[str]:
    """What is lost when a relation over a distance is missed, in accuracy, cell by cell."""
    for cell in _present(rows):
        found = [row for row in rows if row.task == DISTANT and row.cell == cell]
        if found:
            said = ", ".join(f"{percent(row.score)} at {row.length}" for row in found)
            chance = percent(found[0].chance)
            yield f"{NAMES[cell]} is right about a verb so many words behind: {said} (chance {chance})"


def _details(rows: Sequence[Row], runs: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """How it comes, by the gradients, and each task's rows."""
    from gatelight.lab.tasks import TASKS

    yield Line(
        f"{len(runs):,} runs, {sum(run['seconds'] for run in runs) / 3600:.1f} hours of them on one thread "
        "each. Every cell has as many parameters, every run of a task the same budget. Intervals are "
        "Wilson's, 95 %."
    )
    for reason in REASONS:
        yield from _gradients(reason, [run for run in runs if run["task"] == reason])
    for name in dict.fromkeys(row.task for row in rows):
        task, of_task = TASKS[name], [row for row in rows if row.task == name]
        yield Heading(f"{name}: {task.about}")
        yield Line(task.source, soft=True)
        if len({row.length for row in of_task}) > 1:
            rates = [
                Curve(
                    NAMES[cell],
                    [(row.length, row.rate, row.low, row.high) for row in of_task if row.cell == cell],
                )
                for cell in _present(of_task)
            ]
            chart = Chart(task.of, "solved", rates)
            yield Figure(chart, "Fraction of the runs that solved it, with 95 % intervals.")
        yield Table(COLUMNS[1:], [_cells(row)[1:] for row in of_task])


def _gradients(task: str, runs: Sequence[Mapping[str, Any]]) -> Iterator[Block]:
    """Before and after training: by cell the gradient at each distance, at the longest length."""
    from gatelight.lab.report import fading

    if not runs:
        return
    longest = max(run["length"] for run in runs)
    yield Heading(f"Why: the gradient that still arrives ({task})")
    for when in ("before", "after"):
        lines = [
            Curve(NAMES[cell], [(k, max(norm, LEAST)) for k, norm in points])
            for cell, points in fading([run for run in runs if run["length"] == longest], when).items()
        ]
        yield Figure(
            Chart("steps back", "gradient, relative to that at the answer", lines, y_range=None),
            "How much of the loss's gradient reaches the input so many steps before the answer, "
            f"{when} training; geometric mean over the runs at the longest length.",
        )


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
