"""Predicting and embedding on Ray Data: the answers of one machine, each row once, though workers die."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from command_line import BLAME, PRAISE, apart, one_line_and_two

import gatelight as library
from gatelight.errors import DataError, ModelFileError
from gatelight.ray import Embedder, Predictor, files, folder_fingerprint, process_files
from gatelight.ray.reading import read
from gatelight.text.readers import Options

ray = pytest.importorskip("ray")
MANY = 20_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two real worker processes, which find this file's stages."""
    os.environ["RAY_USAGE_STATS_ENABLED"], os.environ["RAY_BACKEND_LOG_LEVEL"] = "0", "fatal"
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="CRITICAL")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def texts() -> list[str]:
    draw = np.random.default_rng(0)
    return [
        " ".join(draw.choice(["the", *PRAISE, *BLAME, "unheard", "film"], draw.integers(0, 12)))
        for _ in range(MANY)
    ]


@pytest.fixture(scope="module")
def data(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The texts in three formats, with keys, and bad rows between the last ones."""
    folder = tmp_path_factory.mktemp("texts")
    half, quarter = MANY // 2, 3 * MANY // 4
    table = pyarrow.table({"key": [f"k{k}" for k in range(half)], "text": texts[:half]})
    pyarrow.parquet.write_table(table, folder / "a.parquet")
    rows = [f'k{k},"{texts[k]}"\n' for k in range(half, quarter)]
    (folder / "b.csv").write_text("".join(["key,text\n", *rows, "short\n"]))
    lines = [json.dumps({"key": f"k{k}", "text": texts[k]}) for k in range(quarter, MANY)]
    bad = [
        '{"key": "n", "text": null}',
        '{"key": "i", "text": 4}',
        "no JSON",
        '{"key": "s", "text": "\\ud800"}',
    ]
    long = json.dumps({"key": "l", "text": "x" * 1001})
    (folder / "c.jsonl").write_text("\n".join([*lines, *bad, long]) + "\n")
    (folder / "_notes.csv").write_text("not,read\n")
    return folder


class KilledOnce(Predictor):
    """Ends its process without a word in the middle of the run, once."""

    def __call__(self, batch: pyarrow.Table) -> pyarrow.Table:
        mark = self._folder.parent / "killed"
        if batch.column("source_row")[0].as_py() > 1 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)


def written(out: Path) -> pyarrow.Table:
    return pyarrow.parquet.read_table(out)


def test_every_row_is_answered_once_though_a_worker_is_killed(
    model: Path, data: Path, texts: list[str], tmp_path: Path, cluster: None
) -> None:
    """Rows in are rows out, in order, with the bits of one machine; bad rows are told with their place."""
    own = shutil.copytree(model, tmp_path / "model")
    summary = process_files(KilledOnce, own, [str(data)], tmp_path / "out", max_characters=1000)
    assert (tmp_path / "killed").exists()
    found = written(tmp_path / "out")
    assert found.column("key").to_pylist() == [f"k{k}" for k in range(MANY)]
    proba, unknown = library.load(model).proba_and_unknown_fraction(texts)
    np.testing.assert_array_equal(found.column("probability").to_numpy(), proba.max(axis=1))
    np.testing.assert_array_equal(found.column("unknown").to_numpy(), unknown)
    assert found.column("predicted").to_pylist() == [("neg", "pos")[k] for k in proba.argmax(axis=1)]
    assert (summary["rows"], summary["bad_rows"]) == (MANY, 6)
    errors = [json.loads(line) for line in (tmp_path / "out" / "_errors.jsonl").read_text().splitlines()]
    after = MANY // 4
    assert [(Path(e["file"]).name, e["row"]) for e in errors] == [
        ("b.csv", after + 2), *(("c.jsonl", after + k) for k in range(1, 6)),
    ]  # fmt: skip
    for error, reason in zip(
        errors, ("1 fields", "null", "int 4", "not JSON", "surrogate", "1001"), strict=True
    ):
        assert reason in error["error"]
    assert sum(path.suffix == ".parquet" for path in (tmp_path / "out").iterdir()) == summary["parts"]


@dataclass
class Reports:
    """What a dataset of reports is to the one who collects them."""

    rows: list[dict[str, Any]]

    def iter_rows(self) -> list[dict[str, Any]]:
        return self.rows


def test_a_full_disk_on_a_worker_is_told_as_it_is(model: Path, tmp_path: Path) -> None:
    """A disk that takes 1,000 bytes: nothing half-written stays, and the error is the worker's own."""
    batch = pyarrow.table({"text": ["a"] * 900, "source_row": range(1, 901), "source_file": ["f"] * 900})
    batch = batch.append_column("error", pyarrow.nulls(900, pyarrow.string()))
    writer = files._Writer(Predictor, {"model": model}, str(tmp_path), library.__version__)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    writer(batch)  # compiles
    before = set(tmp_path.iterdir())
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        report = writer(batch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert set(tmp_path.iterdir()) == before
    with pytest.raises(OSError, match="File too large"):
        files._collected(Reports(report.to_pylist()), tmp_path)


def test_batches_keep_keys_and_say_what_is_wrong(model: Path) -> None:
    """In `map_batches` a row goes nowhere: what cannot be read has no answer but a reason."""
    batch = pyarrow.table({"id": [4, 5, 6], "more": ["a", "b", "c"], "words": ["a great film", None, "dull"]})
    found = Predictor(model, text_column="words", key_columns=["id"], proba=True)(batch)
    assert found.column_names == ["id", "predicted", "probability", "unknown", "probabilities", "error"]
    assert found.column("predicted").to_pylist() == ["pos", None, "neg"]
    assert found.column("error").to_pylist() == [None, "null, not a text", None]
    proba = library.load(model).predict_proba(["a great film", "dull"])
    assert found.column("probabilities").to_pylist()[2] == dict(
        zip(("neg", "pos"), proba[1].tolist(), strict=True)
    )
    vectors = Embedder(model, text_column="words", pool="max")(batch).column("vector").to_pylist()
    np.testing.assert_array_equal(vectors[2], library.load(model).embed(["dull"], "max")[0])
    assert vectors[1] is None


def test_a_model_that_changes_is_noticed(model: Path, tmp_path: Path) -> None:
    """Half the answers of one model and half of another would be told by nothing later."""
    own = shutil.copytree(model, tmp_path / "model")
    before = folder_fingerprint(own)
    (own / "README.md").write_text("another")
    with pytest.raises(ModelFileError, match="not the model that the run began with"):
        Predictor(own, fingerprint=before)


def test_workers_of_another_version_or_without_the_folder_refuse(model: Path, tmp_path: Path) -> None:
    """Another version may answer otherwise; what is written where nobody else sees it is lost."""
    batch = pyarrow.table({"text": ["a"], "source_file": ["f"], "source_row": [1], "error": [None]})
    for folder, version, said in (
        (tmp_path, "0.0.9", "began with 0.0.9"),
        (tmp_path / "away", None, "every machine"),
    ):
        writer = files._Writer(Predictor, {"model": model}, str(folder), version or library.__version__)
        assert said in writer(batch).to_pylist()[0]["failed"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["DATA", "--out", "OUT", "--address", "127.0.0.1:1"], "no cluster at 127.0.0.1:1"),
        (["DATA"], "name their folder with --out"),
        (["DATA", "--out", "DATA"], "gatelight did not write it"),
        (["none.csv", "--out", "OUT"], "none.csv: no such file or folder"),
        (["DATA", "--out", "OUT", "--text-column", "words"], "no column 'words'"),
        (["DATA", "--out", "OUT", "--key-columns", "id"], "has no column 'id'"),
    ],
)
def test_mistakes_are_one_line(model: Path, data: Path, tmp_path: Path, typed: list[str], said: str) -> None:
    """They are found before a cluster is started, here in a process that no cluster of a test writes in."""
    places = {"DATA": str(data), "OUT": str(tmp_path / "out")}
    given = [places.get(word, word) for word in typed]
    assert said in one_line_and_two(apart("predict", model, "--engine", "ray", *given))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b'key,text\nk0,"never closed\n', "line 2 cannot be read"),
        ("a.parquet", b"PAR1 nothing", "damaged, or not parquet"),
        ("a.jsonl", b'{"key": "", "text": "\xff"}', "can't decode byte 0xff"),
        ("a.tsv", b"key\tcontent\n", "no column 'text'"),
    ],
)
def test_a_damaged_file_ends_the_run(
    model: Path, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    """It is not a bad row: nobody knows how much is missing."""
    (tmp_path / name).write_bytes(content)
    given = pyarrow.table({"file": [str(tmp_path / name)], "format": [name[2:]]})
    (block,) = read(given, "text", ["key"], Options())
    report = files._Writer(Predictor, {"model": model}, str(tmp_path), library.__version__)(block)
    with pytest.raises(DataError, match=f"{name}.*{said}"):
        files._collected(Reports(report.to_pylist()), tmp_path)


def test_a_worker_without_gatelight_is_told_in_one_line() -> None:
    """Ray's own message has fifty lines; what to do is none of them."""
    missing = ModuleNotFoundError("No module named 'gatelight'")
    with (
        pytest.raises(DataError, match="a worker of the cluster has no gatelight"),
        files._told_in_one_line(ray),
    ):
        raise ray.exceptions.RayTaskError("read", str(missing), missing)
