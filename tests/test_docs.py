"""The pages say what is true: their examples run, and an index names every page."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("docs/*.md"), *ROOT.glob("*.md")])
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_examples_of_a_page_run(page: Path) -> None:
    """A reader's first attempt is to copy an example."""
    results = doctest.testfile(str(page), module_relative=False, verbose=False)
    assert results.failed == 0, f"{results.failed} of {results.attempted} examples, printed above"


def test_some_page_has_examples() -> None:
    """Were the examples written in another form, the test above would look at nothing."""
    assert sum(page.read_text(encoding="utf-8").count(">>> ") for page in PAGES) > 10


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda page: page.name)
def test_links_of_pages_outside_the_site_lead_somewhere(page: Path) -> None:
    """`make docs` checks the pages in docs/ only, and the README is read first."""
    links = LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_target_is_told_of() -> None:
    """A target that no list names is not found by anyone."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = makefile.partition(".PHONY: setup ")[2].partition("\n")[0]
    listed = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {target for target in targets.split() if f"make {target} " not in listed} == set()
