"""Recipes are data, and the note's models have the note's sizes."""

from __future__ import annotations

import inspect

import pytest

from gatelight import TextClassifier
from gatelight.errors import DataError
from gatelight.estimators.recipes import RECIPES, recipe, recipe_summary


@pytest.mark.parametrize(
    ("name", "dense", "total"), [("note-400", 20_001, 90_201), ("note-200", 10_001, 80_201)]
)
def test_note_recipes_have_the_parameters_of_the_note(name: str, dense: int, total: int) -> None:
    """Another gate layout, bias or head would change the counts that the note prints."""
    summary = recipe_summary(name)
    rows = {row.layer: row for row in summary.rows}
    assert rows["LSTM"].parameters == 70_200
    assert rows["Dense"].parameters == dense
    assert summary.trained == total


def test_every_recipe_sets_every_setting_but_seed_and_threads() -> None:
    """A setting left out would silently come from another recipe, the constructor's defaults."""
    settings = set(inspect.signature(TextClassifier).parameters) - {"seed", "threads"}
    for name, values in RECIPES.items():
        assert set(values) == settings, name


def test_default_recipe_is_the_constructor() -> None:
    """`TextClassifier()` in Python and `gatelight train` must be the same model."""
    for name, value in recipe("default").items():
        assert inspect.signature(TextClassifier).parameters[name].default == value, name


def test_recipes_cannot_be_changed() -> None:
    """A recipe changed by one user of a process would change it for all."""
    with pytest.raises(TypeError):
        RECIPES["default"]["hidden"] = 1  # type: ignore[index]
    with pytest.raises(DataError, match="there are default, note-400, note-200"):
        recipe("note-300")


def test_from_recipe_takes_overrides_and_names_strange_ones() -> None:
    """A misspelt setting must not be ignored."""
    estimator = TextClassifier.from_recipe("note-200", seed=3, epochs=1)
    assert (estimator.max_length, estimator.seed, estimator.epochs, estimator.unknown) == (200, 3, 1, "drop")
    with pytest.raises(DataError, match="no setting 'hiden'"):
        TextClassifier.from_recipe("default", hiden=5)
    assert estimator.summary().trained == 80_201


def test_note_recipe_without_vectors_says_how_to_get_them() -> None:
    """The note's vectors are frozen: without any there is nothing that could be learned from words."""
    with pytest.raises(DataError, match=r"vectors=.*'corpus'"):
        TextClassifier.from_recipe("note-400").fit(["a", "b"], [0, 1])
