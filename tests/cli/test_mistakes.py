"""What users get wrong: one clear line, exit code 2, and every file that was there is still as it was."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import PROGRAM, TINY, gatelight, one_line_and_two, snapshot, write_reviews


def empty(folder: Path) -> list[object]:
    (folder / "d.csv").touch()
    return [folder / "d.csv"]


def missing(folder: Path) -> list[object]:
    return [folder / "nowhere.csv"]


def neither_path_nor_name(folder: Path) -> list[object]:
    return ["rotten-potatoes"]


def other_columns(folder: Path) -> list[object]:
    return [write_reviews(folder / "d.csv"), "--text-column", "snippet"]


def no_obvious_label(folder: Path) -> list[object]:
    (folder / "d.csv").write_text("text,verdict\ngood,pos\nbad,neg\n")
    return [folder / "d.csv"]


def one_class(folder: Path) -> list[object]:
    (folder / "d.csv").write_text("text,label\ngood,pos\nbetter,pos\n")
    return [folder / "d.csv"]


def undecodable(folder: Path) -> list[object]:
    (folder / "d.csv").write_bytes(b"text,label\ngood \xff film,pos\nbad,neg\n")
    return [folder / "d.csv"]


def cut_short(folder: Path) -> list[object]:
    packed = gzip.compress(write_reviews(folder / "d.csv").read_bytes())
    (folder / "d.csv.gz").write_bytes(packed[: len(packed) // 2])
    return [folder / "d.csv.gz"]


def climbing_archive(folder: Path) -> list[object]:
    with tarfile.open(folder / "d.tar.gz", "w:gz") as archive:
        for name in ("acl/train/pos/0_9.txt", "acl/train/neg/0_1.txt", "../outside.txt"):
            entry = tarfile.TarInfo(name)
            entry.size = 4
            archive.addfile(entry, io.BytesIO(b"good"))
    return [folder / "d.tar.gz"]


def no_labels(folder: Path) -> list[object]:
    (folder / "d.txt").write_text("good\nbad\n")
    return [folder / "d.txt"]


def unknown_preset(folder: Path) -> list[object]:
    return [write_reviews(folder / "d.csv"), "--preset", "goulash"]


def unknown_cell(folder: Path) -> list[object]:
    return [write_reviews(folder / "d.csv"), "--cell", "stm"]


def unknown_vectors(folder: Path) -> list[object]:
    return [write_reviews(folder / "d.csv"), "--vectors", "glove-7b"]


def vectors_missing(folder: Path) -> list[object]:
    return [write_reviews(folder / "d.csv"), "--preset", "note-200"]


def other_labels_to_test_on(folder: Path) -> list[object]:
    (folder / "t.csv").write_text("text,label\ngood,positive\nbad,neg\n")
    return [write_reviews(folder / "d.csv"), "--test", folder / "t.csv"]


def two_tests(folder: Path) -> list[object]:
    return [write_reviews(folder / "d.csv"), "--test", "x.csv", "--test-fraction", "0.1"]


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (missing, ["nowhere.csv", "no such file"]),
        (neither_path_nor_name, ["rotten-potatoes", "rotten-tomatoes"]),
        (empty, ["d.csv", "empty"]),
        (other_columns, ["snippet", "text", "label", "film"]),
        (no_obvious_label, ["'verdict'", "name it with --label-column"]),
        (one_class, ["d.csv", "pos", "2 classes"]),
        (undecodable, ["d.csv", "16", "0xff", "with --encoding, or", "--encoding-errors replace"]),
        (cut_short, ["d.csv.gz"]),
        (climbing_archive, ["d.tar.gz", "../outside.txt"]),
        (no_labels, ["d.txt", "label"]),
        (unknown_preset, ["goulash", "note-400"]),
        (unknown_cell, ["stm", "peephole"]),
        (unknown_vectors, ["glove-7b", "glove-6b-50d"]),
        (vectors_missing, ["--vectors", "--no-train-vectors"]),
        (other_labels_to_test_on, ["t.csv", "'positive'", "neg, pos"]),
        (two_tests, ["--test-fraction"]),
    ],
)
def test_data_or_settings_that_cannot_be_used(
    mistake: Callable[[Path], list[object]], words: list[str], tmp_path: Path, model: Path
) -> None:
    """The line names the culprit and what would do; the model that is there already stays."""
    (tmp_path / "data").mkdir()
    arguments = mistake(tmp_path / "data")
    shutil.copytree(model, tmp_path / "m")
    before = snapshot(tmp_path)
    line = one_line_and_two(gatelight("train", *arguments, "--out", tmp_path / "m", *TINY))
    for word in words:
        assert word in line, line
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "m.checkpoint").exists()


def test_undecodable_bytes_can_be_replaced(tmp_path: Path) -> None:
    """One stray byte among a million lines must not stop someone who says so."""
    path = write_reviews(tmp_path / "d.csv")
    path.write_bytes(path.read_bytes().replace(b"film 3", b"film \xff"))
    options = [*TINY, "--encoding-errors", "replace", "--no-baseline"]
    assert gatelight("train", path, "--out", tmp_path / "m", *options).exit_code == 0


def test_labels_that_are_not_the_models(model: Path, tmp_path: Path) -> None:
    """Accuracy 0 would be a lie: the labels are other ones."""
    (tmp_path / "d.csv").write_text("text,label\ngood,positive\nbad,negative\n")
    line = one_line_and_two(gatelight("evaluate", model, tmp_path / "d.csv"))
    for word in ("negative", "positive", "neg", "pos"):
        assert f"'{word}'" in line


def test_a_part_that_is_not_there(model: Path, reviews: Path) -> None:
    """Evaluating on everything instead would include the training texts."""
    assert "no split 'test'" in one_line_and_two(gatelight("evaluate", model, reviews, "--part", "test"))


def test_a_number_of_threads_that_is_none(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip in the environment is no fault of ours: no traceback."""
    monkeypatch.setenv("GATELIGHT_THREADS", "abc")
    assert "GATELIGHT_THREADS is 'abc'" in one_line_and_two(gatelight("predict", model, "good film " * 300))


def absent(folder: Path) -> None:
    shutil.rmtree(folder)


def incomplete(folder: Path) -> None:
    (folder / "vocabulary.jsonl").unlink()


def cut(folder: Path) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[:-100])


def garbage(folder: Path) -> None:
    (folder / "config.json").write_bytes(b"\x00\xff{{{")


def newer(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"format": 99}))


@pytest.mark.parametrize("damage", [absent, incomplete, cut, garbage, newer])
@pytest.mark.parametrize("verb", ["predict", "evaluate", "summary"])
def test_a_model_folder_that_cannot_be_read(
    damage: Callable[[Path], None], verb: str, model: Path, reviews: Path, tmp_path: Path
) -> None:
    """A damaged model must not answer, and must not look like a bug of ours."""
    folder = tmp_path / "m"
    shutil.copytree(model, folder)
    damage(folder)
    arguments = {"predict": ["good"], "evaluate": [reviews], "summary": []}[verb]
    assert str(folder) in one_line_and_two(gatelight(verb, folder, *arguments))


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


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_place_where_nothing_may_be_written(reviews: Path, tmp_path: Path) -> None:
    """That a model cannot be saved should be known before it is trained."""
    (tmp_path / "locked").mkdir(mode=0o500)
    line = one_line_and_two(gatelight("train", reviews, "--out", tmp_path / "locked" / "m", *TINY))
    assert "Permission denied" in line
