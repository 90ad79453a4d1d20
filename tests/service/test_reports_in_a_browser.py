"""The HTML reports in a real browser, on a desktop and on a phone: nothing is cut off, asked for or run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from browser_cases import CONTRAST, READABLE, in_a_browser, serious
from command_line import gatelight, write_reviews

pytestmark = in_a_browser

SCREENS = {"desktop": (1280, 900), "phone": (360, 640)}
SMALLEST_LETTER = 10.0
"""Pixels, on either screen; the browser's own smallest setting is 6, and nobody reads that."""
LETTERS = """() => {
  const sizes = [];
  for (const at of document.querySelectorAll("p, td, th, figcaption, blockquote, h1, h2, h3"))
    sizes.push(parseFloat(getComputedStyle(at).fontSize));
  for (const at of document.querySelectorAll("svg text")) {
    const scale = at.ownerSVGElement.getBoundingClientRect().width / at.ownerSVGElement.viewBox.baseVal.width;
    sizes.push(parseFloat(getComputedStyle(at).fontSize) * scale);
  }
  return Math.min(...sizes);
}"""
OUTSIDE = """() => [...document.querySelectorAll("svg")].flatMap((svg) => {
  const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text, circle, use")].filter((at) => {
    const it = at.getBoundingClientRect();
    return it.left < box.left - 1 || it.right > box.right + 1 || it.top < box.top - 1
      || it.bottom > box.bottom + 1;
  }).map((at) => at.outerHTML);
})"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory, model: Path) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    data = write_reviews(folder / "a-rather-long-name-of-a-file-of-reviews.csv", 60, seed=3)
    with data.open("a", newline="", encoding="utf-8") as file:
        long = "<script>document.title = 'run'</script> <b>dull</b> " + "x" * 300 + " film " * 40
        csv.writer(file).writerows([(long, "neg", "f1"), ("", "pos", "f2"), ("не хорошо", "pos", "f3")])
    found = {}
    for command, *arguments in (
        ["audit", data, "--max-length", "9"],
        ["errors", model, data],
        ["embed", model, data],
    ):
        found[command] = folder / f"{command}.html"
        result = gatelight(command, *arguments, "--out", found[command])
        assert result.exit_code == 0, result.output
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize(
    ("command", "figures", "tables"), [("audit", 2, 2), ("errors", 2, 2), ("embed", 1, 1)]
)
def test_a_report_can_be_read(
    command: str, figures: int, tables: int, screen: str, scheme: str, reports: dict[str, Path], browser: Any
) -> None:
    """A page wider than the phone, letters for ants or a picture with its edge cut off are read by nobody."""
    width, height = SCREENS[screen]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(reports[command].as_uri())
    try:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(LETTERS) >= SMALLEST_LETTER
        assert page.evaluate(OUTSIDE) == []
        assert page.evaluate(CONTRAST) >= READABLE
        assert serious(page) == []
        assert page.locator("svg").count() == figures
        assert page.locator("table").count() >= tables
        assert asked == [reports[command].as_uri()]
        assert complaints == []
        assert page.title() != "run"
    finally:
        page.close()


def test_what_a_user_wrote_is_shown_as_it_was_written(reports: dict[str, Path], browser: Any) -> None:
    """Escaped twice it could not be read, and not at all it would run."""
    page = browser.new_page()
    page.goto(reports["audit"].as_uri())
    try:
        shown = page.locator("blockquote").all_inner_texts()
        assert any("<script>document.title = 'run'</script> <b>dull</b>" in text for text in shown)
        assert "не хорошо" in page.locator("body").inner_text()
    finally:
        page.close()
