"""What users get wrong: one clear line, exit code 2, and every file that was there is still as it was."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import PROGRAM, TINY, gatelight, one_line_and_two, snapshot, succeeded, write_reviews

GOOD = "text,label\n" + "a great film,pos\na dull film,neg\n" * 10
FILES = {
    "good.csv": GOOD.encode(),
    "empty.csv": b"",
    "verdict.csv": b"text,verdict\ngood,pos\nbad,neg\n",
    "one.csv": b"text,label\ngood,pos\nbetter,pos\n",
    "bytes.csv": b"text,label\ngood \xff film,pos\nbad,neg\n",
    "cut.csv.gz": gzip.compress(GOOD.encode())[:40],
    "lines.txt": b"good\nbad\n",
    "other.csv": b"text,label\ngood,positive\nbad,neg\n",
}


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of data, most of which cannot be used, from which commands are given."""
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    with tarfile.open(tmp_path / "climbing.tar.gz", "w:gz") as archive:
        for name in ("acl/train/pos/0_9.txt", "acl/train/neg/0_1.txt", "../outside.txt"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"good"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("nowhere.csv", ["nowhere.csv", "no such file"]),
        ("rotten-potatoes", ["rotten-potatoes", "rotten-tomatoes"]),
        ("empty.csv", ["empty.csv", "empty"]),
        ("good.csv --text-column snippet", ["snippet", "text", "label"]),
        ("verdict.csv", ["'verdict'", "name it with --label-column"]),
        ("one.csv", ["one.csv", "pos", "2 classes"]),
        ("bytes.csv", ["bytes.csv", "16", "0xff", "with --encoding, or", "--encoding-errors replace"]),
        ("cut.csv.gz", ["cut.csv.gz"]),
        ("climbing.tar.gz", ["climbing.tar.gz", "../outside.txt"]),
        ("lines.txt", ["lines.txt", "label"]),
        ("good.csv --preset goulash", ["goulash", "note-400"]),
        ("good.csv --cell stm", ["stm", "peephole"]),
        ("good.csv --vectors glove-7b", ["glove-7b", "glove-6b-50d"]),
        ("good.csv --preset note-200", ["--vectors", "--no-train-vectors"]),
        ("good.csv --test other.csv", ["other.csv", "'positive'", "neg, pos"]),
        ("good.csv --test x.csv --test-fraction 0.1", ["--test-fraction"]),
    ],
)
def test_data_or_settings_that_cannot_be_used(
    typed: str, words: list[str], strange: Path, model: Path
) -> None:
    """The line names the culprit and what would do; the model that is there already stays."""
    shutil.copytree(model, strange / "m")
    before = snapshot(strange)
    line = one_line_and_two(gatelight("train", *TINY, "--out", "m", *typed.split()))
    for word in words:
        assert word in line, line
    assert snapshot(strange) == before
    assert not (strange / "m.checkpoint").exists()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("bytes.csv", ["bytes.csv", "0xff", "--encoding"]),
        ("good.csv --against nowhere.csv", ["nowhere.csv", "no such file"]),
        ("good.csv --part dev", ["good.csv", "'dev'"]),
        ("good.csv --vectors corpus", ["--vectors corpus"]),
    ],
)
def test_what_an_audit_refuses(typed: str, words: list[str], strange: Path) -> None:
    """One clear line and exit code 2."""
    line = one_line_and_two(gatelight("audit", *typed.split()))
    for word in words:
        assert word in line, line


def test_undecodable_bytes_can_be_replaced(tmp_path: Path) -> None:
    """One stray byte among a million lines must not stop someone who says so."""
    path = write_reviews(tmp_path / "d.csv")
    path.write_bytes(path.read_bytes().replace(b"film 3", b"film \xff"))
    options = [*TINY, "--encoding-errors", "replace", "--no-baseline"]
    succeeded("train", path, "--out", tmp_path / "m", *options)


def test_a_number_of_threads_that_is_none(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip in the environment is no fault of ours: no traceback."""
    monkeypatch.setenv("GATELIGHT_THREADS", "abc")
    assert "GATELIGHT_THREADS is 'abc'" in one_line_and_two(gatelight("predict", model, "good film " * 300))


DAMAGES: dict[str, Callable[[Path], object]] = {
    "absent": shutil.rmtree,
    "incomplete": lambda folder: (folder / "vocabulary.jsonl").unlink(),
    "cut": lambda folder: os.truncate(folder / "model.safetensors", 1000),
    "garbage": lambda folder: (folder / "config.json").write_bytes(b"\x00\xff{{{"),
    "newer": lambda folder: (folder / "config.json").write_text('{"format": 99}'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_model_folder_that_cannot_be_read(damage: str, model: Path, reviews: Path, tmp_path: Path) -> None:
    """A damaged model must not answer, and must not look like a bug of ours."""
    folder = Path(shutil.copytree(model, tmp_path / "m"))
    DAMAGES[damage](folder)
    for command, *data in (["predict", "good"], ["evaluate", reviews], ["summary"]):
        assert str(folder) in one_line_and_two(gatelight(command, folder, *data))


def test_a_folder_of_someone_elses_is_not_overwritten(reviews: Path, tmp_path: Path) -> None:
    """`--out .` must not cost anyone their files, and must say so before hours of training."""
    (tmp_path / "thesis.txt").write_text("ten years of work")
    result = gatelight("train", reviews, "--out", tmp_path, *TINY)
    assert "choose another" in one_line_and_two(result)
    assert "epoch" not in result.output
    assert (tmp_path / "thesis.txt").read_text() == "ten years of work"


# Trains where a file system of 100 kB lies, lists what is left there, makes room and goes on.
TINY_DISK = """
mount -t tmpfs -o size=100k tmpfs "$0" && cd "$0" || exit 99
"$@"; echo "exit $?"; ls -A
mount -o remount,size=10m "$0"
"$@" --resume >resumed; echo "exit $?"; ls -A
"""


def can_mount() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return subprocess.run(probe, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="needs unshare and the right to mount a tmpfs")
def test_a_full_disk_while_saving_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    """Half a model would be loaded one day; and hours of training must not be lost with it."""
    data = tmp_path / "wordy.csv"
    rows = (
        f"{' '.join(f'w{row * i % 997}' for i in range(40))},{('neg', 'pos')[row % 2]}\n"
        for row in range(190)
    )
    data.write_text("text,label\n" + "".join(rows))
    (tmp_path / "disk").mkdir()
    train = [*PROGRAM, "train", data, "--out", "m", *TINY, "--max-words", "50"]
    command = ["unshare", "-rm", "sh", "-c", TINY_DISK, tmp_path / "disk", *train]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)
    (line,) = done.stderr.splitlines()
    assert line.startswith("gatelight: ")
    assert "No space left" in line
    assert line.endswith("the trained model waits in m.checkpoint: --resume saves it")
    *_, first, left, second, saved, report = done.stdout.splitlines()
    assert (first, left, second, saved, report) == ("exit 2", "m.checkpoint", "exit 0", "m", "resumed")
