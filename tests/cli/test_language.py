"""`gatelight train-lm` and `generate`: from a file of texts to a text on the screen, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import SMALL, gatelight, json_lines, one_line_and_two, snapshot, succeeded

import gatelight as library


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
    how = ("--prompt", "a ", "--length", 20, "--temperature", 0.8, "--top-k", 5, "--top-p", 0.9, "--seed", 4)
    shown = gatelight("generate", written, *how, "--count", 2).stdout
    model = library.load(written)
    texts = [
        "a " + model.generate("a ", length=20, temperature=0.8, top_k=5, top_p=0.9, seed=4, number=k)
        for k in range(2)
    ]
    assert shown == "\n\n".join(texts) + "\n"
    records = json_lines(gatelight("generate", written, *how, "--count", 2, "--json").stdout)
    assert ["a " + record["text"] for record in records] == texts


def test_a_model_is_replaced_by_one_of_its_kind_only(written: Path, model: Path, tmp_path: Path) -> None:
    """Half an hour of another kind of training would be gone, or the same training could not be done anew."""
    for folder in (written, model):
        shutil.copytree(folder, tmp_path / folder.name)
    texts, writer, critic = written.parent / "texts.txt", tmp_path / written.name, tmp_path / model.name
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n" + "a warm film,1\na dull film,0\n" * 10)
    before = snapshot(tmp_path)
    said = one_line_and_two(gatelight("train", rows, "--out", writer))
    assert f"{writer} holds a gatelight language model" in said
    said = one_line_and_two(gatelight("train-lm", texts, "--out", critic, *SMALL))
    assert f"{critic} holds a gatelight text classifier" in said
    assert snapshot(tmp_path) == before
    (writer / "config.json").write_text("{")  # a damaged one
    for options in (("--seed", "1"), ("--seed", "2")):
        succeeded("train-lm", texts, "--out", writer, *SMALL, "--no-baseline", *options)
    assert library.load(writer).random_state == 2
    assert isinstance(library.load(critic), library.TextClassifier)
    (writer / "thesis.txt").write_text("mine")
    assert "choose another --out" in one_line_and_two(gatelight("train-lm", texts, "--out", writer))


def test_a_classifier_starts_from_it(written: Path, tmp_path: Path) -> None:
    """What is typed must reach the training; a wish against the model, or no such model, must not."""
    rows = tmp_path / "rows.csv"
    rows.write_text("text,label\n" + "a warm film,1\na dull film,0\n" * 20)
    how = ("train", rows, "--out", tmp_path / "m", "--epochs", "1", "--no-baseline")
    result = succeeded(*how, "--from-lm", written, "--no-gradual-unfreezing")
    assert "a language model's" in result.output
    found = library.load(tmp_path / "m")
    assert (found.from_lm, found.gradual_unfreezing) == (str(written), False)
    assert found.vocabulary_.tokens == library.load(written).vocabulary_.tokens
    for wish, said in (
        ((written, "--bidirectional"), "bidirectional is True"),
        ((written, "--hidden-size", "9"), "--hidden-size is 9"),
        ((tmp_path / "m",), "not of a gatelight language model"),
    ):
        assert said in one_line_and_two(gatelight(*how, "--from-lm", *wish))


def test_what_cannot_be_is_said_in_one_line(written: Path, model: Path, tmp_path: Path) -> None:
    """A traceback, or a text of nothing, would leave the user guessing."""
    for wish, said in (
        (("--length", "0"), "length is 0"),
        (("--temperature", "-1"), "temperature is -1.0"),
        (("--prompt", "ж"), "'ж'"),
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
