"""Which words a vocabulary or word vectors do not know, and which of these matter."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np

from gatelight.insight.english import NEGATIONS
from gatelight.insight.findings import EXAMPLES, Finding
from gatelight.insight.survey import Survey
from gatelight.text.spellings import SpellingIndex

MOST = 30  # types shown
MUCH = 0.05  # of the tokens
LEAST_COUNT = 2  # a negation seen once is a slip


@dataclass(frozen=True)
class UnknownWord:
    """A type that is not known, its count, whether it negates, and a known spelling near it."""

    word: str
    count: int
    negation: bool
    near: str | None


@dataclass(frozen=True)
class UnknownReport:
    """What of the texts in `of` is not known by `known_by`: tokens, texts with such a token, types and words.

    `top` are the most frequent, `negations` those that bear meaning.
    """

    of: str
    known_by: str
    tokens: int
    unknown_tokens: int
    texts: int
    texts_with: int
    unknown_types: int
    top: list[UnknownWord]
    negations: list[UnknownWord]

    @property
    def fraction(self) -> float:
        """Return the fraction of the tokens."""
        return self.unknown_tokens / max(self.tokens, 1)


def measure(
    survey: Survey, sides: Sequence[int], known: Container[str], known_by: str, preferred: Sequence[str]
) -> UnknownReport:
    """Measure the texts on these sides against `known`; `preferred`: its words, most frequent first."""
    names = survey.type_names
    counts = survey.counts[list(sides)].sum(axis=0)
    unknown = np.array([name not in known for name in names])
    chosen_texts = np.isin(survey.side, sides)
    of_text = np.repeat(np.arange(len(survey)), survey.tokens)
    with_unknown = np.unique(of_text[unknown[survey.numbers] & chosen_texts[of_text]])
    order = np.argsort(-np.where(unknown & survey.is_word, counts, 0), kind="stable")
    order = order[(unknown & survey.is_word & (counts > 0))[order]]
    negations = [i for i in order.tolist() if names[i].lower() in NEGATIONS and counts[i] >= LEAST_COUNT]
    chosen = [*order[:MOST].tolist(), *negations[:MOST]]
    index = SpellingIndex(preferred) if chosen else None

    def word(i: int) -> UnknownWord:
        number = index.nearest(names[i]) if index is not None else None
        near = None if number is None else preferred[number]
        return UnknownWord(names[i], int(counts[i]), names[i].lower() in NEGATIONS, near)

    words = {i: word(i) for i in chosen}
    return UnknownReport(
        of=" and ".join(survey.side_names[side] or "the texts" for side in sides),
        known_by=known_by,
        tokens=int(counts.sum()),
        unknown_tokens=int(counts[unknown].sum()),
        texts=int(chosen_texts.sum()),
        texts_with=len(with_unknown),
        unknown_types=len(order),
        top=[words[i] for i in order[:MOST].tolist()],
        negations=[words[i] for i in negations[:MOST]],
    )


def findings(report: UnknownReport) -> list[Finding]:
    """Say what is unknown where it is much, or where it bears meaning."""
    found = []
    where = f"of {report.of} are not known by {report.known_by}"
    if report.fraction > MUCH:
        top = ", ".join(f"{word.word!r} ({word.count:,})" for word in report.top[:EXAMPLES])
        found.append(
            Finding(
                "unknown words",
                f"tokens {where}, in {report.texts_with:,} of {report.texts:,} texts; most often {top}",
                report.unknown_tokens,
                report.tokens,
                "check casing and tokenizer against what knows the words; --unknown nearest or subword reads "
                "what is misspelt, other vectors or more texts what is rare",
            )
        )
    if report.negations:
        some = []
        for word in report.negations[: 2 * EXAMPLES]:
            near = f", near {word.near!r}" if word.near else ""
            some.append(f"{word.word!r} ({word.count:,}{near})")
        found.append(
            Finding(
                "unknown negations",
                f"words {where}: {', '.join(some)}; dropped, a text would say the opposite",
                len(report.negations),
                report.unknown_types,
                "never --unknown drop: use unk, nearest or subword, or vectors that have them",
            )
        )
    return found
