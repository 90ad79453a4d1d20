"""`gatelight lab agreement`, `sentences` and `number`: from pairs to a table, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import gatelight, json_lines, one_line_and_two

import gatelight as library
from gatelight.lab import number
from gatelight.lab.agreement import judge
from gatelight.lab.minimal_pairs import read_pairs
from gatelight.lab.note_sentences import SENTENCES, reach
from gatelight.lab.number_sentences import KNOWN, corpus

SMALL = (
    "--hidden-size",
    "8",
    "--embedding-dim",
    "6",
    "--batch-size",
    "2",
    "--steps",
    "8",
    "--min-count",
    "1",
)
TEXTS = ["the dog barks .", "the dogs bark .", "a dog near the dogs barks .", "they go", *SENTENCES]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "texts.txt").write_text("\n".join(TEXTS * 4), "utf-8")
    gatelight("train-lm", folder / "texts.txt", "--out", folder / "lm", "--tokenizer", "word", *SMALL)
    rows = ["good,bad,construction,distance,nouns", "the dog barks .,the dog bark .,near,1,0"]
    rows += ["the dogs bark .,the dogs barks .,near,1,0", "the cow barks .,the cow bark .,near,1,0"]
    rows += ["a dog near the dogs barks .,a dog near the dogs bark .,far,4,1"]
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n", "utf-8")
    return folder


def test_pairs_are_judged_as_in_python(written: Path) -> None:
    """The table would tell of other pairs than the library judged, or of n-grams of other texts."""
    how = ("--data", written / "pairs.csv", "--train", written / "texts.txt")
    (told,) = json_lines(gatelight("lab", "agreement", written / "lm", *how, "--json").stdout)
    judged = judge(library.load(written / "lm"), read_pairs(written / "pairs.csv"))  # type: ignore[arg-type]
    assert (told["pairs"], told["asked"], told["judged"], told["unknown"]) == (4, 4, 3, {"cow": 1})
    right = {(row["judge"], row["by"], row["group"]): row["right"] for row in told["shares"]}
    assert right["model", "all", "all"] == int((judged.margins["model"] > 0).sum())
    assert right["n-grams", "distance", "1"] in (0, 1, 2)
    table = gatelight("lab", "agreement", written / "lm", *how).stdout
    assert "4 pairs, 4 asked, 3 judged" in table
    assert "cow (1)" in table
    assert "n-grams" in table
    few = gatelight("lab", "agreement", written / "lm", "--data", written / "pairs.csv", "--limit", 1).stdout
    assert "4 pairs, 2 asked" in few
    assert "n-grams" not in few


def test_other_texts_than_the_model_had_are_told_of(written: Path) -> None:
    """N-grams of half of the texts would be an easy baseline to beat."""
    how = ("--data", written / "pairs.csv", "--train", written / "texts.txt", "--train-limit", 5)
    said = gatelight("lab", "agreement", written / "lm", *how).output
    assert "the model learned from 24 texts, the n-grams from 5" in said


def test_the_two_sentences_are_asked_about(written: Path) -> None:
    """A row under the wrong sentence turns the answer around."""
    (first, second) = json_lines(gatelight("lab", "sentences", written / "lm", "--json").stdout)
    model = library.load(written / "lm")
    for told, sentence in ((first, SENTENCES[0]), (second, SENTENCES[1])):
        found = reach(model, sentence)  # type: ignore[arg-type]
        assert (told["verb"], told["gradient"], told["distance"]) == (
            found.verb, found.gradient, found.distance
        )  # fmt: skip
    assert "P(went)" in gatelight("lab", "sentences", written / "lm").stdout


def test_runs_are_kept_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three minutes of learning would be spent again for one more cell."""
    tests = {f"known {distance}": corpus(distance, KNOWN, 40, (distance,)) for distance in number.DISTANCES}
    small = number.Material(corpus(0, KNOWN, 64, (1, 4)), tests)
    monkeypatch.setattr("gatelight.lab.number.material", lambda nearest, farthest: small)
    how = ("lab", "number", "--out", tmp_path / "runs", "--epochs", 1, "--jobs", 1)
    one = gatelight(*how, "--cells", "rnn", "--seeds", 1)
    assert one.exit_code == 0, one.output
    both = gatelight(*how, "--cells", "rnn,gru", "--seeds", 1)
    assert both.output.count("found before") == 1
    assert "gru, known words" in both.output
    (told,) = json_lines(gatelight(*how, "--cells", "gru", "--seeds", 1, "--json").stdout)
    assert [row["distance"] for row in told["rows"]] == list(number.DISTANCES)
    assert set(told["gradient"]["gru"]) == {"before", "after"}
    kept = [json.loads(path.read_bytes()) for path in (tmp_path / "runs" / "runs").glob("*.json")]
    assert len(kept) == 2


def test_what_cannot_be_asked_is_one_line(written: Path, tmp_path: Path) -> None:
    """A traceback for a folder that is not there."""
    model = written / "lm"
    assert "no such file" in one_line_and_two(gatelight("lab", "agreement", model, "--data", tmp_path / "x"))
    assert "their folder" in one_line_and_two(gatelight("lab", "agreement", model, "--data", "marvin-linzen"))
    assert "does not know 'gone'" in one_line_and_two(gatelight("lab", "sentences", model, "--wrong", "gone"))
    assert "2 to 3 words" in one_line_and_two(
        gatelight("lab", "number", "--out", tmp_path / "n", "--nearest", 2, "--farthest", 3)
    )
    assert "no cell 'elman'" in one_line_and_two(
        gatelight("lab", "number", "--out", tmp_path / "n", "--cells", "elman")
    )
