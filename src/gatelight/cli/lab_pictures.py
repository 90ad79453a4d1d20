"""Panels of curves as one PNG, by matplotlib. Knows numbers and names, not what they mean."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from gatelight.errors import MissingExtraError
from gatelight.files import file_written_aside

try:
    from matplotlib.figure import Figure
except ImportError:
    raise MissingExtraError("matplotlib", "pictures", "a picture of curves") from None

COLUMNS = 4
MARKS = ("o", "s", "^", "D")
COLOURS = ("#5b6472", "#1f5fbf", "#b3480a", "#1b7f5a")


def draw_curves(
    path: Path,
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, ...]]]],
    x_name: str,
    y_name: str,
    *,
    bands: bool = False,
    powers: bool = False,
) -> None:
    """Write a panel for each title, in it a line by name through points (x, y), or (x, y, low, high)."""
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(3.2 * columns, 2.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    # A name has one colour in all panels, whatever order a panel has them in.
    shown = dict.fromkeys(name for lines in panels.values() for name in lines)
    looks = dict(zip(shown, zip(MARKS, COLOURS, strict=True), strict=False))
    for axis, (title, lines) in zip(axes.flat, panels.items(), strict=False):
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(x_name, fontsize=8)
        axis.set_ylabel(y_name, fontsize=8)
        axis.tick_params(labelsize=7)
        if powers:
            axis.set_yscale("log")
        else:
            axis.set_ylim(-0.04, 1.04)
        for name, points in lines.items():
            ordered, (mark, colour) = sorted(points), looks[name]
            x, y = [point[0] for point in ordered], [point[1] for point in ordered]
            axis.plot(x, y, marker=mark, markersize=3.5, linewidth=1.3, color=colour, label=name)
            if bands:
                low, high = [point[2] for point in ordered], [point[3] for point in ordered]
                axis.fill_between(x, low, high, color=colour, alpha=0.1, linewidth=0)
    handles, names = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), fontsize=8)
    whole = io.BytesIO()
    figure.savefig(whole, format="png", dpi=130)
    with file_written_aside(path) as aside:
        aside.write_bytes(whole.getvalue())
