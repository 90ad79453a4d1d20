"""The pages say what is true: their examples run and their links lead somewhere."""

from __future__ import annotations

import doctest
import importlib.util
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("*.md")])


@pytest.fixture(scope="module")
def docs() -> types.ModuleType:
    pytest.importorskip("pdoc", reason="pdoc comes with the extra 'dev'")
    spec = importlib.util.spec_from_file_location("docs_tool", ROOT / "tools" / "docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page: Path) -> None:
    """A reader's first attempt is to copy an example."""
    results = doctest.testfile(str(page), module_relative=False, verbose=False)
    assert results.failed == 0, f"{results.failed} of {results.attempted} examples, printed above"


def test_some_page_has_examples() -> None:
    """Were the examples written in another form, the test above would look at nothing."""
    assert sum(page.read_text(encoding="utf-8").count(">>> ") for page in PAGES) > 10


def test_links_lead_somewhere(docs: types.ModuleType) -> None:
    """A dead link in the first page a newcomer reads is a closed door."""
    assert docs.broken_links(PAGES, ROOT) == []


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("[a](other.md)", None),
        ("[a](other.md#two-words)", None),
        ("[a](other.md#two-words-1)", None),
        ("[a](#top)", None),
        ("[a](https://example.org/x)", None),
        ("`[a](gone.md)`", None),
        ("```\n[a](gone.md)\n```", None),
        ("[a](gone.md)", "no file 'gone.md'"),
        ("![a [b]](gone.png)", "no file 'gone.png'"),
        ("[a](other.md#gone)", "no heading 'gone' in other.md"),
        ("[a](other.md#code)", "no heading 'code' in other.md"),
        ("[a](#gone)", "no heading 'gone' in page.md"),
        ("[a](../outside.md)", "no file '../outside.md'"),
    ],
)
def test_the_link_checker_sees(
    docs: types.ModuleType, tmp_path: Path, link: str, complaint: str | None
) -> None:
    """A checker that finds nothing, ever, would look like pages in order."""
    root = tmp_path / "checkout"
    root.mkdir()
    (tmp_path / "outside.md").write_text("# Outside")
    (root / "other.md").write_text("# Two `words`\n\n## Two words\n\n```\n# code\n```\n")
    (root / "page.md").write_text(f"# Top\n\n{link}\n")
    found = docs.broken_links([root / "page.md"], root)
    assert found == ([] if complaint is None else [f"page.md: {complaint}"])


def test_the_docstring_checker_sees(
    docs: types.ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference is made of docstrings; a public name without one is a blank page."""
    package = tmp_path / "quiet"
    package.mkdir()
    (package / "__init__.py").write_text("'The front door.'\n__all__ = []\n")
    (package / "told.py").write_text(
        "'A.'\nx = 1\ndef f(): 'F.'\ndef _g(): ...\n"
        "class C:\n 'C.'\n def m(self): 'M.'\nclass D(C):\n 'D.'\n def m(self): ...\n"
    )
    (package / "untold.py").write_text("def f(): ...\nclass C:\n    '''C.'''\n    def m(self): ...\n")
    (package / "_private.py").write_text("def f(): ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    try:
        found = docs.without_docstring(docs.public_modules("quiet"))
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == "quiet"]:
            del sys.modules[name]
    assert found == [f"quiet.untold{name}: no docstring" for name in (".C.m", ".f", "")]


def test_pages_become_html_with_living_links(docs: types.ModuleType, tmp_path: Path) -> None:
    """A link from page to page must not lead back to Markdown, nor an anchor to a heading of another name."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "docs" / "index.md").write_text("# Top\n\n[go](more.md#two-words) [up](../README.md)\n")
    (tmp_path / "docs" / "more.md").write_text("# More\n\n## Two `words`\n")
    (tmp_path / "README.md").write_text("# Read me\n\n[x](LICENSE)\n")
    pages = [tmp_path / "docs" / "index.md", tmp_path / "docs" / "more.md", tmp_path / "README.md"]
    docs.write_pages(pages, tmp_path, tmp_path / "out")
    index = (tmp_path / "out" / "index.html").read_text()
    assert 'href="more.html#two-words"' in index
    assert 'href="readme.html"' in index
    assert '<h2 id="two-words">Two <code>words</code></h2>' in (tmp_path / "out" / "more.html").read_text()
    assert 'href="../LICENSE"' in (tmp_path / "out" / "readme.html").read_text()


def test_every_page_and_every_target_is_told_of() -> None:
    """A page that no index names, or a target that no list names, is not found by anyone."""
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = {page.name for page in ROOT.glob("docs/*.md")} - {"index.md"}
    assert {page for page in pages if f"]({page}" not in index} == set()
    targets = (
        (ROOT / "Makefile").read_text(encoding="utf-8").partition(".PHONY: setup ")[2].partition("\n")[0]
    )
    listed = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {target for target in targets.split() if f"make {target} " not in listed} == set()


def test_every_public_name_has_a_docstring(docs: types.ModuleType) -> None:
    """`make docs` fails on the first that has none."""
    assert docs.without_docstring(docs.public_modules("gatelight")) == []
