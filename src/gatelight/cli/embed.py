"""`gatelight embed`: what a model keeps of each text, as vectors."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from gatelight.cli.options import DATA, JSON, MODEL, THREADS, argument, option
from gatelight.cli.output import emit, say
from gatelight.cli.sources import Reads, text_model, texts_to_audit

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.text.readers import Example

AT_ONCE = 2048
POOL = "what is kept of a text: last, max, mean, or cell (the cell state)"
PART = "one part of DATA; otherwise all but unsup"


@dataclass(kw_only=True)
class Embed(Reads):
    """Write a vector for each text: what a model keeps of it.

    They are in the order of the texts. DATA may be larger than memory.
    """

    model: str = argument(MODEL, "MODEL")
    data: str = argument(DATA, "DATA")
    out: Path = option("file to write: .npy or .parquet", metavar="FILE", short="o", required=True)
    pool: str = option(POOL, "last")
    part: str | None = option(PART)
    threads: int | None = option(THREADS, least=1)
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.cli.progress import Meter
        from gatelight.estimators.embeddings import vectors_written

        opened = text_model(self.model)
        width, done = opened.model_.config.features, 0
        with Meter(to) as meter, vectors_written(self.out, width) as write_block:
            left = texts_to_audit(self.data, to, {**self.reading, "labelled": False}, self.part)
            while block := list(islice(left, AT_ONCE)):
                texts = [example.text for example in block]
                vectors = opened.embed(texts, self.pool)
                write_block(vectors, [example.id for example in block], list(map(_label, block)), texts)
                done += len(block)
                meter.show("reading", 0, None, f"{done:,} texts")
        if self.json:
            emit({"texts": done, "features": width, "pool": self.pool, "file": str(self.out)})
        else:
            say(to, f"{done:,} vectors of {width} numbers, saved in {self.out}")


def _label(example: Example) -> str | None:
    return ", ".join(example.label) if isinstance(example.label, tuple) else example.label
