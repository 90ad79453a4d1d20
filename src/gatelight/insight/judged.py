"""Labelled texts as a model judged them, and what may explain its mistakes. Finds out, decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.labels import checked_labels
from gatelight.estimators.texts import checked_texts
from gatelight.insight.english import CONTRASTS, NEGATIONS, SENTENCE_ENDS, VERBS

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.text.vectors import WordVectors

RARE = 10  # a word seen in training less often than so is rare
FARTHEST = 8  # words between a negation and its verb; farther, it is no verb of its own

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """B labelled texts and a model's answers: `columns` [B, classes], `truth` and `chosen` class numbers [B].

    Of each text: `tokens` and shares of these that are `unknown` to the vocabulary or `rare` in training;
    `commonness`, the mean of log10 of the known ones' counts; of the vectors' corpus `rank`, the mean of
    log10 of the ranks, and `absent`, the share without a vector (None without vectors); `negations`,
    `contrasts`, and the greatest `distance` of a negation to the verb after it (0: no negation, -1: one
    without a verb); `cut`: whether it is longer than what the model reads.
    """

    texts: list[str]
    columns: NDArray[np.float32]
    truth: NDArray[np.int64]
    chosen: NDArray[np.int64]
    tokens: Floats
    unknown: Floats
    rare: Floats
    commonness: Floats
    rank: Floats | None
    absent: Floats | None
    negations: NDArray[np.int64]
    contrasts: NDArray[np.int64]
    distance: NDArray[np.int64]
    cut: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which answers are right."""
        return np.equal(self.chosen, self.truth)

    @property
    def confidence(self) -> Floats:
        """The probability of the class chosen."""
        return np.asarray(self.columns.max(axis=1), np.float64)


def judge(
    estimator: TextClassifier,
    texts: Sequence[str],
    labels: Sequence[object],
    vectors: WordVectors | None = None,
) -> Judged:
    """Judge labelled texts and look at their words; raises DataError for several labels a text."""
    classes = estimator.known_classes()
    if classes.multilabel:
        raise DataError(
            "the model gives several labels a text, so that no answer is simply right or wrong: "
            "`gatelight evaluate` measures it"
        )
    checked = checked_texts(texts)
    truth = classes.targets(checked_labels(labels))
    if len(checked) != len(truth) or not checked:
        raise DataError(
            f"there are {len(checked)} texts and {len(truth)} labels; give one label per text, at least one"
        )
    columns = estimator.predict_proba(checked)
    reading = estimator.reading_
    counts = reading.vocabulary.known_counts()
    ranks = {} if vectors is None else dict(zip(vectors.words, vectors.rows.tolist(), strict=True))
    rows = np.array([_words(reading.tokenizer.tokens(text), counts, ranks) for text in checked])
    tokens, unknown, rare, commonness, rank, absent, negations, contrasts, distance = rows.T
    left_out = unknown if reading.unknown == "drop" else 0
    return Judged(
        texts=checked,
        columns=columns,
        truth=truth,
        chosen=columns.argmax(axis=1),
        tokens=tokens,
        unknown=unknown / np.maximum(tokens, 1),
        rare=rare / np.maximum(tokens, 1),
        commonness=commonness,
        rank=None if vectors is None else rank,
        absent=None if vectors is None else absent / np.maximum(tokens, 1),
        negations=negations.astype(np.int64),
        contrasts=contrasts.astype(np.int64),
        distance=distance.astype(np.int64),
        cut=(
            np.zeros(len(checked), bool)
            if reading.max_length is None
            else tokens - left_out > reading.max_length
        ),
    )


def _words(tokens: list[str], counts: dict[str, int], ranks: dict[str, int]) -> list[float]:
    known = [counts[token] for token in tokens if token in counts]
    placed = [ranks[token] + 1 for token in tokens if token in ranks]
    lower = [token.lower() for token in tokens]
    return [
        len(tokens),
        len(tokens) - len(known),
        sum(count < RARE for count in known),
        float(np.log10(np.maximum(known, 1)).mean()) if known else 0.0,
        float(np.log10(placed).mean()) if placed else 0.0,
        len(tokens) - len(placed),
        sum(token in NEGATIONS for token in lower),
        sum(token in CONTRASTS for token in lower),
        distance_to_verb(lower),
    ]


def distance_to_verb(tokens: list[str]) -> int:
    """Return the greatest distance of a negation to the next common verb in its sentence, in tokens.

    "don't like" has 1, "not really like" 2; 0 where there is no negation, -1 where none has a verb within
    `FARTHEST`. The verbs are a list of English ones: no tagger is asked.
    """
    greatest, negated = 0, False
    for place, token in enumerate(tokens):
        if token not in NEGATIONS:
            continue
        negated = True
        for distance, other in enumerate(tokens[place + 1 : place + 1 + FARTHEST], 1):
            if other in SENTENCE_ENDS:
                break
            if other in VERBS:
                greatest = max(greatest, distance)
                break
    return greatest if greatest or not negated else -1
