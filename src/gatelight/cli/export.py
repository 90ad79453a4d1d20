"""`gatelight export`: a saved model as files of another program. Knows the formats' names, not their inside.

A new format is one line in `FORMATS`: a function that takes the model and the place and returns the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from gatelight.cli.options import READING, Json, Model, with_options
from gatelight.cli.output import console, emit, say
from gatelight.errors import DataError


@dataclass(frozen=True)
class Format:
    """What a format is, the endings of the files that are written, and who writes them."""

    about: str
    endings: tuple[str, ...]
    module: str  # imported only when the format is asked for
    function: str
    quantizes: bool = False  # whether the function takes quantize=


KERAS, SIDE = "gatelight.interop.keras", ".vocabulary.json"
ONNX = "gatelight.interop.onnx"
FORMATS = {
    "keras-json": Format("Keras 2 and 3: architecture and weights", (".json", ".h5", SIDE), KERAS, "to_json"),
    "keras-h5": Format("Keras 2 and 3: one HDF5 file", (".h5", SIDE), KERAS, "to_h5"),
    "keras": Format("Keras 3: one archive", (".keras", SIDE), KERAS, "to_keras"),
    "onnx": Format("ONNX Runtime and others: one file", (".onnx",), ONNX, "to_onnx", quantizes=True),
}
OFFERED = "; ".join(f"{name} ({format.about})" for name, format in FORMATS.items())


@with_options(reading=READING)
def export(
    model: Model,
    reading: dict[str, Any],
    to: Annotated[str, typer.Option("--to", help=f"The format: {OFFERED}.", metavar="FORMAT")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file to write; otherwise beside MODEL, by its name.", metavar="FILE"),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
    quantize: Annotated[
        bool, typer.Option("--quantize", help="Weights as int8 with a scale for each row (onnx).")
    ] = False,
    on: Annotated[
        str | None,
        typer.Option(
            "--on", help="Labelled texts on which to measure what --quantize costs.", metavar="DATA"
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Write a saved model for another program; what that has no layer for is refused with the reason."""
    if to not in FORMATS:
        raise DataError(f"there is no format {to!r}; there are {', '.join(FORMATS)}")
    chosen = FORMATS[to]
    if quantize and not chosen.quantizes:
        able = ", ".join(name for name, format in FORMATS.items() if format.quantizes)
        raise DataError(f"{to} has no int8 weights; leave out --quantize, or export --to {able}")
    if on is not None and not quantize:
        raise DataError("--on measures what --quantize costs: give both, or neither")
    place = Path(out or Path(model).resolve())
    stem = place.name.removesuffix(chosen.endings[0])
    for ending in chosen.endings:
        path = place.with_name(stem + ending)
        if path.exists() and not (overwrite and path.is_file()):
            raise DataError(f"{path} is there already; choose another place with --out, or give --overwrite")
    from gatelight.cli.sources import read_to_judge
    from gatelight.estimators.language import LanguageModel
    from gatelight.estimators.opening import load

    screen, found = console(machine=json), load(model)
    if isinstance(found, LanguageModel):
        raise DataError(f"{model} is a language model, which no format here can hold; name a classifier")
    corpus = None if on is None else read_to_judge(on, screen, reading)  # before anything is written
    write = getattr(import_module(chosen.module), chosen.function)
    files = write(found, place.with_name(stem), **({"quantize": True} if quantize else {}))
    change = None
    if corpus is not None:
        from gatelight.estimators.classifier import TextClassifier
        from gatelight.interop.onnx.accuracy import accuracy_change

        assert isinstance(found, TextClassifier)  # all that is written so far with quantize=
        change = accuracy_change(found, files[0], corpus.texts, corpus.labels or [])
    if json:
        told = {} if change is None else {"change": change.to_dict()}
        emit({"format": to, "files": [str(path) for path in files], **told})
        return
    for path in files:
        say(screen, f"{path}: {path.stat().st_size:,} bytes")
    if change is not None:
        say(screen, f"int8 weights: {change}")
