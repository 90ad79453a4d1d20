"""A table of figures on a narrow screen: the first column gives way, and no figure loses a digit."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

LEAST = 16  # cells that are left of the first column; on a screen too narrow even for that all give way


class FittedTable(Table):
    """Names in the first column, figures in the others."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render, the first column shortened by what is too much."""
        wide = options.update(max_width=10_000)
        too_much = Measurement.get(console, wide, self).maximum - options.max_width
        if too_much > 0 and len(self.columns) > 1:
            first = self.columns[0]
            natural = max(
                Measurement.get(console, wide, cell).maximum for cell in (first.header, *first.cells)
            )
            if natural - too_much >= LEAST:
                first.max_width = natural - too_much
        yield from super().__rich_console__(console, options)
