"""Charts of a report as SVG, by matplotlib, in the colours of the page, whether light or dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

SIZE = (5.0, 3.2)  # inches of 72 units: 11 units are 11 px on a phone
COLOURS = 6
# matplotlib knows no CSS variables: these stand for them until the picture is written.
INK, SOFT, LINE, BACK = "#000001", "#000002", "#000003", "#000004"
VARIABLES = {INK: "--ink", SOFT: "--soft", LINE: "--line", BACK: "--back"}
VARIABLES |= {f"#0000c{number}": f"--c{number}" for number in range(COLOURS)}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gatelight",
    "text.parse_math": False,  # a dollar sign in somebody's name is one
    "font.size": 11,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "ytick.left": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": LINE,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Curve:
    """A named line through points (x, y), or (x, y, low, high); `dashed` for what serves as comparison."""

    name: str
    points: Sequence[tuple[float, ...]]
    dashed: bool = False


def histogram(counts: Sequence[int], width: float, x_name: str, mark: float, mark_name: str) -> Markup:
    """Return bars of `width` each from 0 up, with a dashed line at `mark`."""

    def draw(axes: Axes) -> None:
        edges = [number * width for number in range(len(counts))]
        axes.bar(edges, counts, width * 0.9, align="edge", color="#0000c0")
        _mark(axes, mark, mark_name, len(counts) * width)

    return _svg(draw, x_name, "texts")


def curves(
    lines: Sequence[Curve],
    x_name: str,
    y_name: str,
    *,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = (0.0, 1.0),
    percent_x: bool = False,
    mark: float | None = None,
    mark_name: str = "",
) -> Markup:
    """Return at most `COLOURS` lines over fractions from `y_range`; where that is None, y is logarithmic."""
    from matplotlib.ticker import PercentFormatter

    def draw(axes: Axes) -> None:
        for number, line in enumerate(lines):
            colour = f"#0000c{number}"
            x, y, *band = zip(*line.points, strict=True)
            look = "--" if line.dashed else "o-"
            axes.plot(x, y, look, color=colour, markersize=4, clip_on=False, label=line.name)
            if band:
                axes.fill_between(x, band[0], band[1], color=colour, alpha=0.12, linewidth=0)
        axes.set_xlim(x_range)
        if y_range is None:
            axes.set_yscale("log")
        else:
            axes.set_ylim(y_range)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        if percent_x:
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        if mark is not None:
            _mark(axes, mark, mark_name, axes.get_xlim()[1])

    return _svg(draw, x_name, y_name, legend=len(lines) > 1)


def _mark(axes: Axes, at: float, name: str, end: float) -> None:
    if at <= end:
        axes.axvline(at, color="#0000c1", linestyle="--")
        side, align = (4, "left") if at < end / 2 else (-4, "right")
        axes.annotate(
            name,
            (at, 0.93),
            (side, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha=align,
            bbox={"facecolor": BACK, "edgecolor": "none", "pad": 1},
        )


def _svg(draw: Callable[[Axes], None], x_name: str, y_name: str, legend: bool = False) -> Markup:
    from markupsafe import Markup, escape
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    written = io.StringIO()
    with rc_context(STYLE):  # type: ignore[arg-type]
        width, height = SIZE
        figure = Figure(figsize=(width, height + 0.6 * legend), layout="constrained")
        axes = figure.subplots()
        draw(axes)
        axes.set_xlabel(x_name)
        axes.set_title(y_name, loc="left")
        if legend:
            figure.legend(loc="outside lower left", ncols=1)
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(written, format="svg", transparent=True, metadata=nothing)
    # TextPredictions HTML neither namespaces are needed nor a style that would be the whole page's.
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"|<style.*?</style>', "", written.getvalue(), flags=re.DOTALL)
    svg = re.sub("#0000(?:0[1-4]|c[0-5])", lambda found: f"var({VARIABLES[found[0]]})", svg)
    label = escape(f"{y_name} by {x_name}")
    return Markup(svg[svg.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))
