"""`gatelight audit`: what is wrong with texts before anything is trained on them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gatelight.cli.options import READING, SETTINGS, Data, Json, with_options
from gatelight.cli.output import console, emit, say
from gatelight.cli.progress import Meter
from gatelight.errors import DataError

if TYPE_CHECKING:
    from gatelight.text.vectors import WordVectors

READ_BY = {"tokenizer", "lowercase", "clean", "min_count", "max_words", "max_length", "truncation"}
STAGES = {"survey": "comparing words", "overlaps": "looking for copies", "unknown": "unknown words"}


@with_options(reading=READING, settings=tuple(option for option in SETTINGS if option.name in READ_BY))
def audit(
    data: Data,
    reading: dict[str, Any],
    settings: dict[str, Any],
    against: Annotated[
        str | None,
        typer.Option("--against", help="Other texts, of which none should be in DATA.", metavar="DATA"),
    ] = None,
    preset: Annotated[str, typer.Option("--preset", help="How texts are read, and where they are cut.")] = (
        "default"
    ),
    vectors: Annotated[
        str | None,
        typer.Option("--vectors", help="Word vectors that should know the words.", metavar="NAME|FILE"),
    ] = None,
    maxlen: Annotated[
        int | None, typer.Option("--maxlen", min=1, help="The same as --max-length.", show_default=False)
    ] = None,
    part: Annotated[
        str | None, typer.Option("--part", help="Look at one part of DATA; otherwise at all but unsup.")
    ] = None,
    near: Annotated[
        float, typer.Option("--near", help="Texts that share so much of their word pairs are near copies.")
    ] = 0.7,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a report with plots to this file.", metavar="FILE")
    ] = None,
    json: Json = False,
) -> None:
    """Look at texts before training: lengths and cuts, copies, leakage, unknown words, markup, encodings.

    Each finding says how many, what it means and what to do. DATA may be larger than the memory. Where it has
    parts, these are compared with each other.
    """
    from gatelight.cli.audit_report import page, print_audit
    from gatelight.cli.html import check
    from gatelight.cli.sources import available, texts_to_audit
    from gatelight.estimators.settings import preset as named
    from gatelight.insight.audit import audit as examine
    from gatelight.text.vectors import WordVectors

    if html is not None:
        check()
    to = console(machine=json)
    if maxlen is not None:
        settings["max_length"] = maxlen
    reading = {**reading, "labelled": False}

    def read_vectors(words: Iterable[str]) -> WordVectors:
        assert vectors is not None
        return WordVectors.read(available(vectors, to), words)

    if vectors is not None and vectors != "corpus":
        available(vectors, to)
    elif vectors is not None:
        raise DataError("--vectors corpus would be trained on these very texts; name a file or a named set")
    beside = None if against is None else (against, texts_to_audit(against, to, reading, None))
    with Meter(to) as meter:
        found = examine(
            texts_to_audit(data, to, reading, part),
            {**named(preset), **settings},
            against=beside,
            read_vectors=None if vectors is None else read_vectors,
            near_from=near,
            origin=data,
            on_text=lambda n: meter.show("reading", 0, None, f"{n:,} texts"),
            on_stage=lambda stage: meter.show(STAGES[stage], 0, None),
        )
    if html is not None:
        page(html, found)
    if json:
        emit(found.to_dict())
    else:
        print_audit(to, found)
    if html is not None:
        say(to, f"report in {html}")
