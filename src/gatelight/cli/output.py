"""How results look: the console, tables, percentages, JSON lines. Knows nothing of what the figures mean.

Text that came from the user is never read as markup and cannot move the terminal's cursor.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Control characters would let a text clear the reader's screen; tabs and line ends would break our columns.
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029], " ")


def one_line(text: str) -> str:
    """Return `text` with every control character and line end turned into a space."""
    return text.translate(_CONTROLS)


def console(machine: bool = False) -> Console:
    """Return the console for people: stdout, or stderr when stdout carries JSON (`machine`)."""
    from rich.console import Console

    return Console(stderr=machine, markup=False, highlight=False, emoji=False)


def say(to: Console, text: str, style: str = "") -> None:
    """Print one line for people, never wrapped, so that a log keeps it whole."""
    from rich.text import Text

    to.print(Text(one_line(text), style=style), soft_wrap=True)


def emit(record: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of its own to stdout, at once; a NaN becomes null."""
    sys.stdout.write(as_json(record) + "\n")
    sys.stdout.flush()


def as_json(record: Mapping[str, Any]) -> str:
    """Return one line of strict JSON, readable where stdout can carry Unicode."""
    unicode_output = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "") == "utf8"
    return json.dumps(_plain(record), ensure_ascii=not unicode_output, allow_nan=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> Table:
    """Return a table whose first column is text and whose others are figures, set to the right.

    Where a screen is too narrow the first column is shortened.
    """
    from rich import box
    from rich.text import Text

    from gatelight.cli.fitted import FittedTable

    out = FittedTable(
        box=box.SIMPLE_HEAD, title=None if title is None else Text(one_line(title)), pad_edge=False
    )
    out.title_justify = "left"
    for index, name in enumerate(columns):
        justify: Literal["left", "right"] = "left" if index == 0 else "right"
        out.add_column(Text(name), justify=justify, no_wrap=True, overflow="ellipsis")
    for row in rows:
        out.add_row(*(Text(one_line(cell)) for cell in row))
    return out


def percent(share: float) -> str:
    """Return a share of 1 as a percentage with one decimal, for people."""
    return "–" if math.isnan(share) else f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Return seconds as people say them: 4.2 s, 3 min 20 s, 1 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def _plain(value: Any) -> Any:
    # NumPy scalars know `item`; JSON has no NaN.
    if hasattr(value, "item") and not isinstance(value, (str, bytes)):
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
