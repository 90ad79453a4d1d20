"""`predict --explain-unknown`: what a model did not know is told, and may be much."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import TINY, gatelight, json_lines, succeeded

BAD, GOOD = "I dont like this movie", "I like this movie"


@pytest.fixture(scope="module")
def dropping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that leaves unknown words out, and knows all words of GOOD."""
    folder = tmp_path_factory.mktemp("dropping")
    rows = [
        f"{('I like this movie', 'this was a dull movie')[k % 2]},{('pos', 'neg')[k % 2]}" for k in range(40)
    ]
    (folder / "likes.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    succeeded(
        "train", folder / "likes.csv", "--out", folder / "model", *TINY, "--unknown", "drop", "--no-baseline"
    )
    return folder / "model"


def test_a_dropped_negation_makes_the_text_its_opposite_and_the_report_says_so(dropping: Path) -> None:
    """The note's `dont`: the figure alone looks fine, and means the opposite of what was written."""
    result = gatelight("predict", dropping, BAD, GOOD, "--explain-unknown", "--json")
    bad, good = json_lines(result.stdout)
    assert (bad["label"], bad["probability"]) == (good["label"], good["probability"])
    assert bad["unknown_words"] == [{"word": "dont", "read_as": None, "negation": True}]
    assert bad["read_as"] == good["read_as"] == "i like this movie"
    assert bad["warning"] == "the negation dont is left out: the text is read as its opposite would be"
    assert (good["unknown_words"], good["warning"]) == ([], None)
    first, second = gatelight("predict", dropping, BAD, GOOD, "--explain-unknown").stdout.splitlines()
    assert first.split("\t")[2:] == [
        "0.2000",
        BAD,
        "dont → left out; read as: i like this movie; the negation dont is left out: the text is read as its "
        "opposite would be",
    ]
    assert second.endswith("\tevery word is known")


def test_without_being_asked_the_answer_is_as_it_was(dropping: Path) -> None:
    """Programs that read the answers must not find other fields in them."""
    (record,) = json_lines(gatelight("predict", dropping, BAD, "--json").stdout)
    assert set(record) == {"label", "probability", "unknown", "text", "trained_on"}
    assert len(gatelight("predict", dropping, BAD).stdout.split("\t")) == 4


def test_many_unknown_words_stay_on_one_line(dropping: Path) -> None:
    """A text of 100,000 unknown words must not fill the terminal."""
    text = " ".join(f"zq{k}" for k in range(100_000))
    (line,) = gatelight("predict", dropping, text, "--explain-unknown").stdout.splitlines()
    explained = line.split("\t")[-1]
    assert explained.startswith("zq0 → left out, ")
    assert "and 99990 more" in explained
    assert len(explained) < 500
