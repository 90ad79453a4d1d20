"""`gatelight lab agreement` and `gatelight lab sentences`: what a language model knows of who does what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatelight.cli.options import Json, Model, Threads
from gatelight.cli.output import console, emit, percent, say, table
from gatelight.cli.progress import Meter

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.estimators.language import LanguageModel
    from gatelight.estimators.ngrams import KneserNey
    from gatelight.lab.agreement import Accuracy, ScoredPairs

MARVIN_LINZEN = "marvin-linzen"
NAMED = 10  # unknown words that a person is told of
STAGES = {"tokenize": "reading sentences", "model": "the model", "n-grams": "n-grams"}


def agreement(
    model: Model,
    data: Annotated[
        str, typer.Option("--data", help="Minimal pairs.", metavar=f"blimp|{MARVIN_LINZEN}|FOLDER|FILE")
    ],
    train: Annotated[
        str | None,
        typer.Option("--train", help="What the model learned from, to count n-grams of.", metavar="DATA"),
    ] = None,
    part: Annotated[str | None, typer.Option("--part", help="The part of it; else all but test.")] = None,
    train_limit: Annotated[
        int | None, typer.Option("--train-limit", min=1, help="So many of its texts at most.")
    ] = None,
    order: Annotated[
        int | None, typer.Option("--order", min=1, help="Order of the n-grams, if not that of MODEL.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="So many pairs of each construction at most.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which pairs those are.")] = 0,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Ask a language model which sentence of each minimal pair is likelier, with n-grams beside it."""
    from gatelight.estimators.opening import load_language_model
    from gatelight.lab.agreement import accuracies, score_pairs
    from gatelight.lab.minimal_pairs import read_pairs, thinned
    from gatelight.nn.threads import set_threads

    to = console(machine=json)
    set_threads(threads)
    found = load_language_model(model)
    pairs = read_pairs(_place(data, to))
    whole = len(pairs)
    if limit is not None:
        pairs = thinned(pairs, limit, seed)
    ngrams = None if train is None else _ngrams(found, train, part, train_limit, order, to)
    with Meter(to) as meter:
        scored = score_pairs(found, pairs, ngrams, lambda stage: meter.show(STAGES[stage], 0, None))
    rows = accuracies(scored)
    if json:
        emit(
            {
                "model": model, "data": data, "pairs": whole, "asked": len(pairs),
                "scored": len(scored.pairs), "unknown": dict(scored.unknown.most_common()),
                "order": None if ngrams is None else ngrams.order, "shares": [vars(row) for row in rows],
            }
        )  # fmt: skip
        return
    say(to, f"{whole:,} pairs, {len(pairs):,} asked, {len(scored.pairs):,} scored")
    _tell_of_unknown(scored, to)
    for by in dict.fromkeys(row.by for row in rows):
        to.print(_table(by, [row for row in rows if row.by == by], scored))


def _place(data: str, to: Console) -> Path:
    from gatelight.cli.sources import available
    from gatelight.errors import DataError
    from gatelight.text.datasets import cache_folder

    if data != MARVIN_LINZEN or Path(data).exists():
        return available(data, to)
    folder = cache_folder() / MARVIN_LINZEN
    if not folder.is_dir():
        raise DataError(
            f"{MARVIN_LINZEN}: its authors publish pickles, which are not read; put it as JSON Lines, a file "
            f"for each construction (simple_agrmt.jsonl.gz …), into {folder}, or give their folder"
        )
    return folder


def _ngrams(
    model: LanguageModel, data: str, part: str | None, limit: int | None, order: int | None, to: Console
) -> KneserNey:
    from gatelight.cli.sources import texts_to_learn_from
    from gatelight.lab.agreement import ngrams_of

    texts = texts_to_learn_from(data, to, {}, part).texts[:limit]
    learned = model.training_.get("texts", 0) + model.training_.get("validation_texts", 0)
    if learned != len(texts):
        say(to, f"the model learned from {learned:,} texts, the n-grams from {len(texts):,}", "yellow")
    with Meter(to) as meter:
        meter.show("counting n-grams", 0, None)
        return ngrams_of(model, texts, order)


def _tell_of_unknown(scored: ScoredPairs, to: Console) -> None:
    if scored.unknown:
        named = ", ".join(f"{word} ({n:,})" for word, n in scored.unknown.most_common(NAMED))
        more = ", …" if len(scored.unknown) > NAMED else ""
        say(
            to,
            f"{scored.left_out.total():,} left out for {len(scored.unknown):,} words that the model does not "
            f"know: {named}{more}",
        )


def _table(by: str, rows: list[Accuracy], scored: ScoredPairs) -> Any:
    scorers = list(scored.margins)
    heads = [head for scorer in scorers for head in (scorer, "95 %")]
    groups: dict[str, list[Accuracy]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    lines = [
        [
            name, f"{of[0].pairs:,}", f"{of[0].left_out:,}" if by in ("all", "construction") else "",
            *(cell for row in of for cell in (percent(row.accuracy), interval(row.low, row.high))),
        ]
        for name, of in groups.items()
    ]  # fmt: skip
    return table([by, "pairs", "left out", *heads], lines)


def interval(low: float, high: float) -> str:
    """Return an interval of shares as people read it: 71.2–74.0."""
    return "–" if low != low else f"{100 * low:.1f}–{100 * high:.1f}"


def sentences(
    models: Annotated[list[str], typer.Argument(help="Folders of language models.", metavar="MODEL…")],
    wrong: Annotated[str, typer.Option("--wrong", help='What might stand instead of "went".')] = "go",
    json: Json = False,
) -> None:
    """Ask language models for the verb of the note's two sentences, and what of that reaches the subject."""
    from gatelight.estimators.opening import load_language_model
    from gatelight.lab.note_sentences import SENTENCES, SUBJECT, VERB, reach

    to = console(machine=json)
    lines: dict[str, list[list[str]]] = {sentence: [] for sentence in SENTENCES}
    for folder in models:
        model = load_language_model(folder)
        for sentence in SENTENCES:
            found = reach(model, sentence, wrong=wrong)
            if json:
                emit({"model": folder, "cell": model.cell, "tokenizer": model.tokenizer, **vars(found)})
            figures = (f"{value:.1e}" for value in (found.verb, found.wrong, found.gradient))
            lines[sentence].append([Path(folder).name, str(found.distance), *figures, percent(found.share)])
    for sentence, rows in lines.items():
        say(to, sentence)
        heads = ("distance", f"P({VERB})", f"P({wrong})", f"gradient at {SUBJECT}", "of all")
        to.print(table(["model", *heads], rows))
