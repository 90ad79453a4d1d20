"""Training on texts that lie on the disk: the models of texts in memory, to the bit."""

from __future__ import annotations

import csv
import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from command_line import SMALL, TINY, gatelight, one_line_and_two, snapshot, start, succeeded, write_reviews

from gatelight import TextClassifier, load_dataset
from gatelight.estimators import fitting

TRAININGS = {"train": [*TINY[1:], "--seed", "1"], "train-lm": [*SMALL, "--epochs", "2", "--documents"]}


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    """The made-up reviews as two tables of two formats."""
    with write_reviews(tmp_path / "reviews.csv", 400).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    folder = tmp_path / "shards"
    folder.mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows[:150]), folder / "0.parquet")
    (folder / "1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[150:]))
    return folder


def learned(model: Path) -> dict[str, bytes]:
    """Return the files of weights, words and n-grams."""
    kept = {name: content for name, content in snapshot(model).items() if name.endswith(".jsonl")}
    return {**kept, "model.safetensors": (model / "model.safetensors").read_bytes()}


@pytest.mark.parametrize("command", TRAININGS)
def test_the_model_is_that_of_texts_in_memory(command: str, shards: Path, tmp_path: Path) -> None:
    """Where the texts lie would decide what is learned."""
    for name, how in {"memory": (), "disk": ("--on-disk",)}.items():
        succeeded(command, shards, "--out", tmp_path / name, *TRAININGS[command], *how)
    memory, disk = learned(tmp_path / "memory"), learned(tmp_path / "disk")
    assert {"model.safetensors", "vocabulary.jsonl"} <= set(memory)
    assert memory == disk
    assert not (tmp_path / "disk.checkpoint").exists()


@pytest.mark.parametrize("command", TRAININGS)
def test_a_killed_run_goes_on(command: str, shards: Path, tmp_path: Path) -> None:
    """Hours of training would be lost, or the texts' files be left behind."""
    run = [command, shards, "--no-baseline", *TRAININGS[command], "--epochs", 12]
    model, unfinished = tmp_path / "m", tmp_path / "m.checkpoint"
    process = start(*run, "--out", model, "--on-disk", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert any(line.startswith(b"epoch 2/12") for line in process.stdout)
    process.kill()
    process.communicate()
    assert not model.exists()
    assert all(path.name.startswith("run") for path in unfinished.iterdir())
    succeeded(*run, "--out", model, "--on-disk", "--resume")
    succeeded(*run, "--out", tmp_path / "whole")
    assert learned(model) == learned(tmp_path / "whole")


@pytest.mark.parametrize("line", ["", '{"text": null, "label": "pos"}\n', '{"text": "cut sh'])
@pytest.mark.parametrize("command", TRAININGS)
def test_a_bad_shard_leaves_nothing_behind(command: str, line: str, shards: Path, tmp_path: Path) -> None:
    """Half a corpus would be trained on, or half a model saved."""
    (shards / "2.jsonl").write_text(line)
    before = snapshot(tmp_path)
    run = gatelight(command, shards, "--out", tmp_path / "m", *TRAININGS[command], "--on-disk")
    assert "2.jsonl" in one_line_and_two(run)
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "m.checkpoint").exists()


def test_a_full_disk_is_named_and_nothing_left_on_it(shards: Path, tmp_path: Path) -> None:
    """Nobody would know which disk it was, and it would stay full."""
    resource = pytest.importorskip("resource")
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (5_000, 5_000))
    run = ["train-lm", shards, "--out", tmp_path / "m", "--on-disk", *SMALL]
    with start(*run, stderr=subprocess.PIPE, preexec_fn=limit) as process:
        _, said = process.communicate(timeout=600)
    assert process.returncode == 2
    assert said.startswith(f"gatelight: {tmp_path / 'm.checkpoint'}: ".encode())
    assert said.count(b"\n") == 1
    assert not (tmp_path / "m.checkpoint").exists()


def test_n_grams_learn_from_some_texts_where_all_are_too_many(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Their terms would take the memory that the texts no longer take; the network reads all texts."""
    settings: dict[str, Any] = {"epochs": 1, "hidden_size": 4, "embedding_dim": 4, "random_state": 0}
    whole = load_dataset(shards)
    expected = TextClassifier(**settings).fit(whole.texts, whole.labels, groups=whole.groups)
    monkeypatch.setattr(fitting, "NGRAM_CHARACTERS", 2_000)
    corpus = load_dataset(shards, on_disk=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []
    model = TextClassifier(**settings).fit(corpus.texts, corpus.labels, groups=corpus.groups)
    assert "texts, drawn at random" in caplog.text
    for name, weights in model.model_.state_dict().items():
        assert weights.equal(expected.model_.state_dict()[name])
    assert model.wide_ is not None
    assert len(model.wide_.classifier.terms) < len(expected.wide_.classifier.terms)
    assert (model.predict(whole.texts) == whole.labels).mean() > 0.9
