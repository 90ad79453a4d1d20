"""`python -m benchmarks.several_runs A.json B.json C.json`: W4's points by the median of whole runs.

A point near its bound is on one side of it in one hour and on the other in the next. So it is judged by
several runs of the same code, one after the other, each by W4's own rules: by the median of its
ratios and of its shares of the machine's rate.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.w4_layers import FULL_GOAL, RAGGED_GOAL, kind_of

COLUMNS = "× ours", "roofline", "at the goal"
GOALS = {"full": FULL_GOAL, "ragged": RAGGED_GOAL}


class Shown(NamedTuple):
    """What a run, or the median of several, shows of a point."""

    ratio: float
    roofline: float
    needed: float  # of the machine's whole rate, at the goal

    def kind(self, goal: float) -> str:
        """As W4 calls it."""
        return kind_of(self.ratio >= goal, self.roofline, self.needed)


Points = Mapping[tuple[str, str], Shown]


def points(record: Mapping[str, object]) -> Points:
    """Shape and lengths, and what a run's table shows of them.

    Raises ValueError when the record has no table of W4's.
    """
    try:
        head, *rows = record["W4"]["findings"][0]["table"]  # type: ignore[index]
        places = [head.index(name) for name in COLUMNS]
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise ValueError("there is no table of W4; expected the RESULTS.json of a run of it") from error
    return {(row[0], row[1]): Shown(*(float(row[k]) for k in places)) for row in rows}


def check_same_machine(records: Sequence[Mapping[str, object]]) -> None:
    """Raises ValueError when the runs of W4 are of different machines or versions."""
    machines = []
    for record in records:
        machine = dict(record["W4"].get("machine", {}))  # type: ignore[attr-defined]
        machine.pop("load_before", None)
        machines.append(machine)
    for other in machines[1:]:
        if other != machines[0]:
            raise ValueError(
                f"the runs are of different machines or versions, {machines[0]} and {other}; "
                "expected runs on one machine, one after the other"
            )


def medians(runs: Sequence[Points]) -> Points:
    """Each point's median of each column.

    Raises ValueError when the runs have not the same points.
    """
    if any(run.keys() != runs[0].keys() for run in runs):
        raise ValueError("the runs have not the same points; expected whole runs of the same code")
    found = {}
    for point in runs[0]:
        columns = zip(*(run[point] for run in runs), strict=True)
        found[point] = Shown(*(statistics.median(column) for column in columns))
    return found


def page(runs: Sequence[Points], middle: Points) -> Iterator[str]:
    """How many points meet their goal, in each run and by the median, and those that do not."""
    yield "| | lengths | met | fast | beyond | open | geometric mean |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    named = [(f"run {number + 1}", run) for number, run in enumerate(runs)]
    for name, run in [*named, ("**median**", middle)]:
        for lengths, goal in GOALS.items():
            some = [shown for point, shown in run.items() if point[1] == lengths]
            kinds = Counter(shown.kind(goal) for shown in some)
            counts = " | ".join(str(kinds[kind]) for kind in ("met", "fast", "beyond", "open"))
            mean = statistics.geometric_mean(shown.ratio for shown in some)
            yield f"| {name} | {lengths} | {counts} | {mean:.1f} × |"
    yield ""
    yield "| not met in a run | lengths | × ours | roofline | by the median |"
    yield "| --- | --- | --- | --- | --- |"
    for point, shown in middle.items():
        goal = GOALS[point[1]]
        every = [run[point] for run in runs]
        if any(one.kind(goal) != "met" for one in every):
            # As many decimals as decide: 3.999 is not 4.
            ratios = ", ".join(f"{one.ratio:.3f}" for one in every)
            shares = ", ".join(f"{one.roofline:.3f}" for one in every)
            said = f"{shown.ratio:.3f} × at {shown.roofline:.3f}: {shown.kind(goal)}"
            yield f"| {' | '.join(point)} | {ratios} | {shares} | {said} |"


def main(arguments: list[str] | None = None) -> int:
    """Print the page of these runs; 1 when a point is open by the median."""
    parser = argparse.ArgumentParser("python -m benchmarks.several_runs", description=__doc__)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RESULTS.json")
    asked = parser.parse_args(arguments)
    try:
        records = [json.loads(path.read_text(encoding="utf-8")) for path in asked.runs]
        runs = [points(record) for record in records]
        check_same_machine(records)
        middle = medians(runs)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for line in page(runs, middle):
        print(line)
    return int(any(shown.kind(GOALS[point[1]]) == "open" for point, shown in middle.items()))


if __name__ == "__main__":
    raise SystemExit(main())
