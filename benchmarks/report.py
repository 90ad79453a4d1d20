"""What was found, as one table in Markdown and one chart."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from benchmarks.models import cores
from benchmarks.turns import Finding

PACKAGES = ("gatelight", "numpy", "numba", "torch", "keras", "tensorflow", "tensorflow-cpu", "onnxruntime")


def write(folder: Path, findings: Sequence[Finding]) -> Path:
    """Write RESULTS.md and results.svg; returns the former."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.svg").write_text(chart(findings), encoding="utf-8")
    page = folder / "RESULTS.md"
    page.write_text(
        f"# Measured\n\n{machine()}\n\nMedians; ratios are the median of the rounds. "
        f"[How](../docs/explanation/speed.md).\n\n{table(findings)}\n\n![The same as a chart](results.svg)\n",
        encoding="utf-8",
    )
    return page


def table(findings: Sequence[Finding]) -> str:
    """A row for each contestant of each workload."""
    lines = [
        "| workload | measured | contestant | seconds | lowest – highest | times ours | settings |",
        "| --- | --- | --- | ---: | ---: | ---: | --- |",
    ]
    for finding in findings:
        for number, row in enumerate(finding.rows):
            name, measured = (finding.workload, finding.measured) if not number else ("", "")
            spread = f"{row.lowest:.3g} – {row.highest:.3g}"
            cells = (
                name,
                measured,
                row.name,
                f"{row.median:.3g}",
                spread,
                f"{row.times_ours:.2f}",
                row.setting,
            )
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def chart(findings: Sequence[Finding]) -> str:
    """Bars of how many times as long as ours the others take, on a logarithmic scale, as SVG."""
    import io

    import matplotlib as mpl
    from matplotlib.figure import Figure

    bars = [(f.workload, row) for f in findings for row in f.rows[1:]]
    figure = Figure(figsize=(8, 0.7 + 0.3 * len(bars)), layout="constrained")
    axes = figure.subplots()
    places = range(len(bars), 0, -1)
    axes.barh(places, [row.times_ours for _, row in bars], color="#4c78a8")
    for place, (_, row) in zip(places, bars, strict=True):
        axes.text(row.times_ours, place, f" {row.times_ours:.2g} ×", va="center", fontsize=8)
    axes.set_yticks(places, [f"{workload}: {row.name}" for workload, row in bars], fontsize=8)
    axes.set_xscale("log")
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xlabel("times as long as gatelight")
    axes.spines[["top", "right"]].set_visible(False)
    out = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "gatelight", "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue()


def machine() -> str:
    """The processor, the versions and the day in one line."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    versions = ", ".join(f"{name} {version}" for name, version in found.items())
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return (
        f"{datetime.date.today()}; {cores()} cores of {_processor()}{load}; {platform.system()}, Python "
        f"{platform.python_version()}, {versions}."
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    vectors = [name for name in ("avx512f", "avx2") if name in fields.get("flags", "").split()]
    return " ".join([fields.get("model name", platform.machine()), *(f"({name})" for name in vectors[:1])])
