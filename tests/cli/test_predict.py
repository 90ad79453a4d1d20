"""`gatelight predict`: typed texts, files, streams; what comes in is classified in order, without delay."""

from __future__ import annotations

import json
import os
import select
import subprocess
from pathlib import Path

import pytest
from command_line import gatelight, json_lines, one_line_and_two, start, succeeded

import gatelight as library


def test_typed_texts_are_classified_in_order(model: Path) -> None:
    """Label, probability and the fraction of unknown words must be the library's, for the right text."""
    texts = ["a great film", "a dull film", "qwertz", ""]
    result = gatelight("predict", model, *texts)
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    proba, unknown = library.load(model).proba_and_unknown_fraction(texts)
    assert [row[3] for row in rows] == texts
    for row, columns, fraction in zip(rows, proba, unknown, strict=True):
        assert row[0] == ("neg", "pos")[int(columns.argmax())]
        assert row[1] == f"{columns.max():.4f}"
        assert row[2] == f"{fraction:.4f}"
    assert rows[2][2] == "1.0000"


def test_json_gives_the_text_as_it_was_and_every_class_when_asked(model: Path) -> None:
    """A program needs the probabilities by name, and the text line ends and all; a person one line a text."""
    text = "great\nfilm\t\x1b[2J [bold]"
    (record,) = json_lines(gatelight("predict", model, text, "--json", "--proba").stdout)
    assert record["text"] == text
    assert sum(record["probabilities"].values()) == pytest.approx(1)
    assert record["probability"] == record["probabilities"][record["label"]]
    shown = gatelight("predict", model, text, "dull").stdout
    assert len(shown.splitlines()) == 2
    assert "\x1b" not in shown
    assert "[bold]" in shown


def test_json_says_which_texts_were_trained_on(model: Path, reviews: Path) -> None:
    """An answer on a training text is no sign of what a model does with new ones."""
    texts = library.Corpus.read(reviews).texts
    known = library.load(model).trained_on(texts)
    assert known is not None
    records = json_lines(gatelight("predict", model, reviews, "--json").stdout)
    assert [record["trained_on"] for record in records] == known.tolist()
    (new,) = json_lines(gatelight("predict", model, "no text of the training data", "--json").stdout)
    assert new["trained_on"] is False


@pytest.mark.parametrize("name", ["texts.txt", "texts.csv", "texts.jsonl"])
def test_one_file_is_read_text_by_text(name: str, model: Path, tmp_path: Path) -> None:
    """A file's name given as a text would be classified as one word."""
    lines = {
        "texts.txt": "great film\n\ndull film\n",
        "texts.csv": 'text,x\ngreat film,1\n"",2\ndull film,3\n',
        "texts.jsonl": '{"text": "great film"}\n{"text": ""}\n{"text": "dull film"}\n',
    }
    (tmp_path / name).write_text(lines[name])
    records = json_lines(gatelight("predict", model, tmp_path / name, "--json").stdout)
    assert [record["text"] for record in records] == ["great film", "", "dull film"]


def test_several_files_are_several_inputs(model: Path, tmp_path: Path) -> None:
    """`predict MODEL a.txt b.txt` must not classify the two names."""
    for name, text in (("a.txt", "great film\n"), ("b.txt", "dull film\n")):
        (tmp_path / name).write_text(text)
    files = (tmp_path / "a.txt", tmp_path / "b.txt")
    records = json_lines(gatelight("predict", model, *files, "--json").stdout)
    assert [record["text"] for record in records] == ["great film", "dull film"]
    records = json_lines(gatelight("predict", model, "-", files[0], "--json", given="moving\n").stdout)
    assert [record["text"] for record in records] == ["moving", "great film"]


@pytest.mark.parametrize("texts", [("good.txt", "a great film"), ("great", "good.txt"), ("a film", "no.csv")])
def test_files_among_texts_are_refused(
    texts: tuple[str, str], model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The label of a file's name is an answer to a question nobody asked."""
    (tmp_path / "good.txt").write_text("a good film\n")
    monkeypatch.chdir(tmp_path)
    assert "either texts or files" in one_line_and_two(gatelight("predict", model, *texts))


def test_a_file_that_is_missing_is_not_taken_for_a_text(model: Path) -> None:
    """`pos 0.51 reviews.txt` would be an answer to a question nobody asked; a text of one word is a text."""
    assert "no such file" in one_line_and_two(gatelight("predict", model, "reviews.txt"))
    for name in ("data/reviews.CSV", "reviews.jsonl.gz", "imdb.tar.gz", "./reviews", "x.parquet"):
        assert "no such file" in one_line_and_two(gatelight("predict", model, name))


@pytest.mark.parametrize("text", ["10/10", "and/or", "v2.0", "read it in reviews.txt", "x" * 5000, "a\0b"])
def test_a_text_that_is_no_path_is_classified(text: str, model: Path) -> None:
    """A slash or a dot makes no file of a text: `no such file` would be no answer to 10/10."""
    (record,) = json_lines(gatelight("predict", model, text, "--json").stdout)
    assert record["text"] == text


ODD = ["", " ", "x", "\N{PILE OF POO}", "zzz qqq", "'" * 100, "\N{ZERO WIDTH JOINER}"]
ODD += ["e\N{COMBINING ACUTE ACCENT}" * 50, "great " * 2_000_000]


def test_odd_lines_are_classified_not_crashed_on(model: Path) -> None:
    """Empty, unknown, one character, 12 MB: each gets its answer, in order."""
    result = succeeded("predict", model, "-", "--json", given="\n".join(ODD) + "\n")
    records = json_lines(result.stdout)
    assert [record["text"] for record in records] == ODD
    assert records[4]["unknown"] == 1
    assert all(0 <= record["probability"] <= 1 for record in records)


def test_no_input_is_no_answer(model: Path) -> None:
    """`grep nothing | gatelight predict MODEL -` is no mistake."""
    result = gatelight("predict", model, "-", given="")
    assert (result.exit_code, result.output) == (0, "")


def test_a_stream_is_answered_while_it_runs_and_ends_quietly_with_its_reader(model: Path) -> None:
    """In a pipeline nobody waits for the end of the input, and `head` ends it without an error."""
    how = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = start("predict", model, "-", "--json", **how)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    for text in ("a great film", "a dull film"):
        process.stdin.write(text.encode() + b"\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], 60)
        assert ready, "no answer while the input is open"
        assert json.loads(process.stdout.readline())["text"] == text
    process.stdout.close()
    try:
        for _ in range(100):
            process.stdin.write(b"and one more great film\n" * 1000)
        process.stdin.close()
    except BrokenPipeError:
        pass
    assert process.wait(60) == 141
    assert process.stderr.read() == b""


def test_text_that_no_encoding_holds_is_written_all_the_same(model: Path) -> None:
    """An argument with a stray byte reaches Python as half a surrogate pair, which UTF-8 cannot write."""
    process = start("predict", model, os.fsdecode(b"great \xff film"), stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert rb"great \udcff film" in out
