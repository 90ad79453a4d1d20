"""The pages say what is true: their examples run, and an index names every page."""

from __future__ import annotations

import doctest
import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gatelight.cli import main
from gatelight.text import datasets

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("docs/**/*.md"), *ROOT.glob("*.md")])
TRANSLATIONS = [ROOT / "README.zh-CN.md", *sorted(ROOT.glob("docs/**/*.zh.md"))]
TAUGHT = [ROOT / "README.md", *(page for page in PAGES if page.parent.name in ("docs", "tutorial", "how-to"))]
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
NOT_RUN = runpy.run_path(str(ROOT / "tools/pages.py"))["NOT_RUN"]
COMMENT = re.compile(r" +# .*$", re.MULTILINE)
COLOUR = re.compile(r"#([0-9a-f]{6})\b")
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


@pytest.mark.parametrize("page", TRANSLATIONS, ids=lambda page: page.name)
def test_a_translation_has_the_same_code(page: Path) -> None:
    """Only the English page is run; another code beside Chinese words would be tried by nobody."""
    english = page.with_name(page.name.replace(".zh", "").replace("-CN", ""))
    codes, meant = (
        [COMMENT.sub("", fenced) for fenced in FENCED.findall(file.read_text(encoding="utf-8"))]
        for file in (page, english)
    )
    assert codes == meant


@pytest.mark.parametrize("page", TAUGHT, ids=lambda page: page.name)
def test_every_block_is_run_or_listed(page: Path) -> None:
    """A block in another language than those which `make pages` runs would be tried by nobody."""
    for fenced in FENCED.findall(page.read_text(encoding="utf-8")):
        language, _, code = fenced.removeprefix("```").partition("\n")
        assert language in ("python", "sh", "text") or code.startswith(tuple(NOT_RUN)), fenced


def test_what_is_not_run_is_there() -> None:
    """An entry that no block matches hides nothing today and might tomorrow."""
    codes = [
        fenced.partition("\n")[2] for page in TAUGHT for fenced in FENCED.findall(page.read_text("utf-8"))
    ]
    assert [start for start in NOT_RUN if not any(code.startswith(start) for code in codes)] == []


def test_commands_of_container_and_unit_are_commands() -> None:
    """Neither Docker nor systemd is at hand; a misspelt option would be found by whoever has them."""
    service = (ROOT / "docs/how-to/service.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^CMD (.*)$", service, re.MULTILINE)
    (unit,) = re.findall(r"^ExecStart=(.*)$", service, re.MULTILINE)
    (warm_up,) = re.findall(r"^RUN (gatelight .*)$", service, re.MULTILINE)
    for words in (json.loads(command), unit.split(), shlex.split(warm_up)):
        main._parser(words[1]).parse_args(words[2:])


@pytest.mark.parametrize("page", ["tutorial/1-a-gate.md", "tutorial/2-reviews-to-ids.md"])
def test_a_chapter_prints_what_it_says(page: str) -> None:
    """A reader compares; the longer chapters are run by `make tutorial`."""
    if "reviews" in page and datasets.cached("rotten-tomatoes") is None:
        pytest.skip("the data set rotten-tomatoes is not here")
    command = [sys.executable, "tools/pages.py", f"docs/{page}"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_pictures_and_page_have_the_same_colours() -> None:
    """They stand side by side in the docs; a shade of its own looks like another program."""
    page = COLOUR.findall((ROOT / "src/gatelight/service/page/style.css").read_text(encoding="utf-8"))
    look = (ROOT / "src/gatelight/estimators/picture.mplstyle").read_text(encoding="utf-8")
    style = re.findall(r"\b[0-9a-f]{6}\b", look)
    assert set(style[:3]) < set(page)


def test_every_target_is_told_of() -> None:
    """A target that no list names is not found by anyone."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = makefile.partition(".PHONY: setup ")[2].partition("\n")[0]
    listed = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert {target for target in targets.split() if f"make {target} " not in listed} == set()
