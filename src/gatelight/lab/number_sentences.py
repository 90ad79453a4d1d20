"""Sentences that stop before their verb, with clauses of any length before it. Knows no network.

Words to learn from and words to be tested on have nothing in common but the grammar's own ("the", "that",
"near" …) and endings. A word is read as its last three letters: so what a plural looks like can be carried
over to words never seen, and what remains to be learnt is to hold the first noun against all later ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Index = NDArray[np.int64]
READ = 3  # last letters of a word
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
SHARED = ("the", "that", "having", "near", "behind", "beside", "without")
PREPOSITIONS = SHARED[3:]
SHORTEST, LONGEST = 3, 5  # words of a piece of a clause


@dataclass(frozen=True)
class Lexicon:
    """Nouns (some of whose singulars end in s), verbs with their participles, adjectives."""

    nouns: tuple[str, ...]
    verbs: tuple[tuple[str, str], ...]
    adjectives: tuple[str, ...]

    def words(self) -> list[str]:
        """Every form of every word."""
        forms = [form for noun in self.nouns for form in (noun, with_s(noun))]
        forms += [form for verb, participle in self.verbs for form in (verb, with_s(verb), participle)]
        return [*forms, *self.adjectives]


KNOWN = Lexicon(
    nouns=(
        "dog", "girl", "farmer", "teacher", "horse", "king", "window", "table", "river", "bird", "pilot",
        "sister", "doctor", "letter", "ladder", "driver", "bus", "class", "dress", "box", "church", "brush",
        "lens", "focus",
    ),
    verbs=(
        ("see", "seen"), ("like", "liked"), ("help", "helped"), ("follow", "followed"), ("know", "known"),
        ("hear", "heard"), ("watch", "watched"), ("praise", "praised"),
    ),
    adjectives=("old", "small", "quick", "happy", "green", "tall"),
)  # fmt: skip
NEW = Lexicon(
    nouns=(
        "cat", "boy", "author", "student", "queen", "house", "chair", "mountain", "lake", "nurse", "brother",
        "lawyer", "poem", "forest", "singer", "waiter", "glass", "boss", "virus", "campus", "fox", "bench",
        "dish", "atlas",
    ),
    verbs=(
        ("find", "found"), ("want", "wanted"), ("call", "called"), ("meet", "met"), ("paint", "painted"),
        ("hold", "held"), ("teach", "taught"), ("miss", "missed"),
    ),
    adjectives=("young", "large", "slow", "tired", "blue", "short"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Sentences:
    """Sentences end to end: `words` as numbers of a table's rows [N], `lengths` [n], `plural` int64 [n]."""

    words: Index
    lengths: Index
    plural: Index


def with_s(word: str) -> str:
    """The plural of a noun and the singular of a verb: one ending for both."""
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


def sentence(rng: Generator, lexicon: Lexicon, distance: int) -> tuple[list[str], bool]:
    """Words up to the verb, `distance` words behind the subject's noun, and whether the verb is plural.

    The numbers of the subject and of every other noun are drawn apart: no later word tells anything of the
    subject. `distance` is 1, or 4 and more.
    """
    plural = bool(rng.integers(2))
    words = ["the", *_maybe_adjective(rng, lexicon), _noun(rng, lexicon, plural)]
    left = distance - 1
    while left:
        sizes = [n for n in range(SHORTEST, LONGEST + 1) if left == n or left - n >= SHORTEST]
        piece = _piece(rng, lexicon, sizes[rng.integers(len(sizes))])
        words += piece
        left -= len(piece)
    return words, plural


def _piece(rng: Generator, lexicon: Lexicon, size: int) -> list[str]:
    other = bool(rng.integers(2))
    noun = _noun(rng, lexicon, other)
    verb, participle = lexicon.verbs[rng.integers(len(lexicon.verbs))]
    adjective = [lexicon.adjectives[rng.integers(len(lexicon.adjectives))]]
    kind = rng.integers(3)
    if size == SHORTEST or (size == SHORTEST + 1 and kind == 0):
        return [PREPOSITIONS[rng.integers(len(PREPOSITIONS))], "the", *adjective[: size - SHORTEST], noun]
    adjective = adjective[: size - SHORTEST - 1]
    if kind == 1:
        return ["that", "the", *adjective, noun, verb if other else with_s(verb)]
    return ["having", participle, "the", *adjective, noun]


def _noun(rng: Generator, lexicon: Lexicon, plural: bool) -> str:
    noun = lexicon.nouns[rng.integers(len(lexicon.nouns))]
    return with_s(noun) if plural else noun


def _maybe_adjective(rng: Generator, lexicon: Lexicon) -> list[str]:
    return [lexicon.adjectives[rng.integers(len(lexicon.adjectives))]] if rng.integers(2) else []


TABLE = tuple(dict.fromkeys((*SHARED, *KNOWN.words(), *NEW.words())))


def corpus(seed: int, lexicon: Lexicon, count: int, distances: Sequence[int]) -> Sentences:
    """Draw `count` sentences with distances in equal shares."""
    rng = np.random.default_rng(seed)
    number = {word: k for k, word in enumerate(TABLE)}
    made = [sentence(rng, lexicon, distances[k % len(distances)]) for k in range(count)]
    return Sentences(
        np.array([number[word] for words, _ in made for word in words]),
        np.array([len(words) for words, _ in made]),
        np.array([plural for _, plural in made], np.int64),
    )


def endings(words: Iterable[str]) -> NDArray[np.float32]:
    """Last letters of words, the last one first, one-hot: float32 [V, READ · 26]."""
    rows = []
    for word in words:
        row = np.zeros((READ, len(ALPHABET)), np.float32)
        for place, letter in enumerate(reversed(word[-READ:])):
            row[place, ALPHABET.index(letter)] = 1
        rows.append(row.ravel())
    return np.stack(rows)
