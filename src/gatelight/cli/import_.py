"""`gatelight import`: files of another program become a saved model. Knows no format's inside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatelight.cli.options import Json
from gatelight.cli.output import console, emit, say
from gatelight.errors import DataError

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.interop.keras.imported import ImportedModel


def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="One Keras model (.keras, .h5), an architecture (.json) and its weights (.h5), or a text "
            "classifier that gatelight exported (.onnx).",
            metavar="FILE…",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The folder for the model.", metavar="MODEL")],
    vocabulary: Annotated[
        Path | None,
        typer.Option(
            "--vocabulary",
            help="Its side file, by which it reads texts: gatelight's, Keras's Tokenizer.to_json() or a JSON "
            "mapping of tokens to ids.",
            metavar="FILE",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Read a model that was trained elsewhere; what is not supported is named and nothing written."""
    from gatelight.cli.reports import layer_table
    from gatelight.interop.keras.imported import ImportedModel

    if any(file.suffix == ".onnx" for file in files):
        model: ImportedModel | TextClassifier = _from_onnx(files, vocabulary)
    else:
        from gatelight.interop import keras

        model = keras.load(*files, vocabulary=vocabulary)
    model.save(out)
    kind = "imported model" if isinstance(model, ImportedModel) else "text classifier"
    paths = path_lines(model) if isinstance(model, ImportedModel) else []
    if json:
        emit({"model": str(out), "kind": kind, **model.summary().to_dict(), "paths": paths})
        return
    to = console()
    to.print(layer_table(model.summary()))
    for line in paths:
        say(to, line)
    say(to, f"{kind} saved in {out}")


def _from_onnx(files: list[Path], vocabulary: Path | None) -> TextClassifier:
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.interop import onnx

    if len(files) > 1 or vocabulary is not None:
        raise DataError("an ONNX file holds all there is of a model; give it alone, without a vocabulary")
    model = onnx.load(files[0])
    if not isinstance(model, TextClassifier):
        raise DataError(
            f"{files[0]} holds no text classifier of gatelight's but a {type(model).__name__}; open it in "
            "Python by gatelight.interop.onnx.load"
        )
    return model


def path_lines(model: ImportedModel) -> list[str]:
    """For each memory who computes it and why, a line each."""
    return [f"{name}: {path}, {why}" for name, path, why in model.paths()]
