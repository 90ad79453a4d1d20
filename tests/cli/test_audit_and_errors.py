"""`gatelight audit` and `gatelight errors`: what they say to people and machines, and what they refuse."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from command_line import gatelight, json_lines, one_line_and_two, succeeded, write_reviews

import gatelight as library
from gatelight import Corpus, WordVectors

HOSTILE = '<script>alert("x")</script>\x1b[2J\u202e</style><img src=x onerror=alert(1)>'


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


def counts(record: dict[str, Any]) -> dict[str, int]:
    return {finding["name"]: finding["count"] for finding in record["findings"]}


def test_an_audit_for_machines(reviews: Path, tmp_path: Path) -> None:
    """The counts of what was read, and the findings, as JSON; what is for people goes elsewhere."""
    other = write_reviews(tmp_path / "other.csv", 20, seed=2)
    result = succeeded("audit", reviews, "--against", other, "--max-length", "11", "--json")
    (record,) = json_lines(result.stdout)
    assert record["texts"] == 180
    assert record["parts"] == [["", 160], [str(other), 20]]
    corpus = Corpus.read(reviews)
    copied = set(corpus.texts)
    expected = sum(text in copied for text in Corpus.read(other).texts)
    assert counts(record)["leakage"] == expected > 0
    assert record["lengths"]["statistics"]["maxlen"] == 11
    assert record["lengths"]["mean_characters"] == sum(map(len, corpus.texts)) / 160


def test_an_audit_for_people_fits_80_columns(tmp_path: Path) -> None:
    """A table that wraps cannot be read."""
    rows = [(f"a fine <br /> film number {i} of many", "pn"[i % 2]) for i in range(30)]
    data = write(tmp_path / "d.csv", rows)
    result = succeeded("audit", data)
    assert "markup: 30 (100.0 %) texts hold markup" in result.stdout
    assert "→ keep --clean" in result.stdout
    assert "tokens on average; 0 (0.0 %) are longer than 600 and are cut" in result.stdout
    rules = [len(line) for line in result.stdout.splitlines() if line.startswith(" ─")]
    assert rules
    assert max(rules) <= 80


def test_plain_lines_and_standard_input_can_be_audited(tmp_path: Path) -> None:
    """Texts need no labels to be dirty."""
    (tmp_path / "lines.txt").write_text("a plain line\nanother one of the lines\n\n")
    (record,) = json_lines(gatelight("audit", tmp_path / "lines.txt", "--json").stdout)
    assert (record["texts"], record["labels"]) == (3, [])
    assert "empty" in counts(record)
    (record,) = json_lines(gatelight("audit", "-", "--json", given="one line of text\n\n").stdout)
    assert record["texts"] == 2


def test_parts_are_compared_with_each_other(tmp_path: Path) -> None:
    """The leak between a source's own train and test is the one that matters most."""
    rows = [{"text": f"text {i % 25} of the many that there are", "label": "ab"[i % 2]} for i in range(50)]
    parts = ["train"] * 25 + ["test"] * 25
    lines = [json.dumps({**row, "split": part}) for row, part in zip(rows, parts, strict=True)]
    (tmp_path / "d.jsonl").write_text("\n".join(lines))
    (record,) = json_lines(gatelight("audit", tmp_path / "d.jsonl", "--json").stdout)
    assert counts(record)["leakage"] == 25
    (record,) = json_lines(gatelight("audit", tmp_path / "d.jsonl", "--part", "test", "--json").stdout)
    assert record["texts"] == 25
    assert "leakage" not in counts(record)


def test_words_without_vectors(tmp_path: Path) -> None:
    """The words that a file of vectors lacks are told, the negations among them by name."""
    data = write(tmp_path / "d.csv", [(f"i dont like film {i} at all", "pn"[i % 2]) for i in range(20)])
    WordVectors(["i", "like", "film", "at", "all"], [[1.0]] * 5).save(tmp_path / "v.txt")  # type: ignore[arg-type]
    (record,) = json_lines(gatelight("audit", data, "--vectors", tmp_path / "v.txt", "--json").stdout)
    report = record["unknown"][1]
    assert report["known_by"] == "v.txt"
    assert [word["word"] for word in report["negations"]] == ["dont"]


def test_errors_for_machines(model: Path, reviews: Path) -> None:
    """The mistakes are those of the model on the texts it was not trained on."""
    result = succeeded("errors", model, reviews, "--json")
    (record,) = json_lines(result.stdout)
    corpus, loaded = Corpus.read(reviews), library.load(model)
    unseen = ~loaded.trained_on(corpus.texts)
    right = loaded.predict(corpus.texts) == corpus.labels
    assert record["evaluation"]["accuracy"] == right[unseen].mean()
    assert record["trained_on"] + record["texts"] == 160
    assert sum(map(sum, record["confusion"])) == record["texts"] == unseen.sum()
    assert record["left_out"] is True
    assert {"calibration", "coverage", "edits", "slices", "worst", "offered"} <= record.keys()


def test_errors_for_people_fit_80_columns(model: Path, tmp_path: Path) -> None:
    """Confusion, slices and figures are tables, which must not wrap."""
    data = write_reviews(tmp_path / "d.csv", 60, seed=5)
    data.write_text(
        data.read_text(encoding="utf-8").replace("was dull", "was not dull, but"),
        encoding="utf-8",
    )
    result = succeeded("errors", model, data)
    assert "more texts were trained on and are left out" in result.stdout
    told = (
        "Expected calibration error",
        "predicted neg",
        "negation",
        "Rare words made unknown",
        "the same of",
    )
    assert all(part in result.stdout for part in told)
    rules = [len(line) for line in result.stdout.splitlines() if line.startswith(" ─")]
    assert len(rules) > 2
    assert max(rules) <= 80


def test_what_errors_refuses(model: Path, reviews: Path, tmp_path: Path) -> None:
    """Each with one line."""
    other = write(tmp_path / "d.csv", [("good", "positive"), ("bad", "negative")])
    assert "'positive'" in one_line_and_two(gatelight("errors", model, other))
    assert "no split 'test'" in one_line_and_two(gatelight("errors", model, reviews, "--part", "test"))
    assert "nowhere" in one_line_and_two(gatelight("errors", tmp_path / "nowhere", reviews))
    plain = tmp_path / "lines.txt"
    plain.write_text("a line\n")
    assert "label" in one_line_and_two(gatelight("errors", model, plain))


def test_what_a_user_wrote_cannot_move_the_cursor(model: Path, tmp_path: Path) -> None:
    """A review that holds an escape sequence must not clear the screen of whoever audits it."""
    rows = [(f"{HOSTILE} {i} dull and wonderful film", ("neg", "pos")[i % 2]) for i in range(20)]
    data = write(tmp_path / "d.csv", rows)
    for command, *arguments in (["audit", data], ["errors", model, data]):
        result = succeeded(command, *arguments)
        assert "\x1b" not in result.stdout
        assert "<script>" in result.stdout
