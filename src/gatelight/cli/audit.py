"""`gatelight audit`: what is wrong with texts before anything is trained on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli.options import DATA, JSON, argument, option
from gatelight.cli.output import console, emit, say
from gatelight.cli.settings import classifier_settings
from gatelight.cli.sources import Reads
from gatelight.errors import DataError

if TYPE_CHECKING:
    from gatelight.text.vectors import WordVectors

READ_BY = ("tokenizer", "lowercase", "clean", "min_count", "max_words", "max_length", "truncation")
STAGES = {"survey": "comparing words", "overlaps": "looking for copies", "unknown": "unknown words"}


@dataclass(kw_only=True)
class Audit(Reads):
    """Look at texts before training: what is wrong with them?

    Lengths, copies, leakage, unknown words, markup and encodings are looked at. Each finding says how many,
    what it means and what to do. Where DATA has parts, these are compared with each other.
    """

    SETTINGS = partial(classifier_settings, READ_BY)

    data: str = argument(DATA, "DATA")
    out: Path | None = option("also write a report with plots", metavar="FILE.html", short="o")
    against: str | None = option("other texts, of which none should be in DATA", metavar="DATA")
    preset: str = option("how texts are read, and where they are cut", "default")
    vectors: str | None = option("word vectors that should know the words", metavar="VECTORS")
    part: str | None = option("look at one part of DATA; otherwise at all but unsup")
    near: float = option("texts that share so much of their word pairs are near copies", 0.7)
    json: bool = option(JSON, False)
    settings: dict[str, Any]

    def run(self) -> None:
        """Look, tell, and write the report that is asked for."""
        from gatelight.cli.audit_report import page, print_audit
        from gatelight.cli.html import check
        from gatelight.cli.progress import Meter
        from gatelight.cli.sources import available, texts_to_audit
        from gatelight.estimators.settings import preset
        from gatelight.insight.audit import audit as examine
        from gatelight.text.vectors import WordVectors

        if self.out is not None:
            check()
        to = console(machine=self.json)
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
                {**preset(self.preset), **self.settings},
                against=beside,
                read_vectors=None if self.vectors is None else read_vectors,
                near_from=self.near,
                origin=self.data,
                on_text=lambda n: meter.show("reading", 0, None, f"{n:,} texts"),
                on_stage=lambda stage: meter.show(STAGES[stage], 0, None),
            )
        if self.out is not None:
            page(self.out, found)
        if self.json:
            emit(found.to_dict())
        else:
            print_audit(to, found)
        if self.out is not None:
            say(to, f"report in {self.out}")
