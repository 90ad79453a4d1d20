"""The program as a whole (help, slips of the pen, --version), and evaluate, summary and data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import TINY, gatelight, json_lines, one_line_and_two, succeeded

import gatelight as library
from gatelight import Corpus, __version__, evaluate
from gatelight.cli.main import COMMANDS
from gatelight.text.datasets import DATASETS


def test_evaluation_is_one_object_with_intervals_and_the_baseline(model: Path, reviews: Path) -> None:
    """A figure without its interval, or without the baseline on the same texts, is no evidence."""
    (record,) = json_lines(gatelight("evaluate", model, reviews, "--json").stdout)
    names = {"accuracy", "accuracy_low", "accuracy_high", "f1", "log_loss", "n", "baseline"}
    assert names <= record.keys()
    assert names - {"baseline"} <= record["baseline"].keys()
    corpus = Corpus.read(reviews)
    expected = evaluate(library.load(model), corpus.texts, corpus.labels or [])
    assert record == json.loads(json.dumps(expected.to_dict()))


def with_parts(path: Path, parts: list[str]) -> Path:
    """Write 12 reviews in each part; in the part test every label is the other one."""
    path.write_text(
        "text,label,split\n"
        + "".join(
            f"{word} film,{label if part != 'test' else {'pos': 'neg', 'neg': 'pos'}[label]},{part}\n"
            for part in parts
            for word, label in [("wonderful", "pos"), ("dull", "neg")] * 6
        )
    )
    return path


def test_the_part_test_alone_is_measured_where_there_are_parts(model: Path, tmp_path: Path) -> None:
    """Counting the texts that the model was trained on would flatter it, without a word."""
    data = with_parts(tmp_path / "d.csv", ["train", "test"])
    (record,) = json_lines(gatelight("evaluate", model, data, "--json").stdout)
    assert (record["n"], record["accuracy"]) == (12, 0.0)
    (record,) = json_lines(gatelight("evaluate", model, data, "--part", "train", "--json").stdout)
    assert (record["n"], record["accuracy"]) == (12, 1.0)
    options = ["--out", tmp_path / "m", *TINY, "--no-baseline", "--json"]
    tested = json_lines(gatelight("train", data, *options, "--test", data).stdout)[-1]["test"]
    assert tested["n"] == 12


def test_parts_without_a_test_among_them_must_be_named(model: Path, tmp_path: Path) -> None:
    """Which of them the model has seen, only the user knows."""
    data = with_parts(tmp_path / "d.csv", ["dev", "train"])
    line = one_line_and_two(gatelight("evaluate", model, data))
    assert "has parts (dev, train) but no part 'test'" in line
    assert "--part" in line
    folder = tmp_path / "acl"
    for name in ("pos/1_9.txt", "neg/2_1.txt"):
        (folder / "train" / name).parent.mkdir(parents=True)
        (folder / "train" / name).write_text("dull film")
    assert "has parts (train)" in one_line_and_two(gatelight("evaluate", model, folder))
    assert "splits are train" in one_line_and_two(gatelight("evaluate", model, folder, "--part", "test"))
    (record,) = json_lines(gatelight("evaluate", model, folder, "--part", "train", "--json").stdout)
    assert record["n"] == 2


@pytest.mark.parametrize(
    ("preset", "figures"), [("note-400", ["70,200", "20,001", "90,201"]), ("note-200", ["10,001", "80,201"])]
)
def test_the_notes_models_have_the_notes_sizes(preset: str, figures: list[str]) -> None:
    """A wrong size means another model under the note's name; a frozen embedding is not in the total."""
    said = gatelight("summary", "--preset", preset).stdout
    assert all(figure in said for figure in figures)
    (line,) = [line for line in said.splitlines() if line.split()[:1] == ["total"]]
    assert line.split() == ["total", figures[-1]]


def test_a_saved_model_shows_its_layers_and_what_computes_them(model: Path) -> None:
    """The sizes come from the saved model; a silent fall-back to a slow path is the worst kind of slow."""
    (record,) = json_lines(gatelight("summary", model, "--json").stdout)
    assert [layer["parameters"] for layer in record["layers"]][1] == 2 * 4 * 8 * (8 + 8 + 1)
    assert record["paths"][0].startswith("lstm: kernels")
    assert "lstm: kernels" in gatelight("summary", model).stdout


def test_a_summary_of_nothing_or_of_two_things_is_refused(model: Path) -> None:
    """Showing one of the two would leave the other unanswered."""
    assert "--preset" in one_line_and_two(gatelight("summary"))
    assert "--preset" in one_line_and_two(gatelight("summary", model, "--preset", "default"))


def test_data_sets_are_listed_with_their_licence_and_whether_they_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever uses texts must know on what terms."""
    monkeypatch.setenv("GATELIGHT_DATA", str(tmp_path))
    result = gatelight("data", "list")
    assert result.stdout.count("licence: ") == len(DATASETS)
    assert result.stdout.count("not here yet") == len(DATASETS)
    records = json_lines(gatelight("data", "list", "--json").stdout)
    assert {record["name"] for record in records} == set(DATASETS) >= {"imdb", "rotten-tomatoes"}


def test_files_put_there_by_hand_are_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a network a set could not be used under its name."""
    monkeypatch.setenv("GATELIGHT_DATA", str(tmp_path))
    (path := tmp_path / "imdb" / "aclImdb_v1.tar.gz").parent.mkdir()
    path.touch()
    assert "licence: " in gatelight("data", "get", "imdb").stdout
    (record,) = json_lines(gatelight("data", "get", "imdb", "--json").stdout)
    assert record["path"] == str(path)
    assert "rotten-tomatoes" in one_line_and_two(gatelight("data", "get", "rotten-potatoes"))


ALL = [name for group in COMMANDS.values() for name in group]


@pytest.mark.parametrize("command", ["", "lab", "data", *ALL])
def test_every_command_explains_itself_within_a_screen(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Help that crashes is found by the user first; one that wraps or scrolls away is not read."""
    monkeypatch.setenv("COLUMNS", "80")
    result = succeeded(*command.split(), "--help")
    assert result.stdout.startswith("Usage: gatelight")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert all(group.count("\n") < 24 for group in result.stdout.split("\n\n"))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["train", "x", "--out", "y", "--lr", "0.01"], "--learning-rate"),
        (["train", "x", "--learning-rte", "0.01"], "--learning-rate"),
        (["train", "x", "--out", "y", "--hidden", "8"], "--hidden-size"),
        (["train", "x", "--out", "y", "--dim", "8"], "--embedding-dim"),
        (["audit", "x", "--maxlen", "7"], "--max-length"),
        (["train", "x", "--out", "y", "--random-state", "8"], "--seed"),
        (["trian", "x"], "train"),
        (["lab", "lst"], "lab list"),
        (["train", "imbd", "--out", "y"], "'imdb'"),
    ],
)
def test_a_slip_is_answered_by_what_was_meant(typed: list[str], meant: str, tmp_path: Path) -> None:
    """`No such option` alone sends the user into the manual."""
    typed = [str(tmp_path / "y") if word == "y" else word for word in typed]
    assert f"did you mean {meant}?" in one_line_and_two(gatelight(*typed))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["--hidden-size", "big"], "--hidden-size: 'big' is not a whole number"),
        (["--clip", "tight"], "--clip: 'tight' is not a number, or none"),
        (["--limit", "0"], "--limit: 0 came; expected 1 or more"),
        (["--epochs"], "--epochs: expected one argument"),
        (["second.csv"], "'second.csv' is too much"),
    ],
)
def test_a_value_that_cannot_be_is_said_in_a_plain_sentence(typed: list[str], said: str) -> None:
    """A type's name or a usage line is no answer to someone who does not program."""
    assert said in one_line_and_two(gatelight("train", "x", "--out", "y", *typed))
    assert "needs DATA" in one_line_and_two(gatelight("train", "--out", "y"))


def test_options_may_stand_anywhere(model: Path) -> None:
    """`predict MODEL TEXT --json TEXT` is what people type."""
    answers = gatelight("predict", model, "a great film", "--json", "a dull film", "--", "--great").stdout
    assert [record["text"] for record in json_lines(answers)] == ["a great film", "a dull film", "--great"]


def test_version() -> None:
    """What to write in a bug report."""
    assert gatelight("--version").stdout == f"gatelight {__version__}\n"


def test_help_needs_no_heavy_package() -> None:
    """`--help` must answer at once: torch alone takes seconds."""
    program = (
        "import sys; from gatelight.cli.main import main\n"
        "heavy = {'torch', 'sklearn', 'numba', 'numpy', 'scipy', 'pyarrow', 'rich', 'ftfy'}\n"
        "main([]); main(['train', '--help']); print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done
