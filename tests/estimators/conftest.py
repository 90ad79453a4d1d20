"""Made-up reviews and one tiny model fitted on them, shared by the tests of this folder."""

from __future__ import annotations

import pytest
from made_up_reviews import TINY, Reviews, make_reviews

from gatelight import TextClassifier


@pytest.fixture(scope="session")
def reviews() -> Reviews:
    return make_reviews(160, 1)


@pytest.fixture(scope="session")
def fitted(reviews: Reviews) -> TextClassifier:
    """A tiny model with its baseline; tests must not change it."""
    return TextClassifier(**TINY).fit(
        reviews.texts, reviews.labels, groups=reviews.films, baseline=True, origin="made up"
    )
