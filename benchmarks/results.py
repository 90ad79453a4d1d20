"""What a run found, as JSON and as a page that is made from it; knows workloads by name only."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.workload import Finding, Outcome, Workload
from gatelight.files import file_written_aside

Record = dict[str, Any]


def record(
    workload: Workload, findings: Sequence[Finding], machine: Mapping[str, Any], seconds: float
) -> Record:
    """Everything there is to say of one workload's run, JSON-able."""
    outcomes = [one for finding in findings for one in finding.outcomes]
    if not outcomes:
        raise ValueError(f"{workload.name} gave no outcome to judge")
    return {
        "title": workload.title,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": dict(machine),
        "seconds": round(seconds, 1),
        "findings": [
            {**asdict(finding), "outcomes": [_judged(one) for one in finding.outcomes]}
            for finding in findings
        ],
        "tightest": _judged(min(outcomes, key=lambda one: one.margin)),
        "goals": len(outcomes),
        "goals_met": sum(one.met for one in outcomes),
        "met": all(one.met for one in outcomes),
    }


def line(name: str, one: Record) -> str:
    """One workload in one line: `W1  8.3 x  goal 8.0  met`; of several goals the tightest, and how many."""
    said = f"{name:<3} {_reached(one['tightest'])}  {'met' if one['met'] else 'not met'}"
    if one["goals"] == 1:
        return said
    return f"{said}  ({one['goals_met']} of {one['goals']} goals; the tightest: {one['tightest']['what']})"


def goal_line(name: str, outcome: Outcome) -> str:
    """One goal of a workload in one line."""
    said = _judged(outcome)
    return f"{name:<3} {_reached(said)}  {'met' if outcome.met else 'not met'}  {outcome.what}"


def write(folder: Path, records: Mapping[str, Record]) -> None:
    """Write RESULTS.json and RESULTS.md; workloads that were not run now keep what was found before."""
    path = folder / "RESULTS.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    # Of another kind are only files of versions before this one.
    kept = {name: one for name, one in before.items() if "findings" in one}
    every = dict(sorted({**kept, **records}.items(), key=lambda item: int(re.sub(r"\D", "", item[0]))))
    with file_written_aside(path) as aside:
        aside.write_text(json.dumps(every, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with file_written_aside(folder / "RESULTS.md") as aside:
        aside.write_text(page(every), encoding="utf-8")


def page(records: Mapping[str, Record]) -> str:
    """The page of all workloads."""
    head = [
        "# Measured",
        "",
        "Written by `make bench`; how it is done and what the columns mean: "
        "[docs/benchmarks.md](../docs/benchmarks.md).",
        "",
        "| | workload | tightest goal | goals met |",
        "| --- | --- | --- | --- |",
        *(
            f"| {name} | {one['title']} | {one['tightest']['what']}: {_reached(one['tightest'])} "
            f"| {one['goals_met']} of {one['goals']} |"
            for name, one in records.items()
        ),
        "",
    ]
    return "\n".join([*head, *(text for name, one in records.items() for text in _section(name, one))])


def _section(name: str, one: Record) -> list[str]:
    machine = one["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    return [
        f"## {name}: {one['title']}",
        "",
        f"{one['date']}, {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}; load when it began: {machine['load_before']}. "
        f"Python {machine['python']}, {versions}. Took {one['seconds']:.0f} s.",
        "",
        *(text for finding in one["findings"] for text in _finding(name, finding)),
    ]


def _finding(name: str, one: Mapping[str, Any]) -> list[str]:
    return [
        *([f"### {name}, {one['name']}", ""] if one["name"] else []),
        *(
            f"- **{_reached(goal)}**, {'met' if goal['met'] else 'not met'}: {goal['what']}"
            for goal in one["outcomes"]
        ),
        "",
        *_timings(one),
        *_table(one["table"]),
        *_machine_rate(one),
        *(f"- {what}: {_fact(value)}" for what, value in one["facts"].items() if value),
        *(f"- {t['name']}: {t['setting']}" for t in one["timings"] if t["setting"]),
        "",
        *(["Before anything was timed:", ""] if one["agreed"] else []),
        *(f"- {sentence}" for sentence in one["agreed"]),
        *([""] if one["agreed"] else []),
    ]


def _timings(one: Mapping[str, Any]) -> list[str]:
    if not one["timings"]:
        return []
    rows = [
        f"| {_name(t)} | {t['median']:.3g} | {t['lowest']:.3g} – {t['highest']:.3g} | {t['times_ours']:.2f} "
        f"| {'–' if t['roofline'] is None else format(t['roofline'], '.3f')} |"
        for t in one["timings"]
    ]
    return [
        f"| {one['measured']} | median, s | from – to, s | × ours | roofline |",
        "| --- | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        f"{one['turns']} turns each.",
        "",
    ]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    head, *rest = rows
    lines = [f"| {' | '.join(row)} |" for row in rest]
    return [f"| {' | '.join(head)} |", f"| {' | '.join(['---'] * len(head))} |", *lines, ""]


def _machine_rate(one: Mapping[str, Any]) -> list[str]:
    if one["rate"] is None:
        return []
    if one.get("reading"):
        rate, work = one["rate"] / 1e9, one["work"] / 1e9
        return [
            f"All cores read weights of this size at {rate:.0f} GB/s. What must be read: {work:.3g} GB.",
            "",
        ]
    work = "" if one["work"] is None else f" Work that must be done: {one['work'] / 1e9:.3g} GFLOP."
    if one.get("squashed"):
        rate = (
            f"At the rates of products and of tanh alone, in the same run: {one['rate'] / 1e9:.0f} GFLOP/s."
        )
        return [
            f"{rate}{work[:-1]} of products, and {one['squashed'] / 1e6:.3g} million numbers squashed.",
            "",
        ]
    rate = f"Matrix products of float32 in the same run: {one['rate'] / 1e9:.0f} GFLOP/s."
    return [rate + work, ""]


def _judged(outcome: Outcome) -> Record:
    return {**asdict(outcome), "met": outcome.met}


def _fields(outcome: Mapping[str, Any]) -> Record:
    return {name: value for name, value in outcome.items() if name != "met"}


def _reached(outcome: Mapping[str, Any]) -> str:
    most = "at most " if outcome["at_most"] else ""
    value, goal = outcome["value"], outcome["goal"]
    digits = 1 if value >= 2 else 2
    # 7.96 of 8.0 must not read as 8.0.
    while (
        digits < 6 and replace(Outcome(**_fields(outcome)), value=round(value, digits)).met != outcome["met"]
    ):
        digits += 1
    return f"{value:.{digits}f} {outcome['unit']}  goal {most}{goal:.{1 if goal == round(goal, 1) else 2}f}"


def _name(timing: Mapping[str, Any]) -> str:
    name = f"**{timing['name']}**" if timing["ours"] else timing["name"]
    return f"{name} (padded)" if timing["padded"] and "padded" not in timing["name"] else name


def _fact(value: Any) -> str:
    return "; ".join(value) if isinstance(value, list) else str(value)
