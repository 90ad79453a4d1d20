"""Which words a vocabulary or word vectors do not know, and which of these matter."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.special import rel_entr
from scipy.stats import chi2

from gatelight.insight.english import NEGATIONS
from gatelight.insight.findings import EXAMPLES, Finding
from gatelight.insight.survey import NONE, Survey
from gatelight.text.spellings import SpellingIndex

MOST = 30  # types shown
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
    chosen_texts = np.isin(survey.side, sides)
    of_text = np.repeat(np.arange(len(survey)), survey.tokens)
    with_unknown = np.unique(of_text[unknown[survey.numbers] & chosen_texts[of_text]])
    indicates = _class_indicative(survey, chosen_texts[of_text], survey.label[of_text], frequent)
    order = np.argsort(-np.where(unknown & survey.is_word, counts, 0), kind="stable")
    order = order[(unknown & survey.is_word & (counts > 0))[order]]
    negations = [i for i in order.tolist() if names[i].lower() in NEGATIONS and counts[i] >= LEAST_COUNT]
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
        texts=int(chosen_texts.sum()),
        texts_with=len(with_unknown),
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
            some = []
            for word in words[: 2 * EXAMPLES]:
                label = word.indicates if words is report.class_indicative else None
                notes = [f"{word.count:,}", *([f"mostly {label}"] if label else [])]
                notes += [f"near {word.near!r}"] if word.near else []
                some.append(f"{word.word!r} ({', '.join(notes)})")
            found.append(
                Finding(
                    name,
                    f"words {where}: {', '.join(some)}; {meaning}",
                    len(words),
                    report.unknown_types,
                    "never --unknown drop: use unk, nearest or subword, or vectors that have them",
                )
            )
    return found


def _class_indicative(
    survey: Survey,
    chosen: npt.NDArray[np.bool_],
    label: npt.NDArray[np.int64],
    frequent: npt.NDArray[np.int64],
) -> dict[int, int]:
    """Of the `frequent` types those that lean to one label, the most frequent first: type → label.

    `chosen` and `label` are of each token. By the log-likelihood ratio (Dunning 1993) of the type's fraction
    with a label, where it is more than any of so many types and labels would reach by chance.
    """
    labels, width = len(survey.label_names), len(frequent)
    if labels < 2 or not width:
        return {}
    of = chosen & (label != NONE)
    counts = coo_array(
        (np.ones(int(of.sum())), (label[of], survey.numbers[of])), shape=(labels, len(survey.type_names))
    ).tocsr()
    by_label, totals = counts[:, frequent].toarray(), counts.sum(axis=1)
    total = by_label.sum(axis=0)
    expected = total * (totals / max(totals.sum(), 1))[:, None]
    g = 2 * (rel_entr(by_label, expected) + rel_entr(total - by_label, total - expected))
    g = np.where(by_label > expected, g, 0)
    found = np.flatnonzero(g.max(axis=0) >= chi2.isf(BY_CHANCE / (labels * width), df=1))
    found = found[np.argsort(-total[found], kind="stable")]
    return {int(frequent[i]): int(g[:, i].argmax()) for i in found.tolist()}
