"""`gatelight lab list`, `run` and `report`: memory tasks, learnt by every cell and told in one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatelight.cli.options import Json, Runs
from gatelight.cli.output import console, duration, emit, percent, say, table
from gatelight.cli.progress import Meter
from gatelight.errors import DataError

if TYPE_CHECKING:
    from gatelight.lab.tasks import Task

CELLS = "rnn,lstm,peephole,gru"
PAGE, TABLE = "report.html", "report.json"


def list_tasks(json: Json = False) -> None:
    """Name the tasks, their lengths, budgets and bounds; --json also tells what is published of them."""
    from gatelight.lab.tasks import TASKS

    to = console(machine=json)
    rows = []
    for task in TASKS.values():
        lengths = ", ".join(map(str, task.lengths))
        rows.append([task.name, lengths, task.of, f"{task.budget:,}", _bound(task)])
        if json:
            emit({"task": task.name, "about": task.about, "source": task.source, "lengths": task.lengths,
                  "of": task.of, "budget": task.budget, "batch": task.batch, "rate": task.rate,
                  "solved": _bound(task), "chance": [task.chance(n) for n in task.lengths]})  # fmt: skip
    if not json:
        to.print(table(["task", "lengths", "of", "sequences", "solved"], rows))
        for task in TASKS.values():
            say(to, f"{task.name}: {task.about}")


def run(
    out: Runs,
    names: Annotated[
        list[str] | None, typer.Argument(help="Tasks, as `lab list` names them; all.", metavar="TASK…")
    ] = None,
    cells: Annotated[str, typer.Option("--cells", help="Cells, by commas.", metavar="CELL,…")] = CELLS,
    lengths: Annotated[
        str | None, typer.Option("--lengths", help="Lengths; otherwise the task's.", metavar="N,…")
    ] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each, from seed 0 up.")] = 5,
    budget: Annotated[
        float, typer.Option("--budget", min=1e-6, help="Multiplies the sequences a run may take.")
    ] = 1.0,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Runs at a time, of one thread each.")] = 2,
    json: Json = False,
) -> None:
    """Let cells of as many parameters each learn memory tasks on the same budget; keep what each run finds.

    The same command after a stop, or with more cells, lengths or seeds, makes only what is missing.
    """
    from gatelight.cli.faults import keeping_runs
    from gatelight.lab.run import learn, settings
    from gatelight.lab.tasks import known
    from gatelight.models.trials import run_trials

    to = console(machine=json)
    tasks, wanted_cells, wanted = known(names or []), _cells(cells), _lengths(lengths)
    trials = [
        settings(task, length, cell, seed, budget)
        for task in tasks
        for length in wanted or task.lengths
        for seed in range(seeds)
        for cell in wanted_cells
    ]
    sizes = {(trial["task"], trial["length"], trial["cell"]): trial for trial in trials}
    to.print(
        table(["task", "length", "cell", "hidden size", "parameters"],
              [[*map(str, key), str(t["hidden"]), f"{t['parameters']:,}"] for key, t in sizes.items()])
    )  # fmt: skip
    with Meter(to) as meter:
        done = 0

        def on_done(trial: Any, record: dict[str, Any], before: bool) -> None:
            nonlocal done
            done += 1
            said = "solved after" if record["solved"] else "not solved in"
            how = "found before" if before else duration(record["seconds"])
            what = f"{trial['task']} {trial['length']} {trial['cell']} seed {trial['seed']}"
            right = percent(record["score"])
            meter.line(f"{done}/{len(trials)}  {what}: {said} {record['sequences']:,}, {right} right, {how}")
            meter.show("learning", done, len(trials), f"{done} of {len(trials)} runs")
            if json:
                told = {name: record[name] for name in ("solved", "sequences", "score", "seconds")}
                emit({"run": dict(trial), **told, "before": before})

        with keeping_runs(out):
            run_trials(trials, learn, None, lambda trial: VERSION, out, jobs=jobs, on_done=on_done)
    say(to, f"saved in {out}; `gatelight lab report {out}` sums it up")


VERSION = "1"  # of the tasks: with another, nothing that was found before counts


def report(
    folder: Annotated[Path, typer.Argument(help="A folder of `lab run`.", metavar="FOLDER")],
    json: Json = False,
) -> None:
    """Sum up the runs of a folder: solve rates with intervals, and why; as a page there."""
    import json as json_text
    from dataclasses import asdict

    from gatelight.cli import lab_report
    from gatelight.cli.output import as_json
    from gatelight.files import file_written_aside
    from gatelight.lab.report import read_runs, summed_up

    to = console(machine=json)
    runs = read_runs(folder)
    rows = summed_up(runs)
    narrow = lab_report.NARROW  # a terminal has no room for all; the page has
    to.print(
        table([lab_report.COLUMNS[k] for k in narrow],
              ([lab_report.cells(row)[k] for k in narrow] for row in rows))
    )  # fmt: skip
    to.print(table(*lab_report.overview(rows)))
    for line in lab_report.answers(rows):
        say(to, line)
    lab_report.page(folder / PAGE, rows, runs)
    with file_written_aside(folder / TABLE) as aside:
        whole = [json_text.loads(as_json(asdict(row))) for row in rows]
        aside.write_text(json_text.dumps(whole, indent=1) + "\n", "utf-8")
    written = [PAGE, TABLE]
    say(to, f"written in {folder}: {', '.join(written)}")
    if json:
        emit({"rows": [asdict(row) for row in rows], "files": written})


def _bound(task: Task) -> str:
    if task.enough == 1:
        return f"{task.test:,} in a row" if task.each is None else "every string"
    return f"{percent(task.enough)} of {task.test:,}"


def _cells(typed: str) -> list[str]:
    wanted = list(dict.fromkeys(part.strip() for part in typed.split(",")))
    strange = [cell for cell in wanted if cell not in CELLS.split(",")]
    if strange:
        raise DataError(f"--cells names {strange[0]!r}; expected some of {CELLS}")
    return wanted


def _lengths(typed: str | None) -> list[int]:
    parts = [] if typed is None else [part.strip() for part in typed.split(",")]
    if any(not part.isdecimal() or int(part) < 2 for part in parts):
        raise DataError(f"--lengths came as {typed!r}; expected whole numbers from 2 up, like 20,50,100")
    return list(dict.fromkeys(map(int, parts)))
