"""Thought vectors as an HTML page: a map, with a text under the pointer, and neighbours. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gatelight.cli import charts, html
from gatelight.cli.output import percent

if TYPE_CHECKING:
    from gatelight.insight.maps import FlatMap
    from gatelight.insight.thoughts import Thoughts

NAMES = {
    "pca": "The two directions in which they differ most (PCA)",
    "umap": "Neighbours kept together (UMAP)",
}


def page(path: Path, found: Thoughts, model: str, origin: str, pool: str) -> None:
    """Write the page as one HTML file."""
    html.write(path, f"Thoughts of {model} on {origin}", _sections(found, model, origin, pool))


def _sections(found: Thoughts, model: str, origin: str, pool: str) -> Iterator[str]:
    shown = len(found.quotes)
    yield html.heading(f"Thoughts of {model} on {origin}", 1)
    drawn = "" if shown == found.of else f", of which {shown:,} drawn at random are shown"
    yield html.paragraph(
        f"What the memory keeps of each text (pool {pool}): {found.of:,} texts{drawn}. A dot is a text, "
        "which appears where the pointer rests; its colour is the label that the data give."
    )
    for flat in found.maps:
        yield html.heading(NAMES[flat.how])
        yield html.figure(charts.scatter(_dots(found, flat), found.kinds, NAMES[flat.how]), _caption(flat))
    if found.shares:
        yield html.heading("Do near texts have the same label?")
        columns = ["label", "texts", "nearest has it too", "by chance"]
        yield html.table(columns, [_share_row(found, number) for number in range(len(found.shares))])
        yield html.paragraph(
            "Near by the cosine of all numbers, not on the map; in brackets 95 %.", soft=True
        )
    yield html.heading("Some texts, and those nearest to them")
    for text, near in found.near:
        quotes = [
            (f"{cosine:.3f}, {_named(found, other)}", found.quotes[other].text) for cosine, other in near
        ]
        yield html.card(_named(found, text), [found.quotes[text].text], quotes)


def _dots(found: Thoughts, flat: FlatMap) -> list[charts.Dot]:
    return [
        charts.Dot(float(x), float(y), int(kind), f"{found.kinds[kind]}: {quote.text}")
        for (x, y), kind, quote in zip(flat.points, found.kind, found.quotes, strict=True)
    ]


def _caption(flat: FlatMap) -> str:
    if flat.explained is None:
        return "Who is near whom means something; how far apart groups lie, and how large they are, does not."
    return f"These two directions hold {percent(flat.explained)} of the variance."


def _share_row(found: Thoughts, number: int) -> list[str]:
    share = found.shares[number]
    interval = f"{percent(share.share)} ({100 * share.low:.0f} to {100 * share.high:.0f})"
    return [share.label, f"{share.texts:,}", interval, percent(share.chance)]


def _named(found: Thoughts, text: int) -> str:
    name = found.quotes[text].id
    return f"{found.kinds[found.kind[text]]}, {name}" if name else found.kinds[found.kind[text]]
