"""`gatelight explain`, `faithfulness`, `trace`, `units` and `ablate`, as users run them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import gatelight, json_lines, one_line_and_two

import gatelight as package

TEXT = "the film 3 was wonderful, and so is its qwertz"


def test_explain_for_people_and_for_machines(model: Path) -> None:
    """What is printed must be what the library says, with the baseline and the gap beside it."""
    found = package.load(model).explain(TEXT)
    (record,) = json_lines(gatelight("explain", model, TEXT, "--winners", "--json").stdout)
    assert [word["token"] for word in record["words"]] == found.steps.tokens
    assert [word["contribution"] for word in record["words"]] == found.contributions.tolist()
    assert record["gap"] == found.gap
    assert not record["words"][-1]["known"]
    assert len(record["winners"]) == 16
    shown = gatelight("explain", model, TEXT, "--winners", "--target", "neg")
    assert shown.exit_code == 0, shown.output
    for part in ("neg", "wonderful", "qwertz (unknown)", "gap", "all zero", "winners of 16 units"):
        assert part in shown.stdout
    assert "no method 'lime'" in one_line_and_two(gatelight("explain", model, TEXT, "--method", "lime"))
    assert "no class 'good'" in one_line_and_two(gatelight("explain", model, TEXT, "--target", "good"))


def test_faithfulness_with_and_without_rationales(model: Path, reviews: Path, tmp_path: Path) -> None:
    """Every order stands beside chance and the baseline's; people's marks where there are any."""
    result = gatelight("faithfulness", model, reviews, "--limit", 6, "--json")
    (record,) = json_lines(result.stdout)
    assert record["texts"] == 6
    assert [one["method"] for one in record["methods"]][-2:] == ["tf-idf", "random"]
    assert record["methods"][0]["precision"] is None
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a").write_text(TEXT.replace(",", " ,"), "utf-8")
    span = {"docid": "a", "start_token": 4, "end_token": 5}
    line = {"annotation_id": "a", "classification": "pos", "evidences": [[span]]}
    (tmp_path / "test.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    shown = gatelight("faithfulness", model, tmp_path)
    assert shown.exit_code == 0, shown.output
    assert "average precision" in shown.stdout
    assert "people on the 1 texts" in shown.stdout


def test_trace_units_and_ablate(model: Path, reviews: Path, tmp_path: Path) -> None:
    """The file is the library's trace; tables name every gate."""
    out = tmp_path / "trace.npz"
    result = gatelight("trace", model, reviews, "-o", out, "--limit", 5)
    assert result.exit_code == 0, result.output
    assert "5 texts" in result.stdout
    with np.load(out) as file:
        assert len(file["lengths"]) == 5
        assert file["cell_state"].shape[1:] == (1, 2, 8)
    (record,) = json_lines(gatelight("ablate", model, reviews, "--limit", 40, "--json").stdout)
    assert record["texts"] == 40
    gates = {(one["gate"], one["held"]) for one in record["held"]}
    assert gates == {
        (f"{g}_gate", h) for g in ("input", "forget", "output") for h in ("open", "shut", "mean")
    }
    assert "forget gate" in gatelight("ablate", model, reviews, "--limit", 20).stdout
    shown = gatelight("units", model, reviews, "--limit", 40, "--topic", "music,plot")
    assert shown.exit_code == 0, shown.output
    for part in ("label neg", "after music, plot", "inside quotes: too few tokens"):
        assert part in shown.stdout
    assert "is written as" in one_line_and_two(gatelight("trace", model, reviews, "-o", tmp_path / "t.csv"))
    quantity = gatelight("units", model, reviews, "--quantity", "mood", "--limit", 9)
    assert "no 'mood'" in one_line_and_two(quantity)


@pytest.mark.parametrize("verb", ["explain", "faithfulness", "units", "ablate"])
def test_a_language_model_is_refused_in_one_line(verb: str, reviews: Path, tmp_path: Path) -> None:
    """It judges no text; a traceback would look like our fault."""
    package.LanguageModel(hidden_size=4, embedding_dim=4, epochs=1, batch_size=2, steps=8).fit(
        ["the film"] * 20
    ).save(tmp_path / "lm")
    assert "not of a gatelight text classifier" in one_line_and_two(gatelight(verb, tmp_path / "lm", reviews))
