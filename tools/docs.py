"""Builds build/docs: the pages of docs/ and an API reference from the docstrings; fails where one has a hole.

A hole is a link or anchor in a Markdown page that leads nowhere, or a public name without a docstring.
Knows nothing of what gatelight does: it reads Markdown and docstrings only.
"""

from __future__ import annotations

import functools
import html
import importlib
import os
import pkgutil
import re
import shutil
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import markdown2
import pdoc.doc
import pdoc.render

ROOT = Path(__file__).parents[1]
OUT = ROOT / "build" / "docs"
PACKAGE = "gatelight"

_FENCE = re.compile(r"^[^\S\n]*(```|~~~).*?^[^\S\n]*\1[^\S\n]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"!?\[(?:[^\]\[]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_HTML_HEADING = re.compile(r"<h([1-6])>(.*?)</h\1>", re.DOTALL)
_ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><style>
:root {{ color-scheme: light dark; }}
body {{ max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.55 system-ui, sans-serif; }}
pre, code {{ font: .9rem/1.45 ui-monospace, monospace; }}
pre {{ padding: .8rem; overflow-x: auto; background: #8881; }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; }}
td, th {{ padding: .3rem .7rem; border-bottom: 1px solid #8884; text-align: left; vertical-align: top; }}
nav a {{ margin-right: 1rem; }}
</style></head><body><nav>{nav}</nav>
{body}
</body></html>
"""


def slugs(headings: Iterable[str]) -> Iterator[str]:
    """The anchor that GitHub gives to each heading of a page, in order."""
    seen: dict[str, int] = {}
    for heading in headings:
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        yield f"{slug}-{count}" if count else slug


def headings(markdown: str) -> list[str]:
    """The headings of a page; a line that begins with # inside code is none."""
    return _HEADING.findall(_FENCE.sub("", markdown))


def broken_links(pages: Iterable[Path], root: Path) -> list[str]:
    """Links to files that are not under `root`, or to headings that the page they name does not have."""
    found = []
    for page in pages:
        prose = _CODE.sub("", _FENCE.sub("", page.read_text(encoding="utf-8")))
        for target in _LINK.findall(prose):
            if _ELSEWHERE.match(target):
                continue
            name, _, anchor = target.partition("#")
            path = (page.parent / name).resolve() if name else page.resolve()
            if not path.is_relative_to(root.resolve()) or not path.exists():
                found.append(f"{page.relative_to(root)}: no file {name!r}")
            elif anchor and anchor not in slugs(headings(path.read_text(encoding="utf-8"))):
                found.append(f"{page.relative_to(root)}: no heading {anchor!r} in {path.name}")
    return found


class Module(pdoc.doc.Module):
    """A module whose pages lead to every public module below it, not only to those that `__all__` names."""

    @functools.cached_property
    def submodules(self) -> list[pdoc.doc.Module]:
        """The public modules directly below; empty for a module that is no package."""
        names = [info.name for info in pkgutil.iter_modules(getattr(self.obj, "__path__", ()))]
        return [
            Module(importlib.import_module(f"{self.fullname}.{name}"))
            for name in names
            if not name.startswith("_")
        ]


def public_modules(package: str) -> Iterator[pdoc.doc.Module]:
    """The package and every module below it whose name has no leading underscore."""

    def walk(module: pdoc.doc.Module) -> Iterator[pdoc.doc.Module]:
        for name in getattr(module.obj, "__all__", ()):
            getattr(module.obj, name)  # a front door may import its names only when they are asked for
        yield module
        for below in module.submodules:
            yield from walk(below)

    yield from walk(Module(importlib.import_module(package)))


def without_docstring(modules: Iterable[pdoc.doc.Module]) -> list[str]:
    """Public modules, classes, functions and methods that say nothing; data members speak by their name."""
    found = set()

    def look(member: pdoc.doc.Doc[Any]) -> None:
        if member.name.startswith("_") or isinstance(member, pdoc.doc.Variable):
            return
        if not member.docstring.strip():
            found.add(f"{member.fullname}: no docstring")
        if isinstance(member, pdoc.doc.Class):
            fields = getattr(
                member.obj, "__dataclass_fields__", {}
            )  # a default may be a function, and is none
            for own in member.own_members:
                if own.name not in fields:
                    look(own)

    for module in modules:
        if (
            not module.docstring.strip()
            and Path(str(module.obj.__file__)).read_text(encoding="utf-8").strip()
        ):
            found.add(f"{module.fullname}: no docstring")
        for member in module.own_members:
            look(member)
    return sorted(found)


def write_pages(pages: list[Path], root: Path, out: Path) -> None:
    """Each Markdown page as one HTML page that needs nothing from elsewhere; its links to others live on."""
    names = {page.resolve(): f"{page.stem.lower()}.html" for page in pages}
    assert len(set(names.values())) == len(pages), "two pages of one name"
    nav = f'<a href="index.html">{PACKAGE}</a><a href="api/{PACKAGE}.html">API reference</a>'
    for page in pages:
        text = page.read_text(encoding="utf-8")
        body = str(markdown2.markdown(text, extras=["fenced-code-blocks", "tables", "cuddled-lists"]))
        anchors = slugs(headings(text))
        body = _HTML_HEADING.sub(lambda h, a=anchors: f'<h{h[1]} id="{next(a)}">{h[2]}</h{h[1]}>', body)  # type: ignore[misc]

        def point(link: re.Match[str], page: Path = page) -> str:
            target, mark, anchor = html.unescape(link[1]).partition("#")
            if _ELSEWHERE.match(target) or not target:
                return link[0]
            path = (page.parent / target).resolve()
            to = names.get(path) or os.path.relpath(path, out)
            return f'href="{html.escape(to + mark + anchor)}"'

        body = re.sub(r'href="([^"]*)"', point, body)
        title = html.escape((headings(text) or [page.stem])[0].replace("`", ""))
        (out / names[page.resolve()]).write_text(
            _PAGE.format(title=title, nav=nav, body=body), encoding="utf-8"
        )


def write_reference(modules: Iterable[pdoc.doc.Module], out: Path) -> None:
    """One page per module, an index and a search index."""
    named = {module.fullname: module for module in modules}
    for module in named.values():
        page = out / f"{module.fullname.replace('.', '/')}.html"
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(pdoc.render.html_module(module, named), encoding="utf-8")
    (out / "index.html").write_text(pdoc.render.html_index(named), encoding="utf-8")
    (out / "search.js").write_text(pdoc.render.search_index(named), encoding="utf-8")


def main() -> int:
    """Build everything, then tell every hole; the pages are there to look at even when there is one."""
    # Types that are imported for type checkers only, or named in a NamedTuple, stay as they are written.
    warnings.filterwarnings("ignore", message="Error parsing type annotation", module="pdoc")
    pages = [
        *sorted(ROOT.glob("docs/*.md")),
        *(ROOT / f"{n}.md" for n in ("README", "CONTRIBUTING", "CHANGELOG")),
    ]
    holes = broken_links(pages, ROOT)
    modules = list(public_modules(PACKAGE))
    holes += without_docstring(modules)
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "api").mkdir(parents=True)
    pdoc.render.configure(docformat="markdown", footer_text=f"{PACKAGE} {modules[0].obj.__version__}")
    write_reference(modules, OUT / "api")
    write_pages(pages, ROOT, OUT)
    for hole in holes:
        print(hole, file=sys.stderr)
    print(f"{len(pages)} pages and {len(modules)} modules in {OUT.relative_to(ROOT)}; {len(holes)} holes")
    return 1 if holes else 0


if __name__ == "__main__":
    raise SystemExit(main())
