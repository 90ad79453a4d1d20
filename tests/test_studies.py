"""The studies of characters and of thought vectors: what they lay out, count and compare."""

from __future__ import annotations

import csv
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from gatelight import LanguageModel, TextClassifier
from gatelight.models.batches import Sequences

TOOLS = Path(__file__).parents[1] / "tools"
SETTINGS = {"min_count": 1, "dim": 6, "hidden": 5, "epochs": 1, "validation_fraction": 0}


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def write_films(path: Path) -> None:
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label", "film"])
        for k in range(60):
            word = ("great", "dull")[k % 2]
            rows.writerow([f"the film was {word}, " * (1 + k % 3), ("pos", "neg")[k % 2], f"f{k % 15}"])


def test_pad_stands_where_it_should() -> None:
    """PAD behind where it should be before would answer another question."""
    texts = Sequences.of([2, 3, 4, 5], [2, 0, 2])
    study = tool("character_study")
    assert study.padded(texts, 3, "pre").ids.reshape(3, 3).tolist() == [[0, 2, 3], [0, 0, 0], [0, 4, 5]]
    assert study.padded(texts, 3, "post").ids.reshape(3, 3).tolist() == [[2, 3, 0], [0, 0, 0], [4, 5, 0]]


def test_the_study_of_characters_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Hours of runs are found again, and every variant is compared with the note's on the same texts."""
    study = tool("character_study")
    write_films(tmp_path / "films.csv")
    monkeypatch.chdir(tmp_path)
    command = ["character_study", "films.csv", "--out", "out", "--jobs", "1", "--seeds", "1", "--only", "1"]
    for more, before in (([], 0), (["2", "5", "11"], 1)):
        monkeypatch.setattr(sys, "argv", [*command, *more])
        study.main()
        assert capsys.readouterr().out.count("found before") == before
    rows = {row["variant"]: row for row in json.loads((tmp_path / "out" / "characters.json").read_text())}
    note, largest, half = rows[study.NOTE], rows["head: maximum over the steps"], rows[study.HALF]
    assert note["parameters"] == 35_361
    assert note["against_note"] is None
    assert half["against_note"]["mean"] == pytest.approx(half["accuracy"] - note["accuracy"])
    assert 0 < note["by_position"] < 1
    assert largest["by_position"] is None
    assert len(note["curve"]) == 5
    assert note["curve"][-1]["valid_accuracy"] == pytest.approx(note["accuracy"])


def test_pairs_are_of_the_same_words_and_their_mean_is_the_same() -> None:
    """A pair that differs in a word, or a mean that differs by its order's rounding, would prove nothing."""
    study = tool("thought_study")
    pairs = study.pairs({*study.GOOD, *study.BAD})
    assert len(pairs) >= 500
    assert ("not good, bad", "not bad, good", 2) in pairs
    for worse, better, _ in pairs:
        assert sorted(worse.replace(",", "").split()) == sorted(better.replace(",", "").split())
    texts = [text for pair in pairs for text in pair[:2]]
    model = TextClassifier(**SETTINGS).fit([*texts, "a", "b"], [*(["x", "y"] * len(pairs)), "x", "y"])
    means = study.word_means(model, [*texts, "", "good bad bad"])
    assert (means[:-2:2] == means[1:-2:2]).all()
    assert (means[-2] == 0).all()
    rows = model.model_.embedding.weight.detach().double().numpy()
    good, bad = (rows[model.vocabulary_.id(word)] for word in ("good", "bad"))
    np.testing.assert_allclose(means[-1], (good + 2 * bad) / 3, atol=1e-12)


def test_order_is_told_by_what_holds_it_and_not_by_what_does_not() -> None:
    """Asked on the words that it learned from, even noise could be told apart."""
    study = tool("thought_study")
    halves = np.tile([0, 1, 2], 40)
    same = np.random.default_rng(0).standard_normal((120, 4))
    assert study.order_told(same, same, halves).mean() == 0.5
    assert study.order_told(same, same + 9 * np.eye(4)[2], halves).mean() == 1
    assert len(study.order_told(same, same, halves)) == 2 * 40


def test_the_study_of_a_language_models_start_compares_on_the_same_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every start learns from the same drawn texts, and is compared with chance on the same judged ones."""
    study = tool("transfer_study")
    for label, stars in (("pos", 9), ("neg", 1), ("unsup", 0)):
        folder = tmp_path / "films" / "aclImdb" / "train" / label
        folder.mkdir(parents=True)
        for k in range(30):
            words = "the film was dull, " if label == "neg" or k % 3 == 0 else "the film was great, "
            (folder / f"{k}_{stars}.txt").write_text(words * (1 + k % 3))
    monkeypatch.chdir(tmp_path)
    reader = LanguageModel(tokenizer="word", min_count=1, dim=6, hidden=5, epochs=1, validation_fraction=0)
    reader.fit(["the film was great , the film was dull"] * 20).save(tmp_path / "reader")
    command = ["transfer_study", "films", "reader", "--out", "out", "--labelled", "12,20", "--seeds", "1"]
    for before in (0, 10):
        monkeypatch.setattr(sys, "argv", [*command, "--jobs", "1"])
        study.main()
        assert capsys.readouterr().out.count("found before") == before
    rows = json.loads((tmp_path / "out" / "transfer.json").read_text())
    assert [row["labelled"] for row in rows] == [12] * 5 + [20] * 5
    chance = {row["labelled"]: row["accuracy"] for row in rows if row["variant"] == study.CHANCE}
    for row in rows:
        if row["variant"] != study.CHANCE:
            assert row["gain"]["mean"] == pytest.approx(row["accuracy"] - chance[row["labelled"]])
