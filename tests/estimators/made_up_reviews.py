"""A small corpus of made-up reviews in which negation decides, and the settings of a tiny model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SUBJECTS = [
    "the film", "this movie", "its plot", "the acting", "every scene", "the music", "Kate Blixen's role",
]  # fmt: skip
PRAISE = ["wonderful", "moving", "clever", "great", "a delight"]
BLAME = ["dull", "awful", "a mess", "boring", "badly made"]
ENDS = ["!", ".", " <br /><br />", " &amp; long.", "", " 7/10", " ..."]

TINY: dict[str, Any] = {
    "min_count": 1, "max_length": 20, "embedding_dim": 8, "hidden_size": 8, "embedding_dropout": 0.1,
    "word_dropout": 0.05, "learning_rate": 0.02, "batch_size": 16, "epochs": 2, "validation_fraction": 0.2,
    "vectors": None, "wide": False,
}  # fmt: skip


@dataclass(frozen=True)
class Reviews:
    """Texts, their labels and the film that each is about."""

    texts: list[str]
    labels: list[str]
    films: list[str]


def make_reviews(n: int, seed: int) -> Reviews:
    rng = np.random.default_rng(seed)
    texts, labels, films = [], [], []
    for _ in range(n):
        good, parts = bool(rng.random() < 0.5), []
        for _ in range(rng.integers(1, 4)):
            negated = rng.random() < 0.3
            word = rng.choice(PRAISE if good != negated else BLAME)
            parts.append(f"{rng.choice(SUBJECTS)} is {'not ' if negated else ''}{word}{rng.choice(ENDS)}")
        texts.append(" ".join(parts))
        labels.append("positive" if good else "negative")
        films.append(f"film {rng.integers(12)}")
    return Reviews(texts, labels, films)
