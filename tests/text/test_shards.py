"""Folders and globs of tables."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from gatelight import Corpus, load_dataset
from gatelight.errors import DataError


def write_lines(path: Path, texts: Iterable[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps({"text": text, "label": text[0]}) + "\n" for text in texts))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards of one split and one of another, of three formats, and what is no shard."""
    write_lines(tmp_path / "train-2.jsonl", ["a three", "b four"])
    pyarrow.parquet.write_table(
        pyarrow.table({"text": ["a one", "b two"], "label": ["a", "b"]}), tmp_path / "train-1.parquet"
    )
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "0.csv").write_text("text,label\na test,a\n")
    (tmp_path / "README.md").write_text("no shard")
    write_lines(tmp_path / ".cache" / "old.jsonl", ["hidden"])
    return tmp_path


def test_shards_are_one_corpus_with_its_splits(folder: Path) -> None:
    """Test texts would be trained on, or shards lost, mixed up or given one another's ids."""
    corpus = load_dataset(folder)
    assert corpus.texts == ["a test", "a one", "b two", "a three", "b four"]
    assert corpus.labels == ["a", "a", "b", "a", "b"]
    assert corpus.splits == ["test", *["train"] * 4]
    assert len(set(corpus.ids)) == 5
    assert Corpus.read(folder, splits=["train"]).texts == corpus.texts[1:]


def test_a_glob_says_which_shards(folder: Path) -> None:
    """What was not meant would be read."""
    corpus = load_dataset(f"{folder}/train-*")
    assert corpus.texts == ["a one", "b two", "a three", "b four"]
    assert corpus.splits is None
    with pytest.raises(DataError, match="no such file or folder"):
        load_dataset(f"{folder}/valid-*")


def test_a_bad_shard_is_named(folder: Path) -> None:
    """Half of the texts would be missing, and nobody know where."""
    (folder / "train-3.jsonl").write_text("")
    with pytest.raises(DataError, match=r"train-3\.jsonl: is empty"):
        load_dataset(folder)
    (folder / "train-3.jsonl").write_text('{"text": "a", "label": "a"}\n{"text": 5, "label": "a"}\n')
    with pytest.raises(DataError, match=r"train-3\.jsonl: line 2: the text is int 5"):
        load_dataset(folder)
