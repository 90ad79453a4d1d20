"""What a model makes of a text's unknown words, and whether a negation is lost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gatelight.estimators.reading import Understood
from gatelight.insight.english import NEGATIONS


@dataclass(frozen=True)
class UnknownToken:
    """An unknown word, what is read in its place (None: it is left out), and whether it negates."""

    word: str
    read_as: str | None
    negation: bool

    @property
    def lost(self) -> bool:
        """Whether a negation became something that negates nothing."""
        return self.negation and (self.read_as or "").lower() not in NEGATIONS


@dataclass(frozen=True)
class Explanation:
    """The distinct unknown words of a text, the text as it is read, and a warning (None: all is well)."""

    unknown_words: list[UnknownToken]
    read_as: str
    warning: str | None

    def to_dict(self) -> dict[str, Any]:
        """The explanation as JSON-able values."""
        return asdict(self)


def explain(understood: Understood) -> Explanation:
    """Say which words of a text are unknown, what became of them, and whether that turns its meaning."""
    words = [
        UnknownToken(word, read, word.lower() in NEGATIONS)
        for word, read in dict.fromkeys(understood.unknown)
    ]
    lost = [word for word in words if word.lost]
    named = ", ".join(dict.fromkeys(word.word for word in lost))
    warning = None
    if any(word.read_as is None for word in lost):
        warning = f"the negation {named} is left out: the text is read as its opposite would be"
    elif lost:
        warning = f"the negation {named} is not known, and not read as one"
    return Explanation(words, " ".join(understood.read), warning)
