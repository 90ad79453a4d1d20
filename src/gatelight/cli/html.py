"""Reports as one HTML file that needs no network: headings, tables, quotes. Knows not what they mean.

Whatever text comes in is escaped here, and the page allows neither scripts nor anything from elsewhere.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from gatelight import __version__
from gatelight.files import file_written_aside

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title><style>
:root {{ --ink: #1c2330; --soft: #5b6472; --line: #d8dde5; --back: #fff; --card: #f5f7fa; }}
:root {{ --one: #1f5fbf; --two: #b3480a; --three: #1b7f5a; }}
:root {{ --four: #8a3fa0; --five: #7a6a00; --six: #b0245a; }}
@media (prefers-color-scheme: dark) {{
:root {{ --ink: #e6e9ef; --soft: #a3adbb; --line: #3a4350; --back: #161a20; --card: #1f252d; }}
:root {{ --one: #7db0ff; --two: #ffa066; --three: #5fd0a3; }}
:root {{ --four: #cf9be0; --five: #d8c75a; --six: #ff8fb5; }}
}}
body {{ font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); }}
body {{ margin: 0 auto; padding: 1rem; max-width: 48rem; overflow-wrap: anywhere; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; }}
h2 {{ font-size: 1.2rem; margin-top: 2rem; }}
h3 {{ font-size: 1rem; margin: 0; }}
p.soft, figcaption, footer, small {{ color: var(--soft); font-size: .875rem; }}
.scroll {{ overflow-x: auto; margin: 1rem 0; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }}
th, td {{ text-align: right; vertical-align: top; white-space: nowrap; overflow-wrap: normal; }}
th, td {{ padding: .25rem .6rem; border-bottom: 1px solid var(--line); }}
th:first-child, td:first-child {{ text-align: left; white-space: normal; overflow-wrap: break-word; }}
th:first-child, td:first-child {{ padding-left: 0; min-width: 6rem; max-width: 15rem; }}
@media (max-width: 34rem) {{
th, td {{ white-space: normal; padding: .25rem .3rem; font-size: .8rem; }}
th:first-child, td:first-child {{ min-width: 4.5rem; overflow-wrap: anywhere; }}
}}
.card {{ background: var(--card); border-left: 4px solid var(--two); border-radius: 4px; }}
.card {{ padding: .6rem .9rem; margin: .8rem 0; }}
.card p {{ margin: .3rem 0; }}
blockquote {{ margin: .4rem 0; padding-left: .7rem; border-left: 2px solid var(--line); }}
blockquote {{ font-size: .875rem; }}
figure {{ margin: 1rem 0; }}
svg {{ display: block; width: 100%; max-width: 36rem; height: auto; }}
svg text {{ font: 11px system-ui, sans-serif; fill: var(--ink); }}
svg .soft {{ fill: var(--soft); }}
svg .mark {{ paint-order: stroke; stroke: var(--back); stroke-width: 4px; }}
</style></head><body>
{body}
<footer>gatelight {version}. This file needs no network and runs no script.</footer>
</body></html>
"""


def escaped(text: object) -> str:
    """Return text that is text in HTML, whatever is in it; half a surrogate pair becomes its escape."""
    return html.escape(str(text).encode("utf-8", "backslashreplace").decode("utf-8"))


def heading(text: str, level: int = 2) -> str:
    """Return a heading."""
    return f"<h{level}>{escaped(text)}</h{level}>"


def paragraph(text: str, soft: bool = False) -> str:
    """Return a paragraph."""
    return f'<p class="soft">{escaped(text)}</p>' if soft else f"<p>{escaped(text)}</p>"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table, whose first column is text and the others figures, that scrolls on a narrow screen."""
    head = "".join(f"<th>{escaped(name)}</th>" for name in columns)
    body = ""
    for first, *figures in rows:
        cells = "".join(f"<td>{escaped(_held_together(str(cell)))}</td>" for cell in figures)
        body += f"<tr><td>{escaped(first)}</td>{cells}</tr>"
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _held_together(figures: str) -> str:
    """A narrow table may break "21.4 % (18 to 25) *" before the bracket only."""
    return figures.replace(" ", "\u00a0").replace("\u00a0(", " (")


def quote(name: str, text: str) -> str:
    """Return an excerpt of a user's text with its id."""
    return f"<blockquote>{escaped(text)} <small>{escaped(name)}</small></blockquote>"


def card(title: str, lines: Iterable[str], quotes: Iterable[tuple[str, str]] = ()) -> str:
    """Return a box with a title, paragraphs and quotes (id, excerpt)."""
    inside = "".join(paragraph(line) for line in lines) + "".join(quote(*pair) for pair in quotes)
    return f'<section class="card"><h3>{escaped(title)}</h3>{inside}</section>'


def figure(svg: str, caption: str) -> str:
    """Return a figure of `charts` with a caption."""
    return f"<figure>{svg}<figcaption>{escaped(caption)}</figcaption></figure>"


def write(path: Path, title: str, parts: Iterable[str]) -> None:
    """Write a page aside and put it in its place; OSError when the disk refuses."""
    page = _PAGE.format(title=escaped(title), body="\n".join(parts), version=__version__)
    with file_written_aside(path) as aside:
        aside.write_text(page, encoding="utf-8")
