"""`gatelight lab number`: is the verb to come singular or plural, and how far back may its subject be?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gatelight.cli.lab_agreement import interval
from gatelight.cli.options import Json, Runs
from gatelight.cli.output import console, duration, emit, percent, say, table
from gatelight.cli.progress import Meter

CELLS = "rnn,lstm,peephole,gru"
VERSION = "1"  # of the sentences: with another, nothing that was found before counts


def number(
    out: Runs,
    cells: Annotated[str, typer.Option("--cells", help="Cells, by commas.", metavar="CELL,…")] = CELLS,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each, from seed 0 up.")] = 5,
    epochs: Annotated[int, typer.Option("--epochs", min=1, help="Times that each sentence is seen.")] = 3,
    nearest: Annotated[
        int, typer.Option("--nearest", help="Least distance to learn from: 1, or 4 and more.")
    ] = 1,
    farthest: Annotated[int, typer.Option("--farthest", help="Largest distance to learn from.")] = 40,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Runs at a time, of one thread each.")] = 2,
    json: Json = False,
) -> None:
    """Let cells of as many parameters learn the number of a verb, with ever longer clauses before it.

    The same command after a stop, or with more cells or seeds, makes only what is missing.
    """
    from gatelight.cli.faults import keeping_runs
    from gatelight.lab.number import DISTANCES, faded, learn, material, settings, summed_up
    from gatelight.models.trials import run_trials

    to = console(machine=json)
    names = list(dict.fromkeys(part.strip() for part in cells.split(",")))
    sentences, identity = material(nearest, farthest), f"{VERSION} {nearest}-{farthest}"
    trials = [settings(cell, seed, epochs) for seed in range(seeds) for cell in names]
    with Meter(to) as meter:
        done = 0

        def on_done(trial: Any, record: dict[str, Any], before: bool) -> None:
            nonlocal done
            done += 1
            far = percent(record["right"][f"known {max(DISTANCES)}"])
            how = "found before" if before else duration(record["seconds"])
            what = f"{trial['cell']} seed {trial['seed']}: {far} right at distance {max(DISTANCES)}, {how}"
            meter.line(f"{done}/{len(trials)}  {what}")
            meter.show("learning", done, len(trials), f"{done} of {len(trials)} runs")

        with keeping_runs(out):
            found = run_trials(
                trials, learn, sentences, lambda trial: identity, out, jobs=jobs, on_done=on_done
            )
    rows = summed_up(zip(trials, found, strict=True))
    fading = {
        cell: {
            when: faded([f for t, f in zip(trials, found, strict=True) if t["cell"] == cell], when)
            for when in ("before", "after")
        }
        for cell in names
    }
    if json:
        emit({"rows": [vars(row) for row in rows], "gradient": fading})
        return
    by = {(row.cell, row.words, row.distance): row for row in rows}
    lines = []
    for cell, words in dict.fromkeys((row.cell, row.words) for row in rows):
        its = [by[cell, words, distance] for distance in DISTANCES]
        cells_of = [f"{percent(row.accuracy)} ({interval(row.low, row.high)})" for row in its]
        lines.append([f"{cell}, {words} words", f"{its[0].parameters:,}", *cells_of])
    to.print(table(["accuracy (95 %)", "parameters", *map(str, DISTANCES)], lines))
    to.print(
        table(
            ["gradient left", *map(str, DISTANCES)],
            [
                [f"{cell}, {when} training", *(f"{shares[distance]:.1e}" for distance in DISTANCES)]
                for cell, both in fading.items()
                for when, shares in both.items()
            ],
        )
    )
    say(to, f"{seeds} seeds; saved in {out}")
