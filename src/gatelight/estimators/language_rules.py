"""What a language model's open settings become: a rule each, from how much text there is. All rules are here.

They were chosen on held-out sentences of film reviews: 1.4 million characters, a tenth of that, and 140,000
words. There `epochs` counts most: a model that has read fewer than ten million characters knows less than
n-grams do. Larger texts are not measured; they get a larger model and are read twice, or once from 40 million
on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gatelight.estimators.rules import by_rules

SEEN = 11_000_000  # characters that training reads, epochs together
SEEN_AS_WORDS = 7_000_000  # from there on words are learned by heart
MOST_SEEN = 40_000_000  # where there are so many
MOST_EPOCHS = 20
LARGE = 10_000_000  # tokens from which a larger model has enough to learn
WORDS = 1_000  # different tokens from which they are words, each of which stands for several characters
CHARACTERS_OF_A_WORD = 5


@dataclass(frozen=True)
class Amount:
    """What the rules look at; the defaults stand for texts that are not known yet."""

    texts: int = 10_000
    tokens: int = 1_000_000
    vocabulary: int = 100

    @property
    def words(self) -> bool:
        """Whether the tokens are words."""
        return self.vocabulary >= WORDS


def _epochs(amount: Amount) -> int:
    characters = amount.tokens * (CHARACTERS_OF_A_WORD if amount.words else 1)
    seen = max(SEEN_AS_WORDS if amount.words else SEEN, min(MOST_SEEN, 2 * characters))
    return max(1, min(MOST_EPOCHS, round(seen / max(characters, 1))))


RULES: Mapping[str, Callable[[Amount], Any]] = MappingProxyType(
    {
        "embedding_dim": lambda amount: 128 if amount.words else 64,
        "hidden_size": lambda amount: 512 if amount.tokens >= LARGE else 256,
        "dropout": lambda amount: 0.0 if _epochs(amount) <= 2 else 0.5 if amount.words else 0.2,
        "embedding_dropout": lambda amount: 0.3 if amount.words and _epochs(amount) > 2 else 0.0,
        "steps": lambda amount: 32 if amount.words else 64,
        "learning_rate": lambda amount: 4e-3 if amount.words or amount.tokens >= LARGE else 8e-3,
        "batch_size": lambda amount: min(32 if amount.tokens >= LARGE else 16, max(1, amount.tokens // 128)),
        "epochs": _epochs,
    }
)
"""The settings that may be left open (None), and what they become."""


def settled(settings: Mapping[str, Any], amount: Amount | None = None) -> dict[str, Any]:
    """Return settings none of which is open; of texts that are not known those that a middling set has."""
    found = by_rules(settings, RULES, amount or Amount())
    if settings["tied"] is True and settings["embedding_dim"] is None:
        found["embedding_dim"] = found["hidden_size"]
    return found


@dataclass(frozen=True)
class Plan:
    """What training is about to do: the texts and the settings, none of them open."""

    amount: Amount
    settings: Mapping[str, Any]

    def __str__(self) -> str:
        """Return it as one line for people."""
        amount, settings = self.amount, self.settings
        batch = (
            f"{settings['batch_size']} texts"
            if settings["documents"]
            else f"{settings['batch_size']} × {settings['steps']} tokens"
        )
        return (
            f"{amount.texts:,} texts, {amount.tokens:,} tokens, {amount.vocabulary:,} different ones: "
            f"{settings['epochs']} epochs of {batch}, {settings['cell'].upper()} of "
            f"{settings['hidden_size']}, learning rate {settings['learning_rate']:g}, dropout "
            f"{settings['dropout']:g}"
        )
