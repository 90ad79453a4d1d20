"""Finished runs of a folder, summed up by task, length and cell, with intervals. Trains nothing."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gatelight.errors import DataError
from gatelight.estimators.evaluation import wilson_interval
from gatelight.lab.tasks import TASKS
from gatelight.nn.equations import EQUATIONS

Run = Mapping[str, Any]
HALF = 0.5
CELLS = tuple(EQUATIONS)  # in the order in which they are shown


@dataclass(frozen=True)
class Row:
    """What the runs of one task, length and cell came to."""

    task: str
    length: int
    cell: str
    hidden: int
    parameters: int
    runs: int
    solved: int
    low: float  # Wilson's 95 % interval of the rate that solved it
    high: float
    sequences: float | None  # median until solved, of those that solved it
    score: float  # mean rate of the asked steps that is right after training, solved or not
    chance: float
    seconds: float  # mean of a run
    reaches: tuple[int, ...]  # for tasks that are tried on longer strings: how far, in rising order

    @property
    def rate(self) -> float:
        """The rate of the runs that solved it."""
        return self.solved / self.runs


def read_runs(folder: Path) -> list[dict[str, Any]]:
    """Trial and finding of every run in a folder as one; DataError where there is none, or a damaged one."""
    paths = sorted(folder.glob("runs/*.json"))
    if not paths:
        raise DataError(f"{folder} holds no runs; expected a folder that `gatelight lab run` wrote to")
    runs = []
    for path in paths:
        try:
            whole = json.loads(path.read_bytes())
            run = {**whole["trial"], **whole["found"]}
            task = run["task"]
            CELLS.index(run["cell"])
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{path} is no run of the lab ({error!r}); delete it to have it made again"
            ) from None
        if task not in TASKS:
            raise DataError(
                f"{path} is of a task {task!r}, which there is not; move such runs to a folder of their own: "
                f"the tasks are {', '.join(TASKS)}"
            )
        runs.append(run)
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    for run in runs:
        key = (run["task"], run["length"], run["cell"], run["seed"])
        if key in seen:
            raise DataError(
                f"{folder} holds {key[0]} at {key[1]} with {key[2]}, seed {key[3]}, twice, on different "
                "settings; give each setting a folder of its own"
            )
        seen[key] = run
    return runs


def summed_up(runs: Iterable[Run]) -> list[Row]:
    """One row for each task, length and cell that has runs, in the order of the tasks."""
    groups: dict[tuple[str, int, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run["task"], run["length"], run["cell"]].append(run)
    order = {name: place for place, name in enumerate(TASKS)}
    keys = sorted(groups, key=lambda key: (order[key[0]], key[1], CELLS.index(key[2])))
    return [_row(*key, groups[key]) for key in keys]


def _row(task: str, length: int, cell: str, runs: Sequence[Run]) -> Row:
    solved = [run["sequences"] for run in runs if run["solved"]]
    low, high = wilson_interval(len(solved), len(runs))
    return Row(
        task, length, cell, runs[0]["hidden"], runs[0]["parameters"], len(runs), len(solved), low, high,
        float(np.median(solved)) if solved else None,
        float(np.mean([run["score"] for run in runs])), TASKS[task].chance(length),
        float(np.mean([run["seconds"] for run in runs])),
        tuple(sorted(run["reaches"] for run in runs if "reaches" in run)),
    )  # fmt: skip


def half_fail_at(rows: Iterable[Row]) -> float | None:
    """The length at which half the runs of a task and cell fail; None if more than half solve all lengths.

    Interpolated on a logarithmic scale between the lengths before and after the first crossing; where the
    shortest fails already, its length.
    """
    before: Row | None = None
    for row in sorted(rows, key=lambda row: row.length):
        if row.rate <= HALF:
            if before is None:
                return float(row.length)
            part = (before.rate - HALF) / (before.rate - row.rate)
            return float(np.exp(np.log(before.length) + part * np.log(row.length / before.length)))
        before = row
    return None


def fading(runs: Iterable[Run], when: str) -> dict[str, list[tuple[int, float]]]:
    """By cell: the gradient at each distance relative to that at distance 0, "before" or "after" training.

    The geometric mean over the runs given, so that one run does not stand for all; a norm of exactly zero
    counts as 1e-30.
    """
    found: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        points = run[when]["gradient"]
        start = max(points[0][1], 1e-30)
        for distance, norm in points:
            found[run["cell"]][distance].append(np.log(max(norm, 1e-30) / start))
    return {
        cell: [(distance, float(np.exp(np.mean(logs)))) for distance, logs in sorted(points.items())]
        for cell, points in sorted(found.items(), key=lambda item: CELLS.index(item[0]))
    }
