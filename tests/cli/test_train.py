"""`gatelight train`: what it prints, for people and machines, what it tests on, how it stops and goes on."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from command_line import (
    TINY,
    gatelight,
    json_lines,
    one_line_and_two,
    snapshot,
    start,
    succeeded,
    write_reviews,
)

import gatelight as library
from gatelight import WordVectors
from gatelight.cli.settings import classifier_settings
from gatelight.estimators.settings import PRESETS


def test_every_setting_is_an_option_of_the_same_default() -> None:
    """A setting without an option cannot be set by anyone who uses the command line."""
    options = {one.name: one for one in classifier_settings()}
    model = library.TextClassifier()
    assert {name: one.default for name, one in options.items()} == model.get_params(deep=False)
    nullable = {name for name, value in PRESETS["note-200"].items() if value is None}
    assert nullable <= {name for name, one in options.items() if one.nullable}


def test_people_see_what_was_read_done_and_found(reviews: Path, tmp_path: Path) -> None:
    """Without the split, the fraction of unknown words or the baseline beside it an accuracy says little."""
    result = gatelight("train", reviews, "--out", tmp_path / "m", *TINY)
    assert result.exit_code == 0
    for words in (
        "160 texts, 2 classes (neg 80, pos 80), 20 groups",
        "epoch 4/4",
        "no group is on both sides",
        "unknown words:",
        "LSTM, both directions",
        "n-gram baseline",
        f"saved in {tmp_path / 'm'}",
    ):
        assert words in result.stdout, words
    assert "\x1b" not in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m"]


def test_machines_get_a_json_line_per_epoch_and_one_at_the_end(reviews: Path, tmp_path: Path) -> None:
    """A program that watches training must find nothing but JSON on stdout."""
    options = [*TINY, "--test-fraction", "0.25", "--no-baseline", "--json"]
    result = gatelight("train", reviews, "--out", tmp_path / "m", *options)
    *epochs, final = json_lines(result.stdout)
    assert [record["epoch"] for record in epochs] == [1, 2, 3, 4]
    for record in epochs:
        assert {"seconds", "train_loss", "valid_loss", "valid_accuracy"} <= record.keys()
    assert final["validation"]["accuracy"] == epochs[final["best_epoch"] - 1]["valid_accuracy"]
    assert final["validation"]["baseline"] is None
    assert final["test"]["n"] + final["texts"] + final["validation_texts"] == 160
    assert final["origin"] == str(reviews)
    kept = json.loads((tmp_path / "m" / "config.json").read_text())["training"]["test"]
    assert kept == final["test"]
    assert "| on the test texts |" in (tmp_path / "m" / "README.md").read_text()


def test_a_given_test_file_and_validation_file_are_used(reviews: Path, tmp_path: Path) -> None:
    """`--valid` and `--test` must not be quietly replaced by some of the training texts."""
    other = write_reviews(tmp_path / "other.csv", 30, 2)
    options = [*TINY, "--valid", other, "--test", other, "--no-baseline", "--json"]
    final = json_lines(gatelight("train", reviews, "--out", tmp_path / "m", *options).stdout)[-1]
    assert (final["texts"], final["validation_texts"], final["test"]["n"]) == (160, 30, 30)


def write_parts(folder: Path) -> Path:
    """Write a small data set in the layout of aclImdb, with a part train, a part test and a part unsup."""
    for part, classes, number in (
        ("train", ("neg", "pos"), 30),
        ("test", ("neg", "pos"), 10),
        ("unsup", ("",), 20),
    ):
        for kind in classes:
            inner = folder / "train" / "unsup" if part == "unsup" else folder / part / kind
            inner.mkdir(parents=True)
            for row in range(number):
                word = {"neg": "awful", "pos": "great", "": "unsung"}[kind]
                (inner / f"{row}_{ {'neg': 1, 'pos': 9, '': 0}[kind] }.txt").write_text(
                    f"a {word} {part} film"
                )
    return folder


def test_the_part_test_is_evaluated_on_when_asked_for_and_never_learned_from(tmp_path: Path) -> None:
    """A word of the test part in the vocabulary or the vectors would be cheating."""
    data = write_parts(tmp_path / "acl")
    options = [*TINY, "--vectors", "corpus", "--no-baseline", "--json"]
    final = json_lines(gatelight("train", data, "--out", tmp_path / "m", *options, "--test", "test").stdout)[
        -1
    ]
    assert (final["test"]["n"], final["unlabelled_texts"], final["vectors"]) == (20, 20, "word2vec")
    assert final["texts"] + final["validation_texts"] == 60
    assert '"test"' not in (tmp_path / "m" / "vocabulary.jsonl").read_text()
    alone = gatelight("train", data, "--out", tmp_path / "alone", *options, "--unlabelled", "none")
    final = json_lines(alone.stdout)[-1]
    assert (final["unlabelled_texts"], final["vectors"]) == (0, "word2vec")
    more = tmp_path / "more.txt"
    more.write_text("a great film\na sad film\n" * 5)
    beside = gatelight("train", data, "--out", tmp_path / "more", *options, "--unlabelled", more)
    final = json_lines(beside.stdout)[-1]
    assert (final["unlabelled_texts"], final["self_trained_texts"]) == (10, 8)
    final = json_lines(gatelight("train", data, "--out", tmp_path / "m", *options).stdout)[-1]
    assert final["test"] is None
    assert "no split 'dev'" in one_line_and_two(
        gatelight("train", data, "--out", tmp_path / "m", *options, "--part", "dev")
    )


def test_a_column_of_parts_is_respected_like_folders(tmp_path: Path) -> None:
    """Many files name their split in a column; training on its test rows would be cheating too."""
    data = tmp_path / "d.csv"
    rows = [
        f"a {('bad', 'good')[i % 2]} {part} film,{i % 2},{part}"
        for part in ("train", "test")
        for i in range(30)
    ]
    data.write_text("\n".join(["text,label,split", *rows]) + "\n")
    options = [*TINY, "--no-baseline", "--json"]
    final = json_lines(gatelight("train", data, "--out", tmp_path / "m", *options, "--test", "test").stdout)[
        -1
    ]
    assert (final["texts"] + final["validation_texts"], final["test"]["n"]) == (30, 30)


def test_word_vectors_are_saved_as_the_model_has_them(tmp_path: Path) -> None:
    """Vectors made here are used for other trainings: test words must not be among them."""
    data, out = write_parts(tmp_path / "acl"), tmp_path / "v.txt"
    options = ["--out", tmp_path / "m", *TINY, "--vectors", "corpus", "--no-train-vectors", "--no-baseline"]
    succeeded("train", data, *options, "--save-vectors", out)
    saved, model = WordVectors.read(out), library.load(tmp_path / "m")
    learned_from = {"a", "film", "train", "awful", "great", "unsung", "unsup"}
    assert set(saved.words) == learned_from == set(model.vocabulary_.tokens[2:])
    succeeded("train", data, "--out", tmp_path / "n", *TINY, "--vectors", out, "--no-baseline")
    assert "must end in" in one_line_and_two(
        gatelight("train", data, *options, "--save-vectors", tmp_path / "v.doc")
    )


def wait_for_an_epoch(process: subprocess.Popen[bytes]) -> None:
    """Wait until a run whose output is a pipe has ended an epoch."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(b"epoch "):
            return
    raise AssertionError("the run ended before an epoch did")


def test_ctrl_c_stops_cleanly_and_resume_ends_as_if_nothing_had_happened(
    tmp_path: Path,
) -> None:
    """Hours of training must survive Ctrl-C and a kill, to the last bit."""
    model, unfinished = tmp_path / "m", tmp_path / "m.checkpoint"
    options = [*TINY, "--epochs", "15", "--no-baseline"]
    run = ["train", write_reviews(tmp_path / "long.csv", 800), "--out", model, *options]

    process = start(*run, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_an_epoch(process)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.startswith(b"gatelight: stopped after step ")
    assert b"--resume goes on" in said
    assert said.count(b"\n") == 1
    assert not model.exists()

    before = snapshot(unfinished)
    line = one_line_and_two(gatelight(*run))
    assert "--resume goes on" in line
    assert snapshot(unfinished) == before

    process = start(*run, "--resume", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for_an_epoch(process)
    process.kill()
    process.communicate(timeout=60)

    succeeded(*run, "--resume")
    assert not unfinished.exists()
    succeeded(*run[:3], tmp_path / "whole", *options)
    for name in ("model.safetensors", "vocabulary.jsonl"):
        assert (model / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("json", [(), ("--json",)])
def test_training_outlives_whoever_read_its_output(
    json: tuple[str, ...], reviews: Path, tmp_path: Path
) -> None:
    """`train … | head` must not end hours of training without a model and without a word."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start("train", reviews, "--out", tmp_path / "m", *TINY, "--no-baseline", *json, **pipes)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read().count(b"the output is read no more; training goes on") == 1
    succeeded("predict", tmp_path / "m", "a great film")


def test_resume_with_nothing_to_resume_says_so(reviews: Path, tmp_path: Path) -> None:
    """Beginning anew in silence would hide that the earlier run is not where it was thought to be."""
    assert "nothing to resume" in one_line_and_two(
        gatelight("train", reviews, "--out", tmp_path / "m", *TINY, "--resume")
    )
    assert list(tmp_path.iterdir()) == []
