"""`gatelight embed` and `neighbours`: what a model's memory keeps of each text, and what is near to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from gatelight.cli.options import READING, Json, Model, Threads, with_options
from gatelight.cli.output import console, emit, say, table
from gatelight.cli.progress import Meter
from gatelight.errors import DataError

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.estimators.language import LanguageModel
    from gatelight.text.readers import Example

AT_ONCE = 2048
Texts = Annotated[
    str, typer.Argument(help="File, folder or archive of texts, labelled or not.", metavar="DATA")
]
Pool = Annotated[
    str, typer.Option("--pool", help="What is kept of a text: last, max, mean, or cell (the cell state).")
]
Part = Annotated[str | None, typer.Option("--part", help="One part of DATA; otherwise all but unsup.")]


@with_options(reading=READING)
def embed(
    model: Model,
    data: Texts,
    reading: dict[str, Any],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write: .npy or .parquet.", metavar="FILE")
    ] = None,
    pool: Pool = "last",
    part: Part = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with a map to this file.", metavar="FILE")
    ] = None,
    shown: Annotated[
        int, typer.Option("--shown", min=10, max=20_000, help="Texts on the page, drawn at random.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="Fixes the draw.")] = 0,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Write what the model's memory keeps of each text: a vector each, in the order of the texts.

    DATA may be larger than the memory.
    """
    from contextlib import nullcontext

    from gatelight.cli.html import check
    from gatelight.estimators.thought_vectors import vectors_written
    from gatelight.insight.thoughts import Drawn, thoughts
    from gatelight.models.thought_vectors import features

    if out is None and html is None:
        raise DataError("nothing is to be written; give --out FILE.npy or FILE.parquet, or --html FILE")
    if html is not None:
        check()  # before minutes of reading
    to = console(machine=json)
    opened = _opened(model, threads)
    width, drawn = features(opened.model_), Drawn(shown, seed)
    writing: Any = nullcontext() if out is None else vectors_written(out, width)
    with Meter(to) as meter, writing as write:
        for examples, vectors in _embedded(opened, data, reading, part, pool, to, meter):
            ids, texts = [example.id for example in examples], [example.text for example in examples]
            labels = [_label(example) for example in examples]
            if write is not None:
                write(vectors, ids, labels, texts)
            drawn.add(vectors, ids, labels, texts)
    if html is not None:
        from gatelight.cli.thoughts_report import page

        page(html, thoughts(drawn), model, data, pool)
    if json:
        paths = {"path": None if out is None else str(out), "html": None if html is None else str(html)}
        emit({"texts": drawn.seen, "features": width, "pool": pool, **paths})
        return
    if out is not None:
        say(to, f"{drawn.seen:,} vectors of {width} numbers, saved in {out}")
    if html is not None:
        say(to, f"map in {html}")


@with_options(reading=READING)
def neighbours(
    model: Model,
    data: Texts,
    query: Annotated[
        list[str], typer.Option("--query", "-q", help="A text; may be given several times.", metavar="TEXT")
    ],
    reading: dict[str, Any],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Neighbours of each.")] = 10,
    pool: Pool = "last",
    part: Part = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Find the texts of DATA that leave the model's memory most like a text of yours does, by cosine.

    DATA may be larger than the memory.
    """
    from gatelight.insight.findings import quoted
    from gatelight.insight.neighbours import Nearest

    to = console(machine=json)
    opened = _opened(model, threads)
    nearest = Nearest(opened.embed(query, pool), count)
    with Meter(to) as meter:
        for examples, vectors in _embedded(opened, data, reading, part, pool, to, meter):
            nearest.add(vectors, examples)
    for number, text in enumerate(query):
        found = nearest.found(number)
        if json:
            for cosine, near in found:
                of = {"label": near.label, "id": near.id, "text": near.text}
                emit({"query": text, "similarity": cosine, **of})
            continue
        rows = [[quoted("", near.text).text, _label(near) or "–", f"{cosine:.3f}"] for cosine, near in found]
        to.print(table(["text", "label", "similarity"], rows, quoted("", text).text))


def _opened(model: str, threads: int | None) -> TextClassifier | LanguageModel:
    from gatelight.estimators.opening import load
    from gatelight.interop.keras.imported import ImportedModel
    from gatelight.nn.threads import set_threads

    set_threads(threads)
    opened = load(model)
    if isinstance(opened, ImportedModel):
        raise DataError(f"{model} is an imported model; give one that was trained here, on texts")
    return opened


def _embedded(
    opened: TextClassifier | LanguageModel,
    data: str,
    reading: dict[str, Any],
    part: str | None,
    pool: str,
    to: Console,
    meter: Meter,
) -> Iterator[tuple[list[Example], Any]]:
    """Yield blocks of the texts with their vectors."""
    from itertools import islice

    from gatelight.cli.sources import texts_to_audit

    done, left = 0, texts_to_audit(data, to, {**reading, "labelled": False}, part)
    while block := list(islice(left, AT_ONCE)):
        yield block, opened.embed([example.text for example in block], pool)
        done += len(block)
        meter.show("reading", 0, None, f"{done:,} texts")


def _label(example: Example) -> str | None:
    return ", ".join(example.label) if isinstance(example.label, tuple) else example.label
