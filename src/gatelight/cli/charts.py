"""Charts of a report as SVG, by matplotlib."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.axes import Axes

SIZE = (5.0, 3.2)  # inches of 72 units: 11 units are 11 px on a phone
COLOURS = ["#1f5fbf", "#b3480a", "#1b7f5a", "#8a3fa0", "#7a6a00", "#b0245a"]
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "gatelight",
    "text.parse_math": False,  # a dollar sign in somebody's name is one
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#d0d6df",
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Curve:
    """A named line through points (x, y), or (x, y, low, high); `dashed` for what serves as comparison."""

    name: str
    points: Sequence[tuple[float, ...]]
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """At most six curves, or `bars` of a histogram: counts in bins of `width` each, from 0 up.

    Curves are of fractions, from `y_range`; where that is None, y is logarithmic. `mark` is a place on x with
    its name.
    """

    x_name: str
    y_name: str
    curves: Sequence[Curve] = ()
    bars: Sequence[int] = ()
    width: float = 1.0
    x_range: tuple[float, float] | None = None
    y_range: tuple[float, float] | None = (0.0, 1.0)
    percent_x: bool = False
    mark: tuple[float, str] | None = None

    def __html__(self) -> Markup:
        """Return the picture, which is how Jinja shows a chart."""
        from markupsafe import Markup, escape
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        legend, written = len(self.curves) > 1, io.StringIO()
        with rc_context(STYLE):  # type: ignore[arg-type]
            width, height = SIZE
            figure = Figure(figsize=(width, height + 0.6 * legend), layout="constrained")
            axes = figure.subplots()
            self._draw(axes)
            axes.set_xlabel(self.x_name)
            axes.set_title(self.y_name, loc="left")
            if legend:
                figure.legend(loc="outside lower left", ncols=1)
            nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
            figure.savefig(written, format="svg", metadata=nothing)
        # In HTML neither namespaces are needed nor a style that would be the whole page's.
        svg = re.sub(r' xmlns(:\w+)?="[^"]*"|<style.*?</style>', "", written.getvalue(), flags=re.DOTALL)
        label = escape(f"{self.y_name} by {self.x_name}")
        start = f'<svg class="chart" role="img" aria-label="{label}" '
        return Markup(svg[svg.index("<svg") :].replace("<svg ", start, 1))

    def _draw(self, axes: Axes) -> None:
        from matplotlib.ticker import PercentFormatter

        if self.bars:
            edges = [number * self.width for number in range(len(self.bars))]
            axes.bar(edges, self.bars, self.width * 0.9, align="edge", color=COLOURS[0])
        for colour, line in zip(COLOURS, self.curves, strict=False):
            x, y, *band = zip(*line.points, strict=True)
            look = "--" if line.dashed else "o-"
            axes.plot(x, y, look, color=colour, markersize=4, clip_on=False, label=line.name)
            if band:
                axes.fill_between(x, band[0], band[1], color=colour, alpha=0.12, linewidth=0)
        axes.set_xlim(self.x_range)
        if self.curves and self.y_range is None:
            axes.set_yscale("log")
        elif self.curves:
            axes.set_ylim(self.y_range)
            axes.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        if self.percent_x:
            axes.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
        end = axes.get_xlim()[1]
        if self.mark is not None and self.mark[0] <= end:
            at, name = self.mark
            axes.axvline(at, color=COLOURS[1], linestyle="--")
            side, align = (4, "left") if at < end / 2 else (-4, "right")
            axes.annotate(
                name,
                (at, 0.93),
                (side, 0),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha=align,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
            )
