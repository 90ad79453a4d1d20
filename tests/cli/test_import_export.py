"""`import` and `export`: models of Keras and ONNX in and out at the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import gatelight, json_lines, one_line_and_two, snapshot, succeeded

import gatelight as library
from gatelight.cli.exchange import FORMATS

KERAS_2 = Path(__file__).parents[1] / "interop" / "keras_2"  # written by Keras 2.15


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("imported") / "model"
    result = succeeded("import", KERAS_2 / "masked.json", KERAS_2 / "masked_weights.h5", "--out", out)
    assert "lstm: equations, the gates are hard_sigmoid_fifth" in result.stdout
    assert "bidirectional: kernels" in result.stdout
    return out


def test_an_imported_model_answers_json_arrays(imported: Path, tmp_path: Path) -> None:
    """The prediction that was recorded where it was trained, typed, in a file and from standard input."""
    recorded = np.load(KERAS_2 / "masked.npz")
    lines = [json.dumps(row.tolist()) for row in recorded["x"]]
    (tmp_path / "ids.txt").write_text("\n".join(lines))
    typed = json_lines(gatelight("predict", imported, *lines, "--json").stdout)
    assert np.allclose([record["output"] for record in typed], recorded["y"], atol=1e-5)
    assert [record["sequence"] for record in typed] == recorded["x"].tolist()
    assert json_lines(gatelight("predict", imported, tmp_path / "ids.txt", "--json").stdout) == typed
    assert json_lines(gatelight("predict", imported, "-", "--json", given="\n".join(lines)).stdout) == typed
    (plain,) = gatelight("predict", imported, lines[0]).stdout.splitlines()
    assert json.loads(plain.split("\t")[0]) == pytest.approx(recorded["y"][0].tolist(), abs=1e-5)


def test_summary_says_which_path_computes(imported: Path) -> None:
    """Whoever wonders why a model is slow must be able to see it."""
    assert "equations, the gates are hard_sigmoid_fifth" in gatelight("summary", imported).stdout
    (record,) = json_lines(gatelight("summary", imported, "--json").stdout)
    paths = [path.split(",")[0] for path in record["paths"]]
    assert paths[:2] == ["bidirectional: kernels", "lstm: equations"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a fine film", "its vocabulary is not known|JSON array"),
        ("[1, 2, 3]", "the model takes \\[6\\]"),
        ("[1, 2, 3, 4, 5, 99]", "the id 99 is outside"),
        ("[1, 2, 3, 4, 5, -1]", "the id -1 is outside"),
        ("[1, 2, 3, 4, 5, 0.5]", "no list of ids"),
        ('[[1, 2], "a"]', "no list of ids"),
        ("[" * 100_000, "JSON array"),
    ],
)
def test_what_the_model_cannot_take_is_one_line(imported: Path, given: str, said: str) -> None:
    """A model without a vocabulary cannot read texts, and must say what it takes instead."""
    assert re.search(said, one_line_and_two(gatelight("predict", imported, given)))


def test_a_model_that_cannot_be_read_leaves_nothing_behind(imported: Path, tmp_path: Path) -> None:
    """Half a model, or an older one gone, would be worse than none."""
    before = snapshot(imported)
    (tmp_path / "bad.h5").write_bytes((KERAS_2 / "masked_weights.h5").read_bytes()[:9000])
    one_line_and_two(gatelight("import", KERAS_2 / "masked.json", tmp_path / "bad.h5", "--out", imported))
    one_line_and_two(gatelight("import", tmp_path / "gone.keras", "--out", tmp_path / "new"))
    assert snapshot(imported) == before
    assert not (tmp_path / "new").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("mine")
    one_line_and_two(gatelight("import", KERAS_2 / "graph.keras", "--out", tmp_path / "mine"))
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "mine"


def test_evaluate_says_what_it_wants_instead(imported: Path, reviews: Path) -> None:
    """An imported model has no classes to be right or wrong about."""
    assert "text classifier" in one_line_and_two(gatelight("evaluate", imported, reviews))


@pytest.mark.parametrize("ending", FORMATS)
def test_a_trained_model_goes_out_and_comes_back(ending: str, model: Path, tmp_path: Path) -> None:
    """What comes back from Keras's files reads the same texts and gives the same answers."""
    pytest.importorskip("onnx")
    (record,) = json_lines(gatelight("export", model, "--out", tmp_path / f"out{ending}", "--json").stdout)
    files = record["files"]
    assert all(Path(file).is_file() for file in files)
    if ending == ".onnx":
        return
    *files, vocabulary = files
    # Without the vocabulary file the same model takes ids.
    succeeded("import", *files, "--out", tmp_path / "ids")
    succeeded("predict", tmp_path / "ids", "[2, 3, 4]")
    succeeded("import", *files, "--vocabulary", vocabulary, "--out", tmp_path / "again")
    texts = ["the film 3 was dull", "so wonderful"]
    ours, again = library.load(model), library.load(tmp_path / "again")
    assert np.allclose(again.predict(texts)[:, 0], ours.predict_proba(texts)[:, 1], atol=1e-5)
    assert again.labels_of(again.predict(texts)) == ours.predict(texts).tolist()


@pytest.mark.parametrize("ending", [".keras", ".onnx"])
def test_export_replaces_nothing_unasked(ending: str, model: Path, tmp_path: Path) -> None:
    """The file there may be the only copy of somebody's model."""
    place = tmp_path / f"out{ending}"
    place.write_text("mine")
    assert "is there already" in one_line_and_two(gatelight("export", model, "--out", place))
    assert place.read_text() == "mine"
    succeeded("export", model, "--out", place, "--overwrite")


def test_what_cannot_be_written_is_said_before_anything_is(model: Path, tmp_path: Path) -> None:
    """An ending of no format."""
    assert ".keras" in one_line_and_two(gatelight("export", model, "--out", tmp_path / "out.tflite"))
    assert list(tmp_path.iterdir()) == []
