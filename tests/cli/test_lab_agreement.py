"""`gatelight lab agreement`: from pairs to a table, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import SMALL, gatelight, json_lines, one_line_and_two

import gatelight as library
from gatelight.lab.agreement import score_pairs
from gatelight.lab.minimal_pairs import read_pairs
from gatelight.lab.note_sentences import SENTENCES

TEXTS = ["the dog barks .", "the dogs bark .", "a dog near the dogs barks .", "they go", *SENTENCES]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "texts.txt").write_text("\n".join(TEXTS * 4), "utf-8")
    gatelight("train-lm", folder / "texts.txt", "--out", folder / "lm", "--tokenizer", "word", *SMALL)
    rows = ["good,bad,construction,distance", "the dog barks .,the dog bark .,near,1"]
    rows += ["the dogs bark .,the dogs barks .,near,1", "the cow barks .,the cow bark .,near,1"]
    rows += ["a dog near the dogs barks .,a dog near the dogs bark .,far,4"]
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


def test_pairs_are_scored_as_in_python(written: Path) -> None:
    """The table would tell of other pairs than the library scored, or of n-grams of other texts."""
    how = (written / "pairs.csv", "--train", written / "texts.txt")
    (told,) = json_lines(gatelight("lab", "agreement", written / "lm", *how, "--json").stdout)
    scored = score_pairs(library.load(written / "lm"), read_pairs(written / "pairs.csv"))  # type: ignore[arg-type]
    assert (told["pairs"], told["scored"], told["unknown"]) == (4, 3, {"cow": 1})
    right = {(row["scorer"], row["by"], row["group"]): row["right"] for row in told["accuracies"]}
    assert right["model", "all", "all"] == int((scored.margins["model"] > 0).sum())
    assert right["n-grams", "distance", "1"] in (0, 1, 2)
    table = gatelight("lab", "agreement", written / "lm", *how).stdout
    assert "4 pairs, 3 scored" in table
    assert "cow (1)" in table
    assert "n-grams" in table
    assert "n-grams" not in gatelight("lab", "agreement", written / "lm", written / "pairs.csv").stdout


def test_other_texts_than_the_model_had_are_told_of(written: Path) -> None:
    """N-grams of half of the texts would be an easy baseline to beat."""
    how = (written / "pairs.csv", "--train", written / "texts.txt", "--limit", 5)
    said = gatelight("lab", "agreement", written / "lm", *how).output
    assert "the model learned from 24 texts, the n-grams from 5" in said


def test_what_cannot_be_asked_is_one_line(written: Path, tmp_path: Path) -> None:
    """A traceback for a folder that is not there."""
    model = written / "lm"
    assert "no such file" in one_line_and_two(gatelight("lab", "agreement", model, tmp_path / "x"))
