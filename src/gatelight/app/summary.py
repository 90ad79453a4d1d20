"""`gatelight summary`: the layers of a model or a recipe, without any data."""

from __future__ import annotations

from typing import Annotated

import typer

from gatelight.app.import_ import path_lines
from gatelight.app.options import Json
from gatelight.app.output import console, emit, say
from gatelight.errors import DataError


def summary(
    model: Annotated[
        str | None, typer.Argument(help="The folder of a saved model.", metavar="MODEL", show_default=False)
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", help="A recipe instead: default, char, note-400, note-200 or note-char."),
    ] = None,
    json: Json = False,
) -> None:
    """Print the layers with output shapes and parameter counts; V is the size of a vocabulary yet unknown."""
    if (model is None) == (recipe is None):
        raise DataError("give the folder of a model or --recipe NAME, one of the two")
    from gatelight.app.reports import layer_table
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.estimators.imported import ImportedModel
    from gatelight.estimators.language import LanguageModel
    from gatelight.estimators.opening import load

    estimator = load(model) if model is not None else TextClassifier.from_recipe(recipe or "")
    if isinstance(estimator, LanguageModel):
        raise DataError(
            f"{model} is a language model; its settings are in config.json, its card is README.md"
        )
    layers = estimator.summary()
    paths = path_lines(estimator) if isinstance(estimator, ImportedModel) else []
    if json:
        emit(layers.to_dict() | ({"paths": paths} if paths else {}))
        return
    to = console()
    to.print(layer_table(layers))
    for line in paths:
        say(to, line)
