"""How results look: the console, tables, percentages, JSON lines.

Text that came from the user is never read as markup and cannot move the terminal's cursor.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TextIO

from gatelight.files import file_written_aside
from gatelight.launched import rank

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# Control characters would let a text clear the reader's screen; tabs and line ends would break our columns.
_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029], " ")
_goes_on = ""  # what goes on though nobody reads the output any more


def one_line(text: str) -> str:
    """Return `text` with every control character and line end turned into a space."""
    return text.translate(_CONTROLS)


def console(machine: bool = False) -> Console:
    """Return the console for people: stdout, or stderr when stdout carries JSON (`machine`).

    Of several processes only the first one's shows anything.
    """
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            _reader_left(self.file)

    return Screen(stderr=machine, markup=False, highlight=False, emoji=False, quiet=rank() > 0)


def set_going_on(what: str) -> None:
    """Let the work go on where its output is read no more (`| head`), and say so as `what`, unless ""."""
    global _goes_on
    _goes_on = what


def _reader_left(stream: Any) -> None:
    if not _goes_on:
        raise BrokenPipeError
    abandon(stream)
    complain(f"the output is read no more; {_goes_on}")


def abandon(stream: TextIO) -> None:
    """Send what a stream still holds nowhere, or the interpreter would fail once more on its way out."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def complain(message: str) -> None:
    """Write one line to stderr, if that is still there."""
    try:
        sys.stderr.write(f"gatelight: {one_line(message)}\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        abandon(sys.stderr)


def say(to: Console, text: str, style: str = "") -> None:
    """Print one line for people, never wrapped, so that a log keeps it whole."""
    from rich.text import Text

    to.print(Text(one_line(text), style=style), soft_wrap=True)


def emit(record: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of its own to stdout, at once; a NaN becomes null."""
    write(as_json(record) + "\n")


def write(text: str) -> None:
    """Write to stdout at once, from the first of several processes."""
    if rank():
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _reader_left(sys.stdout)


def as_json(record: Mapping[str, Any]) -> str:
    """Return one line of strict JSON, readable where stdout can carry Unicode."""
    unicode_output = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "") == "utf8"
    return json.dumps(_plain(record), ensure_ascii=not unicode_output, allow_nan=False)


def save_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON aside, and put it in its place."""
    with file_written_aside(path) as aside:
        aside.write_text(json.dumps(_plain(value), indent=1, allow_nan=False) + "\n", "utf-8")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> RenderableType:
    """Return a table under its title: the first column text, the others figures, set to the right.

    On a narrow screen the first column is broken into lines, and no figure loses a digit.
    """
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    out = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(columns):
        justify: Literal["left", "right"] = "right" if index else "left"
        out.add_column(
            Text(name), justify=justify, no_wrap=index > 0, overflow="ellipsis" if index else "fold"
        )
    for row in rows:
        out.add_row(*(Text(one_line(cell)) for cell in row))
    return out if title is None else Group(Text(f"\n{one_line(title)}", style="italic"), out)


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with one decimal, for people."""
    return "–" if math.isnan(fraction) else f"{100 * fraction:.1f} %"


def interval(low: float, high: float) -> str:
    """Return an interval of fractions as people read it: 71.2–74.0."""
    return "–" if math.isnan(low) else f"{100 * low:.1f}–{100 * high:.1f}"


def duration(seconds: float) -> str:
    """Return seconds as people say them: 4.2 s, 3 min 20 s, 1 h 05 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"


def size(count: float) -> str:
    """Return a number of bytes for people: 56.7 MB."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


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
