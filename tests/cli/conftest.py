"""What the tests of this folder share: a tiny model trained by the command line itself, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import TINY, gatelight, write_reviews


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reviews(tmp_path_factory.mktemp("data") / "reviews.csv")


@pytest.fixture(scope="session")
def model(reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with its baseline; tests must not change it."""
    out = tmp_path_factory.mktemp("models") / "tiny"
    result = gatelight("train", reviews, "--out", out, *TINY)
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, for tests marked `in_a_browser`."""
    from browser_cases import CHROMIUM, playwright

    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()
