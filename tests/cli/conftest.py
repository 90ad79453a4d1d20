"""What the tests of this folder share: a tiny model trained by the command line itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import TINY, succeeded, write_reviews


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reviews(tmp_path_factory.mktemp("data") / "reviews.csv")


@pytest.fixture(scope="session")
def model(reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model with its baseline; tests must not change it."""
    out = tmp_path_factory.mktemp("models") / "tiny"
    succeeded("train", reviews, "--out", out, *TINY)
    return out
