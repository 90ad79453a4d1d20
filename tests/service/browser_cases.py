"""The real Chromium that tests of pages need (fixture `browser`); they are skipped where there is none."""

from __future__ import annotations

import shutil
from importlib.resources import files
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright comes with the extra 'dev'")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytest.importorskip("axe_playwright_python", reason="axe-core comes with the extra 'dev'")
AXE = files("axe_playwright_python") / "axe.min.js"

READABLE = 4.5
"""The contrast that WCAG 2.2, level AA, asks for text of normal size."""
CONTRAST = """() => {
  const light = (colour) => colour.match(/[0-9.]+/g).slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
  const back = (at) => {
    const colour = getComputedStyle(at).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" && at.parentElement ? back(at.parentElement) : colour;
  };
  const read = [...document.querySelectorAll(
    "p, span, button, td, th, h1, h2, strong, small, figcaption, blockquote, svg text")];
  return Math.min(...read.filter((at) => at.getClientRects().length && at.textContent.trim()).map((at) => {
    const style = getComputedStyle(at), box = at.dataset.unit && at.previousElementSibling;
    const under = box ? getComputedStyle(box).fill : back(at);
    const pair = [light(at.closest("svg") ? style.fill : style.color), light(under)].sort((a, b) => b - a);
    return (pair[0] + 0.05) / (pair[1] + 0.05);
  }));
}"""
"""The least contrast of a text on the page with what is behind it."""

in_a_browser = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed: apt-get install chromium"),
]


def serious(page: Any) -> list[str]:
    """Return what axe-core finds on a page that keeps somebody from reading or using it."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run()")["violations"]
    return [f"{one['id']}: {one['help']}" for one in found if one["impact"] in ("serious", "critical")]
