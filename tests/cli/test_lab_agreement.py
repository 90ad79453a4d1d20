"""`gatelight lab agreement`: from pairs to a table, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import SMALL, gatelight, json_lines, one_line_and_two

import gatelight as library
from gatelight.lab.agreement import score_pairs
from gatelight.lab.minimal_pairs import read_pairs

TEXTS = ["the dog barks .", "the dogs bark .", "a dog near the dogs barks .", "they go"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "texts.txt").write_text("\n".join(TEXTS * 4), "utf-8")
    gatelight("train-lm", folder / "texts.txt", "--out", folder / "lm", "--tokenizer", "word", *SMALL)
    pairs = [
        ("the dog barks .", "the dog bark .", "near", 1),
        ("the dogs bark .", "the dogs barks .", "near", 1),
        ("the cow barks .", "the cow bark .", "near", 1),
        ("a dog near the dogs barks .", "a dog near the dogs bark .", "far", 4),
    ]
    names = ("good", "bad", "construction", "distance")
    lines = [json.dumps(dict(zip(names, pair, strict=True))) for pair in pairs]
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def test_pairs_are_scored_as_in_python(written: Path) -> None:
    """The table would tell of other pairs than the library scored, or of n-grams of other texts."""
    how = (written / "pairs.jsonl", "--train", written / "texts.txt")
    (told,) = json_lines(gatelight("lab", "agreement", written / "lm", *how, "--json").stdout)
    scored = score_pairs(library.load(written / "lm"), read_pairs(written / "pairs.jsonl"))  # type: ignore[arg-type]
    assert (told["pairs"], told["scored"], told["unknown"]) == (4, 3, {"cow": 1})
    right = {(row["scorer"], row["by"], row["group"]): row["right"] for row in told["accuracies"]}
    assert right["model", "all", "all"] == int((scored.margins["model"] > 0).sum())
    assert right["n-grams", "distance", "1"] in (0, 1, 2)
    table = gatelight("lab", "agreement", written / "lm", *how).stdout
    assert "4 pairs, 3 scored" in table
    assert "cow (1)" in table
    assert "n-grams" in table
    assert "n-grams" not in gatelight("lab", "agreement", written / "lm", written / "pairs.jsonl").stdout


def test_what_cannot_be_asked_is_one_line(written: Path, tmp_path: Path) -> None:
    """A traceback for a folder that is not there."""
    model = written / "lm"
    assert "no such file" in one_line_and_two(gatelight("lab", "agreement", model, tmp_path / "x"))
