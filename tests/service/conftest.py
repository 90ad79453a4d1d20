"""What the tests of this folder share: a tiny classifier, a tiny language model, and a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import TINY, succeeded, write_reviews


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved classifier with its baseline; tests must not change it."""
    folder = tmp_path_factory.mktemp("models")
    reviews = write_reviews(folder / "reviews.csv")
    succeeded("train", reviews, "--out", folder / "tiny", *TINY)
    return folder / "tiny"


@pytest.fixture(scope="session")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved language model of characters; tests must not change it."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "texts.txt").write_text("a warm film\na dull film\nthe film was warm\n" * 10)
    tiny = ["--hidden-size", 6, "--embedding-dim", 4, "--batch-size", 2, "--steps", 8, "--min-count", 1]
    succeeded("train-lm", folder / "texts.txt", "--out", folder / "writer", *tiny)
    return folder / "writer"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, for tests marked `in_a_browser`."""
    from browser_cases import CHROMIUM, playwright

    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()
