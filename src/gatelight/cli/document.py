"""A report as a list of blocks: printed on the console, or written as one HTML file that needs no network.

Whatever text comes in is escaped by Jinja; the page allows neither scripts nor anything from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from gatelight import __version__
from gatelight.cli.output import emit, say, table
from gatelight.errors import MissingExtraError
from gatelight.files import file_written_aside

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.cli.charts import Chart


@dataclass(frozen=True)
class Heading:
    """The title of what follows."""

    kind: ClassVar = "heading"
    text: str


@dataclass(frozen=True)
class Line:
    """A sentence; `soft` for a remark."""

    kind: ClassVar = "line"
    text: str
    soft: bool = False


@dataclass(frozen=True)
class Table:
    """Rows whose first cell is text, and the others figures."""

    kind: ClassVar = "table"
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A chart with its caption, on the page only."""

    kind: ClassVar = "figure"
    chart: Chart
    caption: str


@dataclass(frozen=True)
class Dots:
    """A square of `side` with dots (x, y, class, text), on the page only; the legend names their classes."""

    kind: ClassVar = "dots"
    side: int
    dots: Sequence[tuple[float, float, str, str]]
    legend: Sequence[tuple[str, str]]
    caption: str


@dataclass(frozen=True)
class Card:
    """Lines, and quotes of texts (id, text)."""

    kind: ClassVar = "card"
    title: str
    lines: Sequence[str] = ()
    quotes: Sequence[tuple[str, str]] = ()


Block = Heading | Line | Table | Figure | Dots | Card


def tell(
    to: Console, title: str, blocks: Sequence[Block], page: Path | None, record: Mapping[str, Any] | None
) -> None:
    """Write the page where one is asked for, and print the report, or a record of it as JSON instead."""
    if page is not None:
        write_page(page, title, blocks)
    if record is not None:
        emit(record)
    else:
        print_blocks(to, [Heading(title), *blocks])
    if page is not None:
        say(to, f"report in {page}")


def print_blocks(to: Console, blocks: Iterable[Block]) -> None:
    """Print what a terminal can show."""
    for block in blocks:
        match block:
            case Heading(text):
                say(to, text, style="bold")
            case Line(text):
                say(to, text)
            case Table(columns, rows):
                to.print(table(columns, rows))
            case Card(title, lines, quotes):
                say(to, title, style="bold")
                for line in [*lines, *(f"{name}: {text}" for name, text in quotes)]:
                    say(to, f"  {line}")


def check_packages() -> None:
    """Raise MissingExtraError where no page can be written: before minutes of work for it."""
    for package in ("jinja2", "matplotlib"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "pictures", "a report")


def write_page(path: Path, title: str, blocks: Sequence[Block]) -> None:
    """Write a report aside and put it in its place; OSError when the disk refuses."""
    check_packages()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from gatelight.cli.charts import COLOURS

    environment = Environment(
        loader=PackageLoader("gatelight.cli"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    template = environment.get_template("report.html.jinja")
    with file_written_aside(path) as aside:
        page = template.render(title=title, blocks=blocks, colours=COLOURS, version=__version__)
        aside.write_text(page, encoding="utf-8", errors="backslashreplace")  # half of a surrogate pair
