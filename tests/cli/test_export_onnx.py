"""`gatelight export` to ONNX: the file, and mistakes in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import gatelight, one_line_and_two, succeeded

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


def test_mistakes_are_told_before_anything_is_written(model: Path, tmp_path: Path) -> None:
    """A format without int8, an ending of no format: one line, and no file."""
    out = tmp_path / "m.onnx"
    for arguments, word in [
        (("--out", tmp_path / "m.keras", "--quantize"), "no int8 weights"),
        (("--out", tmp_path / "m.txt"), "no ending that says the format"),
    ]:
        assert word in one_line_and_two(gatelight("export", model, "--out", out, *arguments))
    assert not out.exists()
    out.write_text("mine")
    assert "is there already" in one_line_and_two(gatelight("export", model, "--out", out))
    assert out.read_text() == "mine"
