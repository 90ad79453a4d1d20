"""Do rare or unknown words cause mistakes? Words are changed, and predictions that turn are counted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gatelight.estimators.evaluation import wilson_interval
from gatelight.insight.paired import Difference, paired_difference

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier

RARE = 10  # a word seen in training less often than so is rare
MOST_TEXTS = 5000  # drawn at random where there are more: the intervals are narrow enough then
UNHEARD = "zqxzqx"  # stands for a word that no vocabulary knows

Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Edit:
    """One way of changing words, on the texts that it changes: `words` of them in `texts`.

    `flips` predictions turned, `to_right` and `to_wrong` of them; `low` and `high` bound the rate of flips,
    `gain` is the change in accuracy, over these texts.
    """

    name: str
    texts: int
    words: int
    flips: int
    to_right: int
    to_wrong: int
    low: float
    high: float
    gain: Difference


def edits(estimator: TextClassifier, texts: Sequence[str], truth: Numbers, seed: int = 0) -> list[Edit]:
    """Make rare words unknown, and as many others in the same texts; spell unknown ones as known ones."""
    draw = np.random.default_rng(seed)
    rows = np.arange(len(texts))
    if len(rows) > MOST_TEXTS:
        rows = np.sort(draw.choice(rows, MOST_TEXTS, replace=False))
    reading = estimator.reading_
    token_lists = [reading.tokenizer.tokens(texts[row]) for row in rows.tolist()]
    counts = reading.vocabulary.known_counts()
    unheard = UNHEARD
    while unheard in counts:
        unheard += "q"
    near: dict[str, str | None] = {}
    for token in {token for tokens in token_lists for token in tokens if token not in counts}:
        number = reading.vocabulary.nearest(token)
        near[token] = None if number is None else reading.vocabulary.tokens[number]
    rare, others = [], []
    for tokens in token_lists:
        is_rare = [counts.get(token, RARE) < RARE for token in tokens]
        common = [k for k, token in enumerate(tokens) if token in counts and not is_rare[k]]
        chosen = set(draw.permutation(common)[: sum(is_rare)].tolist())
        rare.append([unheard if it else None for it in is_rare])
        others.append([unheard if k in chosen else None for k in range(len(tokens))])
    known = [[near.get(token) for token in tokens] for tokens in token_lists]
    before = estimator.predict_proba([" ".join(tokens) for tokens in token_lists]).argmax(axis=1)
    return [
        _edit(name, estimator, token_lists, instead, before, truth[rows])
        for name, instead in (
            ("rare words made unknown", rare),
            ("as many other words made unknown", others),
            ("unknown words replaced by their nearest known one", known),
        )
    ]


def _edit(
    name: str,
    estimator: TextClassifier,
    token_lists: list[list[str]],
    instead: list[list[str | None]],
    before: Numbers,
    truth: Numbers,
) -> Edit:
    words = np.array([sum(word is not None for word in of) for of in instead])
    changed = np.flatnonzero(words)
    if not len(changed):
        return Edit(name, 0, 0, 0, 0, 0, 0.0, 1.0, Difference(0.0, 0.0, 0.0))
    texts = [
        " ".join(new or old for new, old in zip(instead[i], token_lists[i], strict=True)) for i in changed
    ]
    after, was, is_true = estimator.predict_proba(texts).argmax(axis=1), before[changed], truth[changed]
    flips = after != was
    low, high = wilson_interval(int(flips.sum()), len(changed))
    return Edit(
        name=name,
        texts=len(changed),
        words=int(words.sum()),
        flips=int(flips.sum()),
        to_right=int((flips & (after == is_true)).sum()),
        to_wrong=int((flips & (was == is_true)).sum()),
        low=low,
        high=high,
        gain=paired_difference((after == is_true)[None], (was == is_true)[None]),
    )
