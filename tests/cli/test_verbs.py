"""The other verbs, and the program as a whole: evaluate, summary, status, data, --version, --help."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import TINY, gatelight, json_lines, one_line_and_two

import gatelight as library
from gatelight import Corpus, __version__, evaluate
from gatelight.estimators.settings import PRESETS


def test_evaluation_is_one_object_with_intervals_and_the_baseline(model: Path, reviews: Path) -> None:
    """A figure without its interval, or without the baseline on the same texts, is no evidence."""
    (record,) = json_lines(gatelight("evaluate", model, reviews, "--json").stdout)
    names = {"accuracy", "accuracy_low", "accuracy_high", "f1", "log_loss", "n", "baseline"}
    assert names <= record.keys()
    assert names - {"baseline"} <= record["baseline"].keys()
    corpus = Corpus.read(reviews)
    expected = evaluate(library.load(model), corpus.texts, corpus.labels or [])
    assert record == json.loads(json.dumps(expected.to_dict()))


def test_evaluation_for_people_stands_side_by_side_within_80_columns(model: Path, reviews: Path) -> None:
    """A table that wraps cannot be read."""
    result = gatelight("evaluate", model, reviews)
    (accuracy,) = [line for line in result.stdout.splitlines() if line.strip().startswith("accuracy")]
    assert len(re.findall(r"\d+\.\d % \[\d+\.\d %, \d+\.\d %\]", accuracy)) == 2
    table = result.stdout.splitlines()[1:]
    assert max(map(len, table)) <= 80


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


def test_the_part_test_alone_is_judged_where_there_are_parts(model: Path, tmp_path: Path) -> None:
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


def test_the_total_is_called_so_and_is_what_training_changes(model: Path) -> None:
    """A reader of layer tables looks for the word `total`, and a frozen embedding must not be in it."""
    said = gatelight("summary", "--preset", "note-200").stdout.splitlines()
    (line,) = [line for line in said if line.split()[:1] == ["total"]]
    assert line.split() == ["total", "80,201", "trained"]


@pytest.mark.parametrize(
    ("preset", "figures"), [("note-400", ["70,200", "20,001", "90,201"]), ("note-200", ["10,001", "80,201"])]
)
def test_the_notes_models_have_the_notes_sizes(preset: str, figures: list[str]) -> None:
    """A wrong size means that another model would be trained under the note's name."""
    result = gatelight("summary", "--preset", preset)
    assert all(figure in result.stdout for figure in figures)
    (record,) = json_lines(gatelight("summary", "--preset", preset, "--json").stdout)
    assert f"{record['trained']:,}" == figures[-1]


def test_a_saved_model_shows_its_layers(model: Path) -> None:
    """The sizes come from the saved model, not from the preset."""
    (record,) = json_lines(gatelight("summary", model, "--json").stdout)
    assert [layer["parameters"] for layer in record["layers"]][1] == 2 * 4 * 8 * (8 + 8 + 1)


def test_a_summary_of_nothing_or_of_two_things_is_refused(model: Path) -> None:
    """Showing one of the two would leave the other unanswered."""
    assert "--preset" in one_line_and_two(gatelight("summary"))
    assert "--preset" in one_line_and_two(gatelight("summary", model, "--preset", "default"))


def test_status_says_which_path_runs_and_why() -> None:
    """A silent fall-back to a slow path is the worst kind of slow."""
    assert "kernels" in gatelight("status").stdout
    (record,) = json_lines(gatelight("status", "--json").stdout)
    assert any(what.startswith("lstm cpu") for what, _, _ in record["paths"])


def test_data_sets_are_listed_with_their_licence_and_whether_they_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever uses texts must know on what terms."""
    monkeypatch.setenv("GATELIGHT_DATA", str(tmp_path))
    result = gatelight("data", "list")
    assert result.stdout.count("licence: ") == 4
    assert result.stdout.count("not here yet") == 4
    assert {r["name"] for r in json_lines(gatelight("data", "list", "--json").stdout)} == {
        "imdb",
        "rotten-tomatoes",
        "glove-6b-50d",
        "blimp",
    }


def test_a_local_copy_is_taken_and_its_checksum_told(
    reviews: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is not the original may be used, but not in silence."""
    import bz2

    monkeypatch.setenv("GATELIGHT_DATA", str(tmp_path / "cache"))
    copy = tmp_path / "copy.csv.bz2"
    copy.write_bytes(bz2.compress(b"category,text,movie_name\nfresh,good,a\nrotten,bad,b\nplot,long,a\n"))
    result = gatelight("data", "get", "rotten-tomatoes", "--from", copy)
    assert result.exit_code == 0, result.output
    assert "is not the original" in result.stdout
    assert "licence: " in result.stdout
    assert "checksum: not that of the original" in result.stdout
    (record,) = json_lines(gatelight("data", "get", "rotten-tomatoes", "--json").stdout)
    assert record["original"] is False
    assert "no such file" in one_line_and_two(
        gatelight("data", "get", "rotten-tomatoes", "--from", tmp_path / "nowhere")
    )
    assert "rotten-tomatoes" in one_line_and_two(gatelight("data", "get", "rotten-potatoes"))


@pytest.mark.parametrize(
    "verb", [[], ["train"], ["evaluate"], ["predict"], ["summary"], ["data", "get"], ["vectors", "train"]]
)
def test_every_verb_explains_itself(verb: list[str]) -> None:
    """Help that crashes is found by the user first."""
    result = gatelight(*verb, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_help_names_every_preset() -> None:
    """A preset that no help names is one that nobody finds."""
    said = " ".join(gatelight("train", "--help").stdout.split())
    assert all(name in said for name in PRESETS)


def test_help_says_that_trained_vectors_depend_on_the_threads() -> None:
    """Vectors differ with more than one thread: who wants them again must be told where he looks."""
    train = " ".join(gatelight("train", "--help").stdout.replace("│", " ").split())
    assert "only --vectors corpus depends on it" in train
    assert "those of --vectors corpus with --threads 1" in train
    vectors = " ".join(gatelight("vectors", "train", "--help").stdout.replace("│", " ").split())
    assert "with 1 the same vectors come again" in vectors
    assert "does not depend" not in vectors


def test_a_mistyped_option_ends_with_two() -> None:
    """Typer's own mistakes have the same exit code as ours."""
    assert gatelight("train", "x", "--out", "y", "--epochs", "many").exit_code == 2
    assert gatelight("train", "x", "--out", "y", "--clip", "tight").exit_code == 2
    assert gatelight("fly").exit_code == 2


def test_version() -> None:
    """What to write in a bug report."""
    assert gatelight("--version").stdout == f"gatelight {__version__}\n"


def test_help_needs_no_heavy_package() -> None:
    """`--help` and completion must answer at once: torch alone takes seconds."""
    program = (
        "import sys; from gatelight.cli.main import app\n"
        "try: app(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'numpy', 'sklearn', 'numba', 'scipy', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done
