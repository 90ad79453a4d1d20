"""`gatelight predict`: texts as arguments, lines of a file or of stdin → labels, line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatelight.app.options import READING, Json, Model, Threads, with_options
from gatelight.app.output import as_json, one_line, percent

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier

FILE_ENDINGS = (
    ".txt", ".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".ft", ".fasttext",
    ".tar", ".tgz", ".zip",
)  # fmt: skip
COMPRESSED = (".gz", ".bz2", ".xz")
AT_ONCE = 4096
STDIN = "-"


@with_options(reading=READING)
def predict(
    model: Model,
    texts: Annotated[
        list[str],
        typer.Argument(help="Texts; or one file of texts; or - for lines on stdin.", metavar="TEXT…|FILE|-"),
    ],
    reading: dict[str, Any],
    proba: Annotated[bool, typer.Option("--proba", help="Give the probability of every class.")] = False,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Judge texts: label, its probability, the share of unknown words, and the text, a line each."""
    from gatelight.estimators.folder import load
    from gatelight.memory.threads import set_threads

    batches = _batches(texts, reading)
    set_threads(threads)
    judge = load(model)
    for batch in batches:
        sys.stdout.write("".join(_answers(judge, batch, proba, json)))
        sys.stdout.flush()


def _batches(given: list[str], reading: dict[str, Any]) -> Iterator[list[str]]:
    """Yield texts in batches: from stdin as they come, from a file in order, or those that were typed."""
    from gatelight.app.lines import Lines

    if len(given) > 1:
        return iter([given])
    name = given[0]
    plain = set(reading) == {"encoding", "encoding_errors"}
    if name == STDIN and plain:
        return Lines(
            sys.stdin.buffer, "standard input", reading["encoding"], reading["encoding_errors"]
        ).batches(AT_ONCE)
    if name == STDIN or _is_path(name):
        return _from_file(name, reading)
    return iter([given])


def _is_path(name: str) -> bool:
    """Say whether an argument is a path: something is there, or it can be nothing but a file's name."""
    try:
        if name.strip() and Path(name).exists():
            return True
    except (OSError, ValueError):  # too long or too strange for a path
        return False
    # A missing file is to be told of, not judged as a text; but "10/10" and "v2.0" are texts.
    if len(name.split()) != 1:
        return False
    ending = name.lower()
    for compressed in COMPRESSED:
        ending = ending.removesuffix(compressed)
    return ending.endswith(FILE_ENDINGS) or ending != name.lower() or name.startswith(("./", "../", "~/"))


def _from_file(name: str, reading: dict[str, Any]) -> Iterator[list[str]]:
    from gatelight.text.corpus import read_examples

    batch: list[str] = []
    for example in read_examples(name, labelled=False, **reading):
        batch.append(example.text)
        if len(batch) == AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _answers(judge: TextClassifier, texts: list[str], proba: bool, json: bool) -> Iterator[str]:
    columns, unknown = judge.judge(texts)
    classes = judge.known_classes()
    names = classes.plain()
    for text, label, row, share in zip(texts, classes.labels(columns), columns, unknown, strict=True):
        labels = list(label) if classes.multilabel else [label]
        shares = dict(zip(names, row.tolist(), strict=True))
        if json:
            record = {
                "label": labels if classes.multilabel else label,
                "probability": [shares[name] for name in labels] if classes.multilabel else shares[label],
                "unknown": share,
                "text": text,
            }
            yield as_json(record | ({"probabilities": shares} if proba else {})) + "\n"
            continue
        said = ",".join(map(str, labels)) or "none"
        probability = ",".join(f"{shares[name]:.4f}" for name in labels) or "–"
        if proba:
            probability = " ".join(f"{name}={value:.4f}" for name, value in shares.items())
        fields = (said, probability, f"{percent(share)} unknown", text)
        yield "\t".join(map(one_line, fields)) + "\n"
