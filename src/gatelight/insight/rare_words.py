"""Do rare or unknown words go with a classifier's mistakes, and do they cause them?

An effect is no cause: `effects` compares wrong texts with right ones, `edits` changes words and counts the
predictions that turn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatelight.estimators.evaluation import Z_95, wilson_interval
from gatelight.insight.english import CONTRASTS, NEGATIONS
from gatelight.insight.paired import Difference, paired_difference

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.text.vectors import WordVectors

RARE = 10  # a word seen in training less often than so is rare
NO_SPREAD = 1e-9  # rounding, where all texts have the same value
MOST_TEXTS = 5000  # drawn at random where there are more: the intervals are narrow enough then
UNHEARD = "zqxzqx"  # stands for a word that no vocabulary knows

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class WordStatistics:
    """Of each of B texts the number of `tokens`, `negations` and `contrasts`, [B].

    `cut`: whether the text is longer than what the model reads. `measures`, by name, may go with mistakes:
    fractions of the tokens that are unknown or rare in training, and the mean of log10 of the known words'
    counts; with vectors the same of their corpus: the mean of log10 of the ranks, the fraction without one.
    """

    tokens: Numbers
    negations: Numbers
    contrasts: Numbers
    cut: NDArray[np.bool_]
    measures: dict[str, Floats]


def word_statistics(
    estimator: TextClassifier, texts: Sequence[str], vectors: WordVectors | None = None
) -> WordStatistics:
    """Look at the words of texts as the estimator reads them."""
    reading = estimator.reading_
    counts = reading.vocabulary.known_counts()
    token_lists = [reading.tokenizer.tokens(text) for text in texts]
    lower = [[token.lower() for token in tokens] for tokens in token_lists]
    known = [[counts[token] for token in tokens if token in counts] for tokens in token_lists]
    tokens, unknown = _lengths(token_lists), _lengths(token_lists) - _lengths(known)
    length = np.maximum(tokens, 1)
    measures = {
        "fraction of unknown words": unknown / length,
        f"fraction of words seen less than {RARE} times in training": np.array(
            [sum(count < RARE for count in own) for own in known]
        )
        / length,
        "mean log10 of the words' counts in training": _mean_logs(known),
    }
    if vectors is not None:
        ranks = dict(zip(vectors.words, (vectors.rows + 1).tolist(), strict=True))
        placed = [[ranks[token] for token in own if token in ranks] for own in token_lists]
        measures["mean log10 of the words' ranks in the vectors' corpus"] = _mean_logs(placed)
        measures["fraction of words without a vector"] = (tokens - _lengths(placed)) / length
    read = tokens - unknown if reading.unknown == "drop" else tokens
    return WordStatistics(
        tokens=tokens,
        negations=np.array([sum(token in NEGATIONS for token in own) for own in lower]),
        contrasts=np.array([sum(token in CONTRASTS for token in own) for own in lower]),
        cut=read > (math.inf if reading.max_length is None else reading.max_length),
        measures=measures,
    )


def _lengths(rows: Sequence[Sequence[Any]]) -> Numbers:
    return np.array(list(map(len, rows)), np.int64)


def _mean_logs(rows: Sequence[Sequence[int]]) -> Floats:
    return np.array([np.log10(np.maximum(own, 1)).mean() if own else 0.0 for own in rows])


@dataclass(frozen=True)
class Effect:
    """One measure in right and wrong texts: means and Cohen's d with its 95 % interval.

    d is None where the measure does not vary within either.
    """

    name: str
    right: float
    wrong: float
    d: float | None
    d_low: float | None
    d_high: float | None


def effects(measures: dict[str, Floats], wrong: NDArray[np.bool_]) -> list[Effect]:
    """Compare wrong texts with right ones, measure by measure; nothing with fewer than two of either."""
    if min(int(wrong.sum()), int((~wrong).sum())) < 2:
        return []
    return [_effect(name, values[~wrong], values[wrong]) for name, values in measures.items()]


def _effect(name: str, right: Floats, wrong: Floats) -> Effect:
    means = float(right.mean()), float(wrong.mean())
    n = len(right) + len(wrong)
    squares = ((right - means[0]) ** 2).sum() + ((wrong - means[1]) ** 2).sum()
    spread = math.sqrt(squares / (n - 2))
    if spread <= NO_SPREAD:
        return Effect(name, *means, None, None, None)
    d = (means[1] - means[0]) / spread
    # Hedges and Olkin (1985), for large samples.
    reach = Z_95 * math.sqrt(n / (len(right) * len(wrong)) + d * d / (2 * n))
    return Effect(name, *means, d, d - reach, d + reach)


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
            ("unknown words spelled as their nearest known one", known),
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
