"""The HTML reports in a real browser: nothing is cut off, asked for or run."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from browser_cases import CONTRAST, READABLE, in_a_browser
from command_line import gatelight, write_reviews

pytestmark = in_a_browser


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


@pytest.mark.parametrize("command", ["audit", "errors", "embed"])
def test_a_report_can_be_read(command: str, reports: dict[str, Path], browser: Any) -> None:
    """A page wider than the phone or without contrast is read by nobody; and it may ask for nothing."""
    page = browser.new_page(viewport={"width": 360, "height": 640}, color_scheme="dark")
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(reports[command].as_uri())
    try:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate(CONTRAST) >= READABLE
        assert page.locator("svg").count() > 0
        assert page.locator("table").count() > 0
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
