"""`gatelight audit`: what is wrong with texts before anything is trained on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gatelight.cli.options import DATA, JSON, argument, option
from gatelight.cli.output import emit, percent, say, size, table
from gatelight.cli.settings import classifier_settings
from gatelight.cli.sources import Reads
from gatelight.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.insight.audit import Audit as Found
    from gatelight.insight.lengths import LengthReport
    from gatelight.insight.unknown_words import UnknownReport
    from gatelight.text.vectors import WordVectors

READ_BY = ("tokenizer", "lowercase", "clean", "min_count", "max_words", "max_length", "truncation")
STAGES = {"overlaps": "looking for copies", "unknown": "unknown words"}
WORDS_SHOWN = 12


@dataclass(kw_only=True)
class Audit(Reads):
    """Look at texts before training: what is wrong with them?

    Lengths, copies, leakage, unknown words, markup and encodings are looked at. Each finding says how many,
    what it means and what to do. Where DATA has parts, these are compared with each other.
    """

    SETTINGS = partial(classifier_settings, READ_BY)

    data: str = argument(DATA, "DATA")
    against: str | None = option("other texts, of which none should be in DATA", metavar="DATA")
    preset: str = option("how texts are read, and where they are cut", "default")
    vectors: str | None = option("word vectors that should know the words", metavar="VECTORS")
    part: str | None = option("look at one part of DATA; otherwise at all but unsup")
    json: bool = option(JSON, False)
    settings: dict[str, Any]

    def run(self, to: Console) -> None:
        from gatelight.cli.progress import Meter
        from gatelight.cli.sources import available, texts_to_audit
        from gatelight.estimators.rules import settled
        from gatelight.estimators.settings import preset
        from gatelight.insight.audit import audit as examine
        from gatelight.text.vectors import WordVectors

        reading = {**self.reading, "labelled": False}

        def read_vectors(words: Iterable[str]) -> WordVectors:
            assert self.vectors is not None
            return WordVectors.read(available(self.vectors, to), words)

        if self.vectors is not None and self.vectors != "corpus":
            available(self.vectors, to)
        elif self.vectors is not None:
            raise DataError(
                "--vectors corpus would be trained on these very texts; name a file or a named set"
            )
        beside = (
            None if self.against is None else (self.against, texts_to_audit(self.against, to, reading, None))
        )
        with Meter(to) as meter:
            found = examine(
                texts_to_audit(self.data, to, reading, self.part),
                settled({**preset(self.preset), **self.settings}),
                against=beside,
                read_vectors=None if self.vectors is None else read_vectors,
                origin=self.data,
                on_text=lambda n: meter.show("reading", 0, None, f"{n:,} texts"),
                on_stage=lambda stage: meter.show(STAGES[stage], 0, None),
            )
        if self.json:
            emit(found.to_dict())
            return
        say(to, f"Audit of {self.data}", "bold")
        _print(to, found)


def _print(to: Console, audit: Found) -> None:
    """Print the findings with examples and what to do, and the facts."""
    say(to, _counted(audit))
    say(to, "Findings" if audit.findings else "Nothing wrong was found", "bold")
    for finding in audit.findings:
        said = f"{finding.name}: {finding.count:,} ({percent(finding.fraction)}) {finding.says}"
        say(to, said, "bold")
        say(to, f"  → {finding.advice}")
        for quote in finding.examples:
            say(to, f"  {quote.id}: {quote.text}")
    say(to, "Lengths", "bold")
    _print_lengths(to, audit.lengths)
    for report in audit.unknown:
        say(to, f"Unknown words of {report.of}", "bold")
        _print_unknown(to, report)


def _counted(audit: Found) -> str:
    from gatelight.cli.reports import classes_named

    parts = ", ".join(f"{name} {count:,}" for name, count in audit.parts if name)
    return (
        f"{audit.texts:,} texts"
        + (f" ({parts})" if parts else "")
        + (f", {classes_named(audit.labels)}" if audit.labels else ", no labels")
        + (f", {audit.groups:,} groups" if audit.groups else "")
    )


def _print_lengths(to: Console, lengths: LengthReport) -> None:
    from gatelight.cli.reports import length_line

    say(to, f"{length_line(lengths.statistics)}; {lengths.mean_characters:.1f} characters on average")
    rows = [
        [f"{point.maxlen:,}", percent(point.whole), percent(point.kept), percent(point.padding)]
        for point in lengths.curve
    ]
    to.print(table(["cut at", "whole", "tokens kept", "padding"], rows))
    best = next(point for point in lengths.curve if point.maxlen == lengths.recommended)
    say(
        to,
        f"Cut at {best.maxlen:,} tokens, {percent(best.whole)} of the texts stay whole and "
        f"{percent(best.kept)} of the tokens are kept; padded to {lengths.maxlen:,}, "
        f"{percent(lengths.padding)} of the steps would be padding, {size(lengths.dense_bytes)} of ids where "
        f"packed rows take {size(lengths.packed_bytes)}",
    )


def _print_unknown(to: Console, report: UnknownReport) -> None:
    say(
        to,
        f"Not known by {report.known_by}: {percent(report.fraction)} of {report.tokens:,} tokens, in "
        f"{percent(report.texts_with / max(report.texts, 1))} of the texts; {report.unknown_types:,} words",
    )
    words = dict.fromkeys([*report.negations, *report.top])
    rows = [
        [word.word, f"{word.count:,}", "yes" if word.negation else "", word.near or ""]
        for word in list(words)[:WORDS_SHOWN]
    ]
    if rows:
        to.print(table(["unknown word", "times", "negation", "near"], rows))
