"""`gatelight export` to ONNX: the file, what int8 weights cost on given data, and mistakes in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import gatelight, one_line_and_two, succeeded, write_reviews

import gatelight as library

pytest.importorskip("onnx")

from gatelight.interop import onnx  # without the extra the module is skipped


def test_the_file_is_the_model(model: Path, tmp_path: Path) -> None:
    """What is read back predicts to the bit as the folder does."""
    out = tmp_path / "model.onnx"
    result = succeeded("export", model, "--out", out)
    assert result.stdout == f"{out}: {out.stat().st_size:,} bytes\n"
    texts = ["a wonderful film", "dull"]
    found = onnx.load(out)
    assert np.array_equal(found.predict_proba(texts), library.load(model).predict_proba(texts))
    folder = tmp_path / "again"
    result = succeeded("import", out, "--out", folder)
    assert np.array_equal(library.load(folder).predict_proba(texts), found.predict_proba(texts))
    refused = gatelight("import", out, model / "config.json", "--out", tmp_path / "no")
    assert refused.exit_code == 2
    assert "give it alone" in refused.output
    assert not (tmp_path / "no").exists()


def test_what_int8_weights_cost_is_measured_and_told(model: Path, reviews: Path, tmp_path: Path) -> None:
    """A smaller file whose price nobody knows is no offer."""
    out = tmp_path / "small.onnx"
    given = ("export", model, "--out", out, "--quantize", "--measure", reviews)
    result = succeeded(*given)
    assert "int8 weights: accuracy" in result.stdout
    assert "on 160 texts" in result.stdout
    (record,) = map(json.loads, gatelight(*given, "--overwrite", "--json").stdout.splitlines())
    assert record["files"] == [str(out)]
    assert record["change"]["before"]["n"] == record["change"]["after"]["n"] == 160
    assert 0 < record["change"]["moved"] < 0.1


def test_mistakes_are_told_before_anything_is_written(model: Path, tmp_path: Path) -> None:
    """A format without int8, data without need, data that are not there: one line, and no file."""
    out = tmp_path / "m.onnx"
    for arguments, word in [
        (("--out", tmp_path / "m.keras", "--quantize"), "no int8 weights"),
        (("--measure", write_reviews(tmp_path / "r.csv")), "give both, or neither"),
        (("--quantize", "--measure", tmp_path / "none.csv"), "none.csv"),
    ]:
        assert word in one_line_and_two(gatelight("export", model, "--out", out, *arguments))
    assert not out.exists()
    out.write_text("mine")
    assert "is there already" in one_line_and_two(gatelight("export", model, "--out", out))
    assert out.read_text() == "mine"
