"""`gatelight predict`: texts as arguments, lines of a file or of stdin → labels, line by line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatelight.cli.options import READING, Json, Model, Threads, with_options
from gatelight.cli.output import as_json, one_line, percent

if TYPE_CHECKING:
    from gatelight.estimators.judging import Judge
    from gatelight.insight.understanding import Explanation, UnknownToken

FILE_ENDINGS = (
    ".txt", ".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet", ".pq", ".ft", ".fasttext",
    ".tar", ".tgz", ".zip",
)  # fmt: skip
COMPRESSED = (".gz", ".bz2", ".xz")
AT_ONCE = 4096
STDIN = "-"
MOST_WORDS, MOST_READ = 10, 200  # unknown words and characters that a line for people shows


@with_options(reading=READING)
def predict(
    model: Model,
    texts: Annotated[
        list[str],
        typer.Argument(help="Texts; or one file of texts; or - for lines on stdin.", metavar="TEXT…|FILE|-"),
    ],
    reading: dict[str, Any],
    proba: Annotated[bool, typer.Option("--proba", help="Give the probability of every class.")] = False,
    explain_unknown: Annotated[
        bool,
        typer.Option("--explain-unknown", help="Name the unknown words and what is read in their place."),
    ] = False,
    abstain_above: Annotated[
        float | None,
        typer.Option(
            "--abstain-above",
            min=0,
            max=1,
            help="Give no label where a larger share of the words is unknown.",
            metavar="SHARE",
        ),
    ] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Judge texts: label, its probability, the share of unknown words, and the text, a line each."""
    from gatelight.estimators.judging import Judge
    from gatelight.estimators.opening import load_judge
    from gatelight.nn.threads import set_threads

    batches = _batches(texts, reading)
    set_threads(threads)
    judge = load_judge(model)
    if not isinstance(judge, Judge):
        from gatelight.cli import sequences

        sequences.predict(judge, texts, json)
        return
    how = Answers(proba, explain_unknown, abstain_above, json)
    for batch in batches:
        sys.stdout.write("".join(_answers(judge, batch, how)))
        sys.stdout.flush()


@dataclass(frozen=True)
class Answers:
    """What an answer tells, and how."""

    proba: bool
    explain: bool
    abstain_above: float | None
    json: bool


def _batches(given: list[str], reading: dict[str, Any]) -> Iterator[list[str]]:
    """Yield texts in batches: from stdin as they come, from a file in order, or those that were typed."""
    from gatelight.cli.lines import Lines

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


def _answers(judge: Judge, texts: list[str], how: Answers) -> Iterator[str]:
    columns, unknown = judge.judge(texts)
    classes = judge.classes
    names = classes.plain()
    explained: list[Explanation] = []
    if how.explain:
        from gatelight.insight.understanding import explain

        explained = list(map(explain, judge.understand(texts)))
    rows = zip(texts, classes.labels(columns), columns, unknown, strict=True)
    for number, (text, label, row, share) in enumerate(rows):
        labels = list(label) if classes.multilabel else [label]
        shares = dict(zip(names, row.tolist(), strict=True))
        abstains = how.abstain_above is not None and share > how.abstain_above
        if how.json:
            record: dict[str, Any] = {
                "label": labels if classes.multilabel else label,
                "probability": [shares[name] for name in labels] if classes.multilabel else shares[label],
                "unknown": share,
                "text": text,
            }
            if how.abstain_above is not None:
                record |= {"abstained": abstains} | ({"label": None, "probability": None} if abstains else {})
            record |= explained[number].to_dict() if explained else {}
            yield as_json(record | ({"probabilities": shares} if how.proba else {})) + "\n"
            continue
        said = ",".join(map(str, labels)) or "none"
        probability = ",".join(f"{shares[name]:.4f}" for name in labels) or "–"
        if abstains:
            said, probability = "abstains", "–"
        if how.proba:
            probability = " ".join(f"{name}={value:.4f}" for name, value in shares.items())
        fields = [said, probability, f"{percent(share)} unknown", text]
        fields += [_explained(explained[number])] if explained else []
        yield "\t".join(map(one_line, fields)) + "\n"


def _explained(found: Explanation) -> str:
    words = found.unknown_words
    if not words:
        return "every word is known"
    said = [f"{word.word} → {_became(word)}" for word in words[:MOST_WORDS]]
    if len(words) > MOST_WORDS:
        said.append(f"and {len(words) - MOST_WORDS} more")
    read = found.read_as if len(found.read_as) <= MOST_READ else f"{found.read_as[:MOST_READ]}…"
    parts = [", ".join(said), f"read as: {read}", *([] if found.warning is None else [found.warning])]
    return "; ".join(parts)


def _became(word: UnknownToken) -> str:
    if word.read_as is None:
        return "left out"
    return "its letters" if word.read_as == word.word else word.read_as
