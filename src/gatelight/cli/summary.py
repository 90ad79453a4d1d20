"""`gatelight summary`: the layers of a model or a preset, without any data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gatelight.cli.import_ import path_lines
from gatelight.cli.options import Json
from gatelight.cli.output import console, emit, say
from gatelight.errors import DataError

if TYPE_CHECKING:
    from gatelight.models.summary import Summary


def summary(
    model: Annotated[
        str | None, typer.Argument(help="The folder of a saved model.", metavar="MODEL", show_default=False)
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="A preset instead: default, char, note-400, note-200 or note-char."),
    ] = None,
    json: Json = False,
) -> None:
    """Print the layers with output shapes and parameter counts; V is the size of a vocabulary yet unknown."""
    if (model is None) == (preset is None):
        raise DataError("give the folder of a model or --preset NAME, one of the two")
    from gatelight.cli.reports import layer_table

    layers, paths = _of_preset(preset) if model is None else _of_model(model)
    if json:
        emit(layers.to_dict() | ({"paths": paths} if paths else {}))
        return
    to = console()
    to.print(layer_table(layers))
    for line in paths:
        say(to, line)


def _of_preset(name: str | None) -> tuple[Summary, list[str]]:
    from gatelight.estimators.settings import preset_summary

    return preset_summary(name or ""), []


def _of_model(folder: str) -> tuple[Summary, list[str]]:
    """The table, and who computes the memories of a model that was made elsewhere."""
    from gatelight.estimators.folder import kind_of
    from gatelight.estimators.judging import Judge
    from gatelight.estimators.opening import LANGUAGE, load_judge
    from gatelight.models.summary import summary as table_of

    if kind_of(Path(folder)) == LANGUAGE:
        raise DataError(
            f"{folder} is a language model; its settings are in config.json, its card is README.md"
        )
    opened = load_judge(folder)  # without torch and scikit-learn, whose imports take longest
    if isinstance(opened, Judge):
        return table_of(opened.config), []
    return opened.summary(), path_lines(opened)
