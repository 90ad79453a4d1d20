"""Histograms, curves and maps as inline SVG, readable on a phone; knows numbers and names, no meaning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gatelight.cli.html import escaped

WIDTH, HEIGHT = 360, 220  # of a phone's screen: 11 px stay 11 px there
LEFT, RIGHT, TOP, BOTTOM = 44, 22, 26, 40
COLOURS = ("var(--one)", "var(--two)", "var(--three)")
MORE_COLOURS = (*COLOURS, "var(--four)", "var(--five)", "var(--six)")
OTHERS = "var(--soft)"


@dataclass(frozen=True)
class Curve:
    """A named line through points; `dashed` for what serves as comparison."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


@dataclass(frozen=True)
class _Scale:
    low_x: float
    high_x: float
    low_y: float
    high_y: float

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.low_x) / ((self.high_x - self.low_x) or 1)

    def y(self, value: float) -> float:
        return (
            HEIGHT
            - BOTTOM
            - (HEIGHT - TOP - BOTTOM) * (value - self.low_y) / ((self.high_y - self.low_y) or 1)
        )


def histogram(
    counts: Sequence[int], end: float, x_name: str, mark: float | None = None, mark_name: str = ""
) -> str:
    """Return bars of equal width from 0 to `end`, with a dashed line at `mark`."""
    scale = _Scale(0, end, 0, max(counts, default=0) or 1)
    width = end / max(len(counts), 1)
    bars = "".join(
        f'<rect x="{scale.x(i * width) + 0.5:.1f}" y="{scale.y(count):.1f}" '
        f'width="{max(0.5, scale.x(width) - scale.x(0) - 1):.1f}" '
        f'height="{scale.y(0) - scale.y(count):.1f}" fill="{COLOURS[0]}"/>'
        for i, count in enumerate(counts)
        if count
    )
    inside = bars + ("" if mark is None or mark > end else _mark(scale, mark, mark_name))
    return _drawn(scale, inside, x_name, "texts", percent=False)


def curves(
    lines: Sequence[Curve],
    x_name: str,
    y_name: str,
    *,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] = (0.0, 1.0),
    percent_x: bool = False,
    mark: float | None = None,
    mark_name: str = "",
    powers: bool = False,
) -> str:
    """Return lines with points over shares from `y_range`, their names in a legend below.

    With `powers` y counts powers of ten instead of shares.
    """
    xs = [x for line in lines for x, _ in line.points]
    low, high = x_range or (min(xs, default=0.0), max(xs, default=1.0))
    scale = _Scale(low, high, *y_range)
    inside = ""
    for line, colour in zip(lines, MORE_COLOURS, strict=False):
        path = " ".join(f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in line.points)
        dash = ' stroke-dasharray="4 4"' if line.dashed else ""
        inside += f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>'
        if not line.dashed:
            inside += "".join(
                f'<circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="2.5" fill="{colour}"/>'
                for x, y in line.points
            )
    if mark is not None and low <= mark <= high:
        inside += _mark(scale, mark, mark_name)
    names = [line.name for line in lines]
    return _drawn(scale, inside, x_name, y_name, not powers, percent_x, names, powers)


@dataclass(frozen=True)
class Dot:
    """A point of a map, the number of its kind, and the text that the pointer shows on it."""

    x: float
    y: float
    kind: int
    shown: str


def scatter(dots: Sequence[Dot], kinds: Sequence[str], about: str) -> str:
    """Return dots on a square, one scale both ways, coloured by kind; kinds beyond the colours share one."""
    colours = dict(enumerate(MORE_COLOURS))
    named = [*kinds[: len(colours)], *(["others"] if len(kinds) > len(colours) else [])]
    sides = [[dot.x for dot in dots] or [0.0], [dot.y for dot in dots] or [0.0]]
    span = max(max(side) - min(side) for side in sides) or 1
    middle_x, middle_y = ((max(side) + min(side)) / 2 for side in sides)
    inside, half, room = "", WIDTH / 2, WIDTH - 16
    for dot in dots:
        x, y = half + room * (dot.x - middle_x) / span, half - room * (dot.y - middle_y) / span
        inside += (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colours.get(dot.kind, OTHERS)}" '
            f'fill-opacity="0.7"><title>{escaped(dot.shown)}</title></circle>'
        )
    height = WIDTH + 4
    for number, name in enumerate(named):
        height += 17
        inside += (
            f'<circle cx="8" cy="{height - 9}" r="4" fill="{colours.get(number, OTHERS)}"/>'
            f'<text x="18" y="{height - 5}">{escaped(name)}</text>'
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escaped(about)}">'
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{WIDTH - 1}" fill="none" stroke="var(--line)"/>'
        f"{inside}</svg>"
    )


def _mark(scale: _Scale, at: float, name: str) -> str:
    x = scale.x(at)
    side, anchor = (4, "start") if x < WIDTH / 2 else (-4, "end")
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" stroke="{COLOURS[1]}" '
        f'stroke-width="1.5" stroke-dasharray="5 3"/><text x="{x + side:.1f}" y="{TOP + 10}" '
        f'text-anchor="{anchor}" class="mark">{escaped(name)}</text>'
    )


def _drawn(
    scale: _Scale,
    inside: str,
    x_name: str,
    y_name: str,
    percent: bool,
    percent_x: bool = False,
    names: Sequence[str] = (),
    powers: bool = False,
) -> str:
    grid = ""
    for value in _ticks(scale.low_y, scale.high_y, 4):
        y = scale.y(value)
        said = f"{100 * value:.0f} %" if percent else f"1e{value:g}" if powers else _short(value)
        grid += (
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>'
            f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end" class="soft">{said}</text>'
        )
    for value in _ticks(scale.low_x, scale.high_x, 5):
        said = f"{100 * value:.0f} %" if percent_x else _short(value)
        grid += (
            f'<text x="{scale.x(value):.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle" '
            f'class="soft">{said}</text>'
        )
    base = HEIGHT - BOTTOM
    grid += f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{base}" y2="{base}" stroke="var(--soft)"/>'
    labels = (
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - BOTTOM + 32}" text-anchor="middle">'
        f'{escaped(x_name)}</text><text x="2" y="10">{escaped(y_name)}</text>'
    )
    height = HEIGHT
    for name, colour in zip(names, MORE_COLOURS, strict=False):
        if len(names) > 1:
            labels += (
                f'<rect x="{LEFT}" y="{height + 1}" width="14" height="4" fill="{colour}"/>'
                f'<text x="{LEFT + 20}" y="{height + 7}">{escaped(name)}</text>'
            )
            height += 17
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escaped(f"{y_name} by {x_name}")}">'
        f"{grid}{inside}{labels}</svg>"
    )


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from low to high: multiples of 1, 2 or 5 times a power of ten."""
    span = (high - low) or 1
    power = 10 ** math.floor(math.log10(span / about))
    step = next(power * m for m in (1, 2, 5, 10) if span / (power * m) <= about + 0.5)
    first = math.ceil(low / step - 1e-9)
    return [step * i for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _short(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:g}"
