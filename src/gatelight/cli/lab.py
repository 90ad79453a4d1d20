"""`gatelight lab list`, `lab run` and `lab report`: memory tasks that every cell learns."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli.options import JSON, RUNS, argument, meant, option
from gatelight.cli.output import console, duration, emit, going_on, percent, say, table
from gatelight.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.lab.tasks import Task

CELLS = ["rnn", "lstm", "peephole", "gru"]
PAGE, TABLE = "report.html", "report.json"
VERSION = "1"  # of the tasks: with another, nothing that was found before counts


@dataclass(kw_only=True)
class List:
    """Name the tasks, their lengths, budgets and bounds."""

    json: bool = option(JSON, False)

    def run(self) -> None:
        """Tell."""
        from gatelight.lab.tasks import TASKS

        to = console(machine=self.json)
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

    out: Path = option(RUNS, metavar="FOLDER", short="o", required=True)
    names: list[str] | None = argument("tasks, as `lab list` names them; else all", "TASK")
    cells: list[str] = option("cells", CELLS)
    lengths: list[int] = option("lengths; otherwise the task's", [], least=2)
    seeds: int = option("runs of each, from seed 0 up", 5, least=1)
    budget: float = option("multiplies the sequences a run may take", 1.0, least=1e-6)
    jobs: int = option("runs at a time, of one thread each", 2, least=1)
    json: bool = option(JSON, False)

    def run(self) -> None:
        """Make the runs that are missing."""
        with going_on(f"the runs go on, and are kept in {self.out}"):
            self._run(console(machine=self.json))

    def _run(self, to: Console) -> None:
        from gatelight.cli.faults import keeping_runs
        from gatelight.cli.progress import Meter
        from gatelight.lab.run import learn, settings
        from gatelight.lab.tasks import known
        from gatelight.models.trials import run_trials

        tasks, cells = known(self.names or []), checked_cells(self.cells)
        trials = [
            settings(task, length, cell, seed, self.budget)
            for task in tasks
            for length in list(dict.fromkeys(self.lengths)) or task.lengths
            for seed in range(self.seeds)
            for cell in cells
        ]
        sizes = {(trial["task"], trial["length"], trial["cell"]): trial for trial in trials}
        to.print(
            table(["task", "length", "cell", "hidden size", "parameters"],
                  [[*map(str, key), str(t["hidden"]), f"{t['parameters']:,}"] for key, t in sizes.items()])
        )  # fmt: skip
        done = 0
        with Meter(to) as meter:

            def on_done(trial: Any, record: dict[str, Any], before: bool) -> None:
                nonlocal done
                done += 1
                said = "solved after" if record["solved"] else "not solved in"
                how = "found before" if before else duration(record["seconds"])
                what = f"{trial['task']} {trial['length']} {trial['cell']} seed {trial['seed']}"
                right = percent(record["score"])
                meter.line(
                    f"{done}/{len(trials)}  {what}: {said} {record['sequences']:,}, {right} right, {how}"
                )
                meter.show("learning", done, len(trials), f"{done} of {len(trials)} runs")
                if self.json:
                    told = {name: record[name] for name in ("solved", "sequences", "score", "seconds")}
                    emit({"run": dict(trial), **told, "before": before})

            with keeping_runs(self.out):
                run_trials(
                    trials, learn, None, lambda trial: VERSION, self.out, jobs=self.jobs, on_done=on_done
                )
        say(to, f"saved in {self.out}; `gatelight lab report {self.out}` sums it up")


@dataclass(kw_only=True)
class Report:
    """Sum up the runs of a folder, as a page too."""

    folder: Path = argument("a folder of `lab run`", "FOLDER")
    json: bool = option(JSON, False)

    def run(self) -> None:
        """Tell, and write the page."""
        import json as json_text

        from gatelight.cli import lab_report
        from gatelight.cli.output import as_json
        from gatelight.files import file_written_aside
        from gatelight.lab.report import read_runs, summed_up

        to = console(machine=self.json)
        runs = read_runs(self.folder)
        rows = summed_up(runs)
        narrow = lab_report.NARROW  # a terminal has no room for all; the page has
        to.print(
            table([lab_report.COLUMNS[k] for k in narrow],
                  ([lab_report.cells(row)[k] for k in narrow] for row in rows))
        )  # fmt: skip
        to.print(table(*lab_report.overview(rows)))
        for line in lab_report.answers(rows):
            say(to, line)
        lab_report.page(self.folder / PAGE, rows, runs)
        with file_written_aside(self.folder / TABLE) as aside:
            whole = [json_text.loads(as_json(asdict(row))) for row in rows]
            aside.write_text(json_text.dumps(whole, indent=1) + "\n", "utf-8")
        written = [PAGE, TABLE]
        say(to, f"written in {self.folder}: {', '.join(written)}")
        if self.json:
            emit({"rows": [asdict(row) for row in rows], "files": written})


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
