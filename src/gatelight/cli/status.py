"""`gatelight status`: which path computes the memory on this machine, or of one model, and why."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from gatelight.cli.import_ import path_lines
from gatelight.cli.options import Json
from gatelight.cli.output import console, emit, say


def status(
    model: Annotated[
        str | None,
        typer.Argument(
            help="The folder of a model from elsewhere, for its own layers.",
            metavar="MODEL",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say which path computes each cell here, and why; with MODEL also each layer of an imported model."""
    from gatelight.nn import status as of_memory

    found = of_memory()
    lines = [] if model is None else _layers(model)
    if json:
        emit({**asdict(found), **({} if model is None else {"layers": lines})})
        return
    to = console()
    for line in [*str(found).splitlines(), *lines]:
        say(to, line)


def _layers(model: str) -> list[str]:
    """A line for each layer; none for a model of our own cells, of which the first part tells."""
    from gatelight.estimators.opening import load
    from gatelight.interop.keras.imported import ImportedModel

    opened = load(model)
    return path_lines(opened) if isinstance(opened, ImportedModel) else []
