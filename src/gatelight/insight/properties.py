"""Properties of a text at each of its tokens, yes or no, that a unit of a memory may tell; knows no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatelight.insight.english import NEGATIONS

Mask = NDArray[np.bool_]
SENTENCE_ENDS = frozenset(".!?…") | {"...", "!!", "!!!", "??", "???"}
CLAUSE_ENDS = SENTENCE_ENDS | frozenset(",;:")
LONG = 20  # tokens of a sentence so far
QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»"}
BRACKETS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Property:
    """A name and which tokens of text number k have it: `of(k, tokens)`, bool [tokens].

    `whole_text` says that it is all of a text's tokens or none.
    """

    name: str
    of: Callable[[int, Sequence[str]], Mask]
    whole_text: bool = False


def standard() -> list[Property]:
    """Quotes, brackets, negation, place in the text and in the sentence."""
    return [
        Property("inside quotes", lambda k, tokens: _between(tokens, QUOTES)),
        Property("inside brackets", lambda k, tokens: _between(tokens, BRACKETS)),
        Property("after a negation", lambda k, tokens: _after_negation(tokens)),
        Property("second half", lambda k, tokens: np.arange(len(tokens)) >= len(tokens) / 2),
        Property("long sentence", lambda k, tokens: _sentence_length(tokens) > LONG),
    ]


def label(name: str, has_it: Sequence[bool]) -> Property:
    """A property of whole texts, such as their sentiment: `has_it` [texts]."""
    return Property(name, lambda k, tokens: np.full(len(tokens), has_it[k], np.bool_), whole_text=True)


def topic(words: Sequence[str]) -> Property:
    """Whether one of these words has come, in this text, up to and with the token."""
    known = {word.lower() for word in words}

    def of(k: int, tokens: Sequence[str]) -> Mask:
        return np.logical_or.accumulate(np.array([token.lower() in known for token in tokens], np.bool_))

    return Property(f"after {', '.join(words)}", of)


def _between(tokens: Sequence[str], marks: dict[str, str]) -> Mask:
    """Between an opening mark and its closing one; after one that never closes nothing is inside."""
    inside = np.zeros(len(tokens), np.bool_)
    opened: tuple[int, str] | None = None
    for place, token in enumerate(tokens):
        if opened is not None and token == opened[1]:
            inside[opened[0] + 1 : place] = True
            opened = None
        elif opened is None and token in marks:
            opened = place, marks[token]
    return inside


def _after_negation(tokens: Sequence[str]) -> Mask:
    """From a negation to the end of its clause."""
    inside, negated = np.zeros(len(tokens), np.bool_), False
    for place, token in enumerate(tokens):
        negated = negated and token not in CLAUSE_ENDS
        inside[place] = negated
        negated = negated or token.lower() in NEGATIONS
    return inside


def _sentence_length(tokens: Sequence[str]) -> NDArray[np.int64]:
    lengths, count = np.zeros(len(tokens), np.int64), 0
    for place, token in enumerate(tokens):
        count += 1
        lengths[place] = count
        if token in SENTENCE_ENDS:
            count = 0
    return lengths
