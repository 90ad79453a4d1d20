"""The study of padding: PAD steps lie where they should and are read as words, and its table is its runs'."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from gatelight.models.batches import Sequences
from gatelight.models.classifier import Classifier
from gatelight.models.classifier_config import ClassifierConfig
from gatelight.models.prediction import predict

SCRIPT = Path(__file__).parents[1] / "tools" / "padding_study.py"


@pytest.fixture(scope="module")
def study() -> ModuleType:
    spec = importlib.util.spec_from_file_location("padding_study", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["padding_study"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


TEXTS = Sequences.of(np.array([2, 3, 4, 5, 6, 7], np.int32), np.array([2, 0, 4], np.int64))


@pytest.mark.parametrize(
    ("padding", "expected"),
    [
        ("none", [[2, 3], [], [4, 5, 6]]),
        ("pre", [[0, 2, 3], [0, 0, 0], [4, 5, 6]]),
        ("post", [[2, 3, 0], [0, 0, 0], [4, 5, 6]]),
    ],
)
def test_texts_are_cut_and_filled_as_keras_does(
    padding: str, expected: list[list[int]], study: ModuleType
) -> None:
    """Padding behind where it should be before would answer another question."""
    made = study.laid_out(TEXTS, 3, padding, "head")
    assert [made.take(np.array([k]))[0].tolist() for k in range(3)] == expected


def test_pad_steps_are_read_like_words(study: ModuleType) -> None:
    """Masked steps would leave every text's answer as it is, and find padding harmless."""
    model = Classifier(ClassifierConfig(vocabulary_size=9, dim=4, hidden=5, pool="last"), seed=3).eval()
    with torch.no_grad():  # with biases of zero, PAD's zeros would keep the memory at zero
        for name, parameter in model.named_parameters():
            if "bias" in name:
                parameter.normal_(generator=torch.Generator().manual_seed(len(name)))
    answers = []
    for padding in ("none", "pre", "post"):
        made = study.laid_out(TEXTS, 6, padding, "head")
        answers.append(predict(model, made.ids, made.lengths)[:, 0])
    assert (answers[0] != answers[1]).all()
    assert (answers[0] != answers[2]).all()
    assert (answers[1] != answers[2]).tolist() == [True, False, True]  # the empty one is PAD alone in both


def test_the_study_runs_from_data_to_table_and_comes_again(
    study: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is begun today and goes on tomorrow must give one table."""
    pytest.importorskip("nltk")
    with (tmp_path / "data.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label", "part"])
        for k in range(80):
            word = ("great", "dull")[k % 2]
            rows.writerow(
                ["so " * (k % 7) + f"the film was {word}", ("pos", "neg")[k % 2], ("train", "test")[k > 59]]
            )
    draw = np.random.default_rng(0)
    words = ["so", "the", "film", "was", "great", "dull"]
    lines = [f"{word} {' '.join(f'{x:.3f}' for x in draw.standard_normal(8))}" for word in words]
    (tmp_path / "vectors.txt").write_text("\n".join(lines) + "\n")
    command = [
        "padding_study", "data.csv", "--vectors", "vectors.txt", "--out", "out", "--jobs", "1",
        "--seeds", "1", "--epochs", "1", "--reference", "5", "--lengths",
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for lengths, before in (("3,5", 0), ("3,5,uncut", 6)):
        monkeypatch.setattr(sys, "argv", [*command, lengths])
        study.main()
        assert capsys.readouterr().out.count("found before") == before
    rows = json.loads((tmp_path / "out" / "padding.json").read_text())
    assert len(rows) == 9
    by = {(row["padding"], row["length"]): row for row in rows}
    assert by["pre", "5"]["steps"] == 60 * 5
    assert by["none", "uncut"]["steps"] == sum(k % 7 + 4 for k in range(60))
    assert by["post", "uncut"]["steps"] == 60 * 10
    assert by["none", "5"]["against_unpadded"] is None
    assert by["none", "5"]["against_length"] is None
    gain = by["pre", "3"]["accuracy"] - by["none", "3"]["accuracy"]
    assert by["pre", "3"]["against_unpadded"]["mean"] == pytest.approx(gain)
    assert (tmp_path / "out" / "padding.md").read_text(encoding="utf-8").count("\n") == 11
