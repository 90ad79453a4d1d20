"""Which words a vocabulary or word vectors do not know, and which of these matter."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy
from scipy.stats import chi2

from gatelight.insight.english import NEGATIONS
from gatelight.insight.findings import EXAMPLES, Finding
from gatelight.insight.survey import NONE, Survey
from gatelight.text.spellings import SpellingIndex

MOST = 30  # types shown
MOST_LABELS = 50
MUCH = 0.05  # of the tokens
LEAST_COUNT = 2  # a negation seen once is a slip
LEAST_COUNTED = 10  # occurrences; below, a word's class is chance
BY_CHANCE = 0.01  # that any word is called class-indicative where none is


@dataclass(frozen=True)
class UnknownWord:
    """A type that is not known, its count, the label it indicates (or None) and a known spelling near it."""

    word: str
    count: int
    negation: bool
    indicates: str | None
    near: str | None


@dataclass(frozen=True)
class UnknownReport:
    """What of the texts in `of` is not known by `known_by`: tokens, texts with such a token, types and words.

    `top` are the most frequent, `negations` and `class_indicative` those that bear meaning.
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
    class_indicative: list[UnknownWord]

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
    frequent = np.flatnonzero(unknown & survey.is_word & (counts >= LEAST_COUNTED))
    texts, texts_with, by_label, totals = _by_text(survey, sides, unknown, frequent)
    order = np.argsort(-np.where(unknown & survey.is_word, counts, 0), kind="stable")
    order = order[(unknown & survey.is_word & (counts > 0))[order]]
    negations = [i for i in order.tolist() if names[i].lower() in NEGATIONS and counts[i] >= LEAST_COUNT]
    indicates = _class_indicative(by_label, totals, frequent)
    chosen = [*order[:MOST].tolist(), *negations[:MOST], *indicates]
    index = SpellingIndex(preferred) if chosen else None

    def word(i: int) -> UnknownWord:
        number = index.nearest(names[i]) if index is not None else None
        label = survey.label_names[indicates[i]] if i in indicates else None
        near = None if number is None else preferred[number]
        return UnknownWord(names[i], int(counts[i]), names[i].lower() in NEGATIONS, label, near)

    words = {i: word(i) for i in chosen}
    return UnknownReport(
        of=" and ".join(survey.side_names[side] or "the texts" for side in sides),
        known_by=known_by,
        tokens=int(counts.sum()),
        unknown_tokens=int(counts[unknown].sum()),
        texts=texts,
        texts_with=texts_with,
        unknown_types=len(order),
        top=[words[i] for i in order[:MOST].tolist()],
        negations=[words[i] for i in negations[:MOST]],
        class_indicative=[words[i] for i in list(indicates)[:MOST]],
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
    for name, words, meaning in (
        ("unknown negations", report.negations, "dropped, a text would say the opposite"),
        (
            "unknown class-indicative words",
            report.class_indicative,
            "each stands far more often with one label",
        ),
    ):
        if words:
            some = ", ".join(
                f"{word.word!r} ({word.count:,}"
                + (
                    f", mostly {word.indicates}"
                    if word.indicates and words is report.class_indicative
                    else ""
                )
                + (f", near {word.near!r})" if word.near else ")")
                for word in words[: 2 * EXAMPLES]
            )
            found.append(
                Finding(
                    name,
                    f"words {where}: {some}; {meaning}",
                    len(words),
                    report.unknown_types,
                    "never --unknown drop: use unk, nearest or subword, or vectors that have them",
                )
            )
    return found


def _by_text(
    survey: Survey, sides: Sequence[int], unknown: npt.NDArray[np.bool_], frequent: npt.NDArray[np.int64]
) -> tuple[int, int, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Texts, texts with an unknown token, and counts by label: of each `frequent` type, and of all tokens."""
    labels, width = min(len(survey.label_names), MOST_LABELS), len(frequent)
    by_label, totals = np.zeros((labels, width), np.int64), np.zeros(labels, np.int64)
    column = np.full(len(unknown), width)
    column[frequent] = np.arange(width)
    chosen = np.isin(survey.side, sides)
    of_text = np.repeat(np.arange(len(survey)), survey.tokens)
    hit = np.bincount(of_text, unknown[survey.numbers], minlength=len(survey)) > 0
    label = np.where(chosen, survey.label, NONE)[of_text]
    for number in range(labels):
        of_label = survey.numbers[label == number]
        totals[number] = len(of_label)
        by_label[number] = np.bincount(column[of_label], minlength=width + 1)[:width]
    return int(chosen.sum()), int((hit & chosen).sum()), by_label, totals


def _class_indicative(
    by_label: npt.NDArray[np.int64], totals: npt.NDArray[np.int64], frequent: npt.NDArray[np.int64]
) -> dict[int, int]:
    """Types that lean to one label, the most frequent first: type → label.

    By the log-likelihood ratio (Dunning 1993) of the type's fraction with a label, beyond what any of so many
    types and labels would reach by chance.
    """
    labels, width = by_label.shape
    if labels < 2 or not width:
        return {}
    fraction = (totals / max(int(totals.sum()), 1))[:, None]
    total = by_label.sum(axis=0)
    expected = total * fraction
    g = 2 * (xlogy(by_label, by_label) - xlogy(by_label, expected))
    g += 2 * (xlogy(total - by_label, total - by_label) - xlogy(total - by_label, total - expected))
    g = np.where(by_label > expected, g, 0)
    chosen = np.flatnonzero(g.max(axis=0) >= chi2.isf(BY_CHANCE / (labels * width), df=1))
    chosen = chosen[np.argsort(-total[chosen], kind="stable")]
    return {int(frequent[i]): int(g[:, i].argmax()) for i in chosen.tolist()}
