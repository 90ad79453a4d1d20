"""What a run found, as JSON and as a page that is made from it; knows workloads by name only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.turns import Standing
from benchmarks.workload import Options, Prepared, Workload
from gatelight.files import file_written_aside

Record = dict[str, Any]


def record(
    workload: Workload, prepared: Prepared, found: Standing, machine: Mapping[str, Any], options: Options
) -> Record:
    """Everything there is to say of one workload's run, JSON-able."""
    return {
        "title": workload.title,
        "measured": workload.measured,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": dict(machine),
        "turns": options.turns,
        "whole": options.steps is None,
        "matrix_gflops": found.rate / 1e9,
        "work_gflop": prepared.work * prepared.scale / 1e9,
        "timings": [asdict(timing) for timing in found.timings],
        "fastest_other": found.fastest,
        "ratio": found.ratio,
        "goal": workload.goal,
        "met": found.ratio >= workload.goal,
        "agreed": list(prepared.agreed),
        "facts": dict(prepared.facts),
    }


def line(name: str, one: Record) -> str:
    """One workload in one line: `W1  8.3 x  goal 8.0  met`."""
    return f"{name}  {one['ratio']:.1f} x  goal {one['goal']:.1f}  {'met' if one['met'] else 'not met'}"


def write(folder: Path, records: Mapping[str, Record]) -> None:
    """Write RESULTS.json and RESULTS.md; workloads that were not run now keep what was found before."""
    path = folder / "RESULTS.json"
    before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    every = dict(sorted({**before, **records}.items()))
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
    ]
    return "\n".join([*head, *(text for name, one in records.items() for text in _section(name, one))])


def _section(name: str, one: Record) -> list[str]:
    machine = one["machine"]
    versions = ", ".join(f"{package} {version}" for package, version in machine["versions"].items())
    extent = "the whole of it" if one["whole"] else "a slice, scaled"
    rows = [
        f"| {_name(t)} | {t['median']:.1f} | {t['lowest']:.1f} – {t['highest']:.1f} | {t['times_ours']:.2f} "
        f"| {t['roofline']:.3f} |"
        for t in one["timings"]
    ]
    chosen = [f"- {t['name']}: {t['setting']}" for t in one["timings"] if t["setting"]]
    facts = [f"- {what}: {_fact(value)}" for what, value in one["facts"].items() if value]
    return [
        f"## {name}: {one['title']}",
        "",
        f"**{one['ratio']:.1f} ×** the fastest other ({one['fastest_other']}); "
        f"goal {one['goal']:.1f} ×, {'met' if one['met'] else 'not met'}.",
        "",
        f"| {one['measured']} | median, s | from – to, s | × ours | roofline |",
        "| --- | ---: | ---: | ---: | ---: |",
        *rows,
        "",
        f"{one['date']}, {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
        f"{machine['system']}; load when it began: {machine['load_before']}. "
        f"Python {machine['python']}, {versions}. {one['turns']} turns each, {extent}.",
        "",
        f"Matrix products of float32 in the same run: {one['matrix_gflops']:.0f} GFLOP/s. "
        f"Work that must be done: {one['work_gflop']:.0f} GFLOP.",
        "",
        *facts,
        *chosen,
        "",
        "Before anything was timed:",
        "",
        *(f"- {sentence}" for sentence in one["agreed"]),
        "",
    ]


def _name(timing: Mapping[str, Any]) -> str:
    name = f"**{timing['name']}**" if timing["ours"] else timing["name"]
    return f"{name} (padded)" if timing["padded"] and "padded" not in timing["name"] else name


def _fact(value: Any) -> str:
    return "; ".join(value) if isinstance(value, list) else str(value)
