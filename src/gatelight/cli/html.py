"""Reports as one HTML file that needs no network, from the templates beside this file.

Whatever text comes in is escaped by Jinja; the page allows neither scripts nor anything from elsewhere.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gatelight import __version__
from gatelight.errors import MissingExtraError
from gatelight.files import file_written_aside


def check() -> None:
    """Raise MissingExtraError where no report can be written: before minutes of work for it."""
    for package in ("jinja2", "matplotlib"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "pictures", "a report")


def write(path: Path, template: str, title: str, **values: Any) -> None:
    """Write a report aside and put it in its place; OSError when the disk refuses."""
    check()
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("gatelight.cli"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    page = environment.get_template(f"{template}.html.jinja").render(
        title=title, version=__version__, **values
    )
    with file_written_aside(path) as aside:
        aside.write_text(page, encoding="utf-8", errors="backslashreplace")  # half of a surrogate pair
