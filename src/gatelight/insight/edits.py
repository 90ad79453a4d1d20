"""Do the words cause the mistakes? Changes them and counts the answers that turn. Trains nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gatelight.estimators.evaluation import wilson_interval
from gatelight.insight.judged import RARE, Judged
from gatelight.insight.paired import paired_difference

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier

MOST_TEXTS = 5000  # drawn at random where there are more: the intervals are narrow enough then
UNHEARD = "zqxzqx"  # stands for a word that no vocabulary knows


@dataclass(frozen=True)
class Edit:
    """One way of changing words, on the texts that it changes: `words` of them in `texts`.

    `flips` answers turned, `to_right` and `to_wrong` of them; `low` and `high` bound the share of flips,
    `gain` is the change in accuracy with its interval, over these texts.
    """

    name: str
    texts: int
    words: int
    flips: int
    to_right: int
    to_wrong: int
    low: float
    high: float
    gain: float
    gain_low: float
    gain_high: float


def edits(estimator: TextClassifier, judged: Judged, seed: int = 0) -> list[Edit]:
    """Make rare words unknown, and as many others in the same texts; spell unknown ones as known ones."""
    draw = np.random.default_rng(seed)
    rows = np.arange(len(judged))
    if len(rows) > MOST_TEXTS:
        rows = np.sort(draw.choice(rows, MOST_TEXTS, replace=False))
    reading = estimator.reading_
    token_lists = [reading.tokenizer.tokens(judged.texts[row]) for row in rows]
    counts = reading.vocabulary.known_counts()
    unheard = UNHEARD
    while unheard in counts:
        unheard += "q"
    rare = [[counts.get(token, RARE) < RARE for token in tokens] for tokens in token_lists]
    others = [
        _as_many([token in counts and not r for token, r in zip(tokens, of, strict=True)], sum(of), draw)
        for tokens, of in zip(token_lists, rare, strict=True)
    ]
    near: dict[str, str | None] = {}

    def known_spelling(token: str) -> str | None:
        if token in counts:
            return None
        if token not in near:
            number = reading.vocabulary.nearest(token)
            near[token] = None if number is None else reading.vocabulary.tokens[number]
        return near[token]

    ways = {
        "rare words made unknown": [[unheard if r else None for r in of] for of in rare],
        "as many other words made unknown": [[unheard if o else None for o in of] for of in others],
        "unknown words spelled as their nearest known one": [
            [known_spelling(token) for token in tokens] for tokens in token_lists
        ],
    }
    plain = [" ".join(tokens) for tokens in token_lists]
    truth = judged.truth[rows]
    before = estimator.predict_proba(plain).argmax(axis=1)
    return [_edit(name, estimator, token_lists, instead, before, truth) for name, instead in ways.items()]


def _edit(
    name: str,
    estimator: TextClassifier,
    token_lists: list[list[str]],
    instead: list[list[str | None]],
    before: NDArray[np.int64],
    truth: NDArray[np.int64],
) -> Edit:
    words = np.array([sum(word is not None for word in of) for of in instead])
    changed = np.flatnonzero(words)
    if not len(changed):
        return Edit(name, 0, 0, 0, 0, 0, 0.0, 1.0, 0.0, 0.0, 0.0)
    texts = [
        " ".join(new or old for new, old in zip(instead[i], token_lists[i], strict=True)) for i in changed
    ]
    after, was, is_true = estimator.predict_proba(texts).argmax(axis=1), before[changed], truth[changed]
    flips = after != was
    low, high = wilson_interval(int(flips.sum()), len(changed))
    gain = paired_difference((after == is_true)[None], (was == is_true)[None])
    return Edit(
        name=name,
        texts=len(changed),
        words=int(words.sum()),
        flips=int(flips.sum()),
        to_right=int((flips & (after == is_true)).sum()),
        to_wrong=int((flips & (was == is_true)).sum()),
        low=low,
        high=high,
        gain=gain.mean,
        gain_low=gain.low,
        gain_high=gain.high,
    )


def _as_many(eligible: list[bool], number: int, draw: np.random.Generator) -> list[bool]:
    places = np.flatnonzero(eligible)
    chosen = set(draw.permutation(places)[:number].tolist())
    return [place in chosen for place in range(len(eligible))]
