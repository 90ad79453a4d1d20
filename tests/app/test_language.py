"""`gatelight train-lm` and `generate`: from a file of texts to a text on the screen, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import gatelight, json_lines, one_line_and_two

import gatelight as library

SMALL = ("--hidden", "6", "--dim", "4", "--batch-size", "2", "--steps", "8", "--min-count", "1")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("language")
    (folder / "texts.txt").write_text("a warm film\na dull film\nthe film was warm\n" * 10)
    result = gatelight(
        "train-lm", folder / "texts.txt", "--out", folder / "lm", *SMALL, "--validation-fraction", "0.2",
        "--json",
    )  # fmt: skip
    *_, record = json_lines(result.stdout)
    assert record["validation"]["bits_per_character"] > 0
    assert record["baseline"]["bits_per_character"] > 0
    return folder / "lm"


def test_writes_what_the_library_writes(written: Path) -> None:
    """The screen would show another text than the same seed gives in Python."""
    how = ("--prime", "a ", "--length", 20, "--temperature", 0.8, "--top-k", 5, "--top-p", 0.9, "--seed", 4)
    shown = gatelight("generate", written, *how, "--count", 2).stdout
    model = library.load(written)
    texts = [
        "a " + model.generate("a ", length=20, temperature=0.8, top_k=5, top_p=0.9, seed=4, number=k)
        for k in range(2)
    ]
    assert shown == "\n\n".join(texts) + "\n"
    records = json_lines(gatelight("generate", written, *how, "--count", 2, "--json").stdout)
    assert ["a " + record["text"] for record in records] == texts


def test_what_cannot_be_is_said_in_one_line(written: Path, model: Path, tmp_path: Path) -> None:
    """A traceback, or a text of nothing, would leave the user guessing."""
    for wish, said in (
        (("--length", "0"), "length is 0"),
        (("--temperature", "-1"), "temperature is -1.0"),
        (("--prime", "ж"), "'ж'"),
        (("--stop", ""), "empty"),
    ):
        assert said in one_line_and_two(gatelight("generate", written, *wish))
    assert "language model" in one_line_and_two(gatelight("generate", model))
    texts = tmp_path / "texts.txt"
    texts.write_text("a film\n")
    assert one_line_and_two(gatelight("evaluate", written, texts))
    assert one_line_and_two(gatelight("predict", written, "a film"))
    texts.write_text("")
    assert one_line_and_two(gatelight("train-lm", texts, "--out", tmp_path / "x"))
    assert not (tmp_path / "x").exists()
