"""`gatelight export`: a saved model as files of another program. Knows the formats' names, not their inside.

A new format is one line in `FORMATS`: a function that takes the model and the place and returns the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from gatelight.app.options import Json, Model
from gatelight.app.output import console, emit, say
from gatelight.errors import DataError


@dataclass(frozen=True)
class Format:
    """What a format is, the endings of the files that are written, and who writes them."""

    about: str
    endings: tuple[str, ...]
    module: str  # imported only when the format is asked for
    function: str


KERAS, SIDE = "gatelight.interop.keras", ".vocabulary.json"
FORMATS = {
    "keras-json": Format("Keras 2 and 3: architecture and weights", (".json", ".h5", SIDE), KERAS, "to_json"),
    "keras-h5": Format("Keras 2 and 3: one HDF5 file", (".h5", SIDE), KERAS, "to_h5"),
    "keras": Format("Keras 3: one archive", (".keras", SIDE), KERAS, "to_keras"),
}
OFFERED = "; ".join(f"{name} ({format.about})" for name, format in FORMATS.items())


def export(
    model: Model,
    to: Annotated[str, typer.Option("--to", help=f"The format: {OFFERED}.", metavar="FORMAT")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file to write; otherwise beside MODEL, by its name.", metavar="FILE"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    json: Json = False,
) -> None:
    """Write a saved model for another program; what that has no layer for is refused with the reason."""
    if to not in FORMATS:
        raise DataError(f"there is no format {to!r}; there are {', '.join(FORMATS)}")
    chosen = FORMATS[to]
    place = Path(out or Path(model).resolve())
    stem = place.name.removesuffix(chosen.endings[0])
    for ending in chosen.endings:
        path = place.with_name(stem + ending)
        if path.exists() and not (overwrite and path.is_file()):
            raise DataError(f"{path} is there already; choose another place with --out, or give --overwrite")
    from gatelight.estimators.opening import load

    files = getattr(import_module(chosen.module), chosen.function)(load(model), place.with_name(stem))
    if json:
        emit({"format": to, "files": [str(path) for path in files]})
        return
    for path in files:
        say(console(), f"{path}: {path.stat().st_size:,} bytes")
