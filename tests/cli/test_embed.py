"""`embed` from the command line: vectors, and one line for mistakes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
from command_line import gatelight, json_lines, one_line_and_two

import gatelight.cli.embed as commands
from gatelight import SequenceClassifier, load

NASTY = "<script>alert(1)</script> the film 3 was dull"


@pytest.fixture
def data(reviews: Path, tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    rows = list(csv.reader(reviews.open(encoding="utf-8")))
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([*rows[:40], [NASTY, "neg", "f1"], ["", "pos", "f2"]])
    return path


def test_vectors_are_the_models_in_the_order_of_the_texts(
    data: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row that stands for another text makes every use of the file wrong."""
    monkeypatch.setattr(commands, "AT_ONCE", 7)
    texts = [row[0] for row in csv.reader(data.open(encoding="utf-8"))][1:]
    expected = load(model).embed(texts, "cell")
    for name in ("v.npy", "v.parquet"):
        result = gatelight("embed", model, data, "-o", tmp_path / name, "--pool", "cell", "--json")
        (said,) = json_lines(result.stdout)
        assert said["texts"] == len(texts)
        assert said["features"] == expected.shape[1]
    assert (np.load(tmp_path / "v.npy") == expected).all()
    table = pyarrow.parquet.read_table(tmp_path / "v.parquet")
    assert table["text"].to_pylist() == texts
    assert (np.array(table["vector"].to_pylist(), np.float32) == expected).all()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "needs --out/-o"),
        (["-o", "v.csv"], "must end in one of .npy, .parquet"),
        (["-o", "v.npy", "--pool", "flatten"], "expected one of last, max, mean, cell"),
        (["-o", "v.npy", "--part", "dev"], "no texts in part 'dev'"),
    ],
)
def test_mistakes_take_one_line(
    arguments: list[str], says: str, data: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And leave no file behind."""
    monkeypatch.chdir(tmp_path)
    assert says in one_line_and_two(gatelight("embed", model, data, *arguments))
    assert not list(tmp_path.glob("v.*"))


def test_a_model_of_sequences_is_refused(tmp_path: Path) -> None:
    """It reads no texts: an attribute that it lacks would end in a traceback."""
    sequences = SequenceClassifier(epochs=1).fit([[1, 2], [3]] * 8, ["a", "b"] * 8)
    sequences.save(tmp_path / "m")
    (tmp_path / "t.txt").write_text("a\n")
    said = one_line_and_two(gatelight("embed", tmp_path / "m", tmp_path / "t.txt", "-o", tmp_path / "v.npy"))
    assert "reads no texts" in said
