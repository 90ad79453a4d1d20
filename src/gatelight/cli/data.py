"""`gatelight data`: which named data sets there are, and getting them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gatelight.cli.options import Json
from gatelight.cli.output import console, emit, say, table
from gatelight.cli.progress import Meter, download, size

app = typer.Typer(help="Named data sets: list them, get them.", no_args_is_help=True)


@app.command("list")
def list_sets(json: Json = False) -> None:
    """List the named data sets, their licences, and which of them are here."""
    from gatelight.text.datasets import DATASETS, cache_folder, cached

    to = console(machine=json)
    if json:
        for entry in DATASETS.values():
            path = cached(entry.name)
            emit(
                {
                    "name": entry.name,
                    "kind": entry.kind,
                    "about": entry.about,
                    "licence": entry.licence,
                    "bytes": entry.size,
                    "path": None if path is None else str(path),
                }
            )
        return
    rows = [
        [entry.name, entry.kind, size(entry.size), "here" if cached(entry.name) else "not here yet"]
        for entry in DATASETS.values()
    ]
    to.print(table(["name", "kind", "size", ""], rows))
    for entry in DATASETS.values():
        say(to, f"{entry.name}: {entry.about}")
        say(to, f"  licence: {entry.licence}")
    say(to, f"kept in {cache_folder()}")


@app.command("get", no_args_is_help=True)
def get(
    name: Annotated[str, typer.Argument(help="The data set's name.", metavar="NAME")],
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Take this copy instead of fetching it.", metavar="FILE"),
    ] = None,
    json: Json = False,
) -> None:
    """Fetch a named data set, check it and keep it, unless it is here already."""
    from gatelight.text import datasets

    to = console(machine=json)
    with Meter(to) as meter:
        path = datasets.get(name, source, download(meter, name), lambda notice: meter.line(notice, "yellow"))
    entry, original = datasets.DATASETS[name], datasets.is_original(name)
    if json:
        emit({"name": name, "path": str(path), "licence": entry.licence, "original": original})
        return
    say(to, f"{name}: {entry.about}")
    say(to, f"licence: {entry.licence}")
    say(to, "checksum: that of the original" if original else "checksum: not that of the original")
    say(to, f"kept in {path}")
