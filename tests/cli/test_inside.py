"""`gatelight explain` and `trace`, as users run them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from command_line import gatelight, json_lines, one_line_and_two, succeeded

import gatelight as package

TEXT = "the film 3 was wonderful, and so is its qwertz"


def test_explain_for_people_and_for_machines(model: Path) -> None:
    """What is printed must be what the library says, with the baseline and the gap beside it."""
    found = package.load(model).explain(TEXT)
    (record,) = json_lines(gatelight("explain", model, TEXT, "--json").stdout)
    assert [word["token"] for word in record["words"]] == found.steps.tokens
    assert [word["contribution"] for word in record["words"]] == found.contributions.tolist()
    assert record["gap"] == found.gap
    assert not record["words"][-1]["known"]
    shown = succeeded("explain", model, TEXT, "--target", "neg")
    for part in ("neg", "wonderful", "qwertz (unknown)", "gap", "all zero"):
        assert part in shown.stdout
    assert "no method 'lime'" in one_line_and_two(gatelight("explain", model, TEXT, "--method", "lime"))
    assert "no class 'good'" in one_line_and_two(gatelight("explain", model, TEXT, "--target", "good"))


def test_a_trace_is_the_librarys(model: Path, reviews: Path, tmp_path: Path) -> None:
    """Every gate and state, of as many texts as were asked for."""
    out = tmp_path / "trace.npz"
    result = succeeded("trace", model, reviews, "-o", out, "--limit", 5)
    assert "5 texts" in result.stdout
    with np.load(out) as file:
        assert len(file["lengths"]) == 5
        assert file["cell_state"].shape[1:] == (1, 2, 8)
    assert "is written as" in one_line_and_two(gatelight("trace", model, reviews, "-o", tmp_path / "t.csv"))


def test_a_language_model_is_refused_in_one_line(reviews: Path, tmp_path: Path) -> None:
    """It has no classes to explain; a traceback would look like our fault."""
    package.LanguageModel(hidden_size=4, embedding_dim=4, epochs=1, batch_size=2, steps=8).fit(
        ["the film"] * 20
    ).save(tmp_path / "lm")
    said = one_line_and_two(gatelight("explain", tmp_path / "lm", "a film"))
    assert "not of a gatelight text classifier" in said
