"""`gatelight embed`: what a model keeps of each text, as vectors and as a map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli.charts import COLOURS
from gatelight.cli.document import Block, Card, Dots, Heading, Line, Table, check_packages, write_page
from gatelight.cli.options import DATA, JSON, MODEL, THREADS, argument, option
from gatelight.cli.output import emit, percent, say
from gatelight.cli.sources import Reads, text_model, texts_to_audit
from gatelight.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.cli.progress import Meter
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.estimators.language_model import LanguageModel
    from gatelight.insight.neighbours import Neighbourhood
    from gatelight.text.readers import Example

AT_ONCE = 2048
POOL = "what is kept of a text: last, max, mean, or cell (the cell state)"
SIDE, MARGIN = 360, 8  # of the map, in units of which a phone has about as many pixels
PART = "one part of DATA; otherwise all but unsup"


@dataclass(kw_only=True)
class Embed(Reads):
    """Write a vector for each text: what a model keeps of it.

    They are in the order of the texts. To --out FILE.npy or FILE.parquet go the vectors, to FILE.html a map;
    give --out twice for both. DATA may be larger than memory.
    """

    model: str = argument(MODEL, "MODEL")
    data: str = argument(DATA, "DATA")
    out: list[Path] = option(
        "file to write: .npy, .parquet or .html", metavar="FILE", short="o", commas=False, required=True
    )
    pool: str = option(POOL, "last")
    part: str | None = option(PART)
    shown: int = option("texts on the page, drawn at random", 1000, least=10, most=20_000)
    seed: int = option("fixes the draw", 0)
    threads: int | None = option(THREADS, least=1)
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from contextlib import nullcontext

        from gatelight.cli.progress import Meter
        from gatelight.estimators.embeddings import vectors_written
        from gatelight.insight.neighbours import Sample, neighbourhood

        pages = [path for path in self.out if path.suffix == ".html"]
        files = [path for path in self.out if path.suffix != ".html"]
        if len(pages) > 1 or len(files) > 1:
            raise DataError(
                "--out names two files of one kind; give one for the vectors and one .html at most"
            )
        if pages:
            check_packages()  # before minutes of reading
        opened = text_model(self.model)
        width, drawn = opened.model_.config.features, Sample(self.shown, self.seed)
        writing: Any = vectors_written(files[0], width) if files else nullcontext()
        with Meter(to) as meter, writing as write_block:
            for examples, vectors in _embedded(
                opened, self.data, self.reading, self.part, self.pool, to, meter
            ):
                ids, texts = [example.id for example in examples], [example.text for example in examples]
                labels = [_label(example) for example in examples]
                if files:
                    write_block(vectors, ids, labels, texts)
                drawn.add(vectors, ids, labels, texts)
        if pages:
            title = f"Thoughts of {self.model} on {self.data}"
            write_page(pages[0], title, list(_map(neighbourhood(drawn), self.pool)))
        if self.json:
            found = {"texts": drawn.seen, "features": width, "pool": self.pool}
            emit({**found, "files": [str(path) for path in self.out]})
            return
        for path in files:
            say(to, f"{drawn.seen:,} vectors of {width} numbers, saved in {path}")
        for path in pages:
            say(to, f"map in {path}")


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
    done, left = 0, texts_to_audit(data, to, {**reading, "labelled": False}, part)
    while block := list(islice(left, AT_ONCE)):
        yield block, opened.embed([example.text for example in block], pool)
        done += len(block)
        meter.show("reading", 0, None, f"{done:,} texts")


def _label(example: Example) -> str | None:
    return ", ".join(example.label) if isinstance(example.label, tuple) else example.label


def _map(found: Neighbourhood, pool: str) -> Iterator[Block]:
    """Yield a map of texts, whether near ones have the same label, and some with those nearest to them."""
    shown = len(found.quotes)
    drawn = "" if shown == found.of else f", of which {shown:,} drawn at random are shown"
    yield Line(
        f"The thought vector of each text (pool {pool}): {found.of:,} texts{drawn}. A dot is a text, which "
        "appears where the pointer rests; its colour is the label that the data give."
    )
    yield Heading("The two directions in which they differ most (PCA)")
    many = len(COLOURS)
    legend = [(f"k{number}", name) for number, name in enumerate(found.kinds[:many])]
    legend += [("others", "others")] * (len(found.kinds) > many)
    caption = f"These two directions hold {percent(found.explained)} of the variance."
    yield Dots(SIDE, _dots(found), legend, caption)
    if found.agreement:
        yield Heading("Do near texts have the same label?")
        rows = [
            [
                one.label,
                f"{one.texts:,}",
                f"{percent(one.rate)} ({100 * one.low:.0f} to {100 * one.high:.0f})",
                percent(one.chance),
            ]
            for one in found.agreement
        ]
        yield Table(["label", "texts", "nearest has it too", "by chance"], rows)
        yield Line("Near by the cosine of all numbers, not on the map; in brackets 95 %.", soft=True)
    yield Heading("Some texts, and those nearest to them")
    for text, near in found.near:
        quotes = [
            (f"{cosine:.3f}, {_name(found, other)}", found.quotes[other].text) for cosine, other in near
        ]
        yield Card(_name(found, text), [found.quotes[text].text], quotes)


def _dots(found: Neighbourhood) -> list[tuple[float, float, str, str]]:
    """Each text's place on a square with one scale both ways, its colour, and what the pointer shows."""
    points = found.points
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (SIDE - 2 * MARGIN) / (float((high - low).max()) or 1)
    places = SIDE / 2 + (points - (low + high) / 2) * [scale, -scale]
    return [
        (x, y, f"k{kind}" if kind < len(COLOURS) else "others", f"{found.kinds[kind]}: {quote.text}")
        for (x, y), kind, quote in zip(places.tolist(), found.kind, found.quotes, strict=True)
    ]


def _name(found: Neighbourhood, text: int) -> str:
    name = found.quotes[text].id
    return f"{found.kinds[found.kind[text]]}, {name}" if name else found.kinds[found.kind[text]]
