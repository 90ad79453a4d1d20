"""Thought vectors as an HTML page: a map, with a text under the pointer, and neighbours. Computes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gatelight.cli import html
from gatelight.cli.charts import COLOURS
from gatelight.cli.output import percent

if TYPE_CHECKING:
    from gatelight.insight.neighbours import LabelAgreement, Neighbourhood

SIDE, MARGIN = 360, 8  # of the map, in units of which a phone has about as many pixels


def page(path: Path, found: Neighbourhood, model: str, origin: str, pool: str) -> None:
    """Write the page as one HTML file."""
    shown = len(found.quotes)
    drawn = "" if shown == found.of else f", of which {shown:,} drawn at random are shown"
    legend = [(f"k{number}", name) for number, name in enumerate(found.kinds[:COLOURS])]
    html.write(
        path,
        "embed",
        f"Thoughts of {model} on {origin}",
        summary=f"The thought vector of each text (pool {pool}): {found.of:,} texts{drawn}. A dot is a text, "
        "which appears where the pointer rests; its colour is the label that the data give.",
        side=SIDE,
        dots=_dots(found),
        legend=legend + [("others", "others")] * (len(found.kinds) > COLOURS),
        caption=f"These two directions hold {percent(found.explained)} of the variance.",
        shares=[_agreement_row(one) for one in found.agreement],
        near=[
            (
                _name(found, text),
                found.quotes[text].text,
                [
                    (f"{cosine:.3f}, {_name(found, other)}", found.quotes[other].text)
                    for cosine, other in near
                ],
            )
            for text, near in found.near
        ],
    )


def _dots(found: Neighbourhood) -> list[tuple[float, float, str, str]]:
    """Each text's place on a square with one scale both ways, its colour, and what the pointer shows."""
    points = found.points
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (SIDE - 2 * MARGIN) / (float((high - low).max()) or 1)
    places = SIDE / 2 + (points - (low + high) / 2) * [scale, -scale]
    return [
        (x, y, f"k{kind}" if kind < COLOURS else "others", f"{found.kinds[kind]}: {quote.text}")
        for (x, y), kind, quote in zip(places.tolist(), found.kind, found.quotes, strict=True)
    ]


def _agreement_row(one: LabelAgreement) -> list[str]:
    interval = f"{percent(one.rate)} ({100 * one.low:.0f} to {100 * one.high:.0f})"
    return [one.label, f"{one.texts:,}", interval, percent(one.chance)]


def _name(found: Neighbourhood, text: int) -> str:
    name = found.quotes[text].id
    return f"{found.kinds[found.kind[text]]}, {name}" if name else found.kinds[found.kind[text]]
