"""Known words within one edit of a token.

An index of deletions, as in SymSpell (W. Garbe 2012): two words one edit apart become equal once a character
is taken from one of them or from both, so a look-up costs a few hash probes whatever the alphabet.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

SHORTEST = 3
"""Letters of the shortest word that is corrected: one edit leads from "xz" to half of all short words."""
LONGEST = 40
"""Letters of the longest: nobody mistypes a longer word, and a hostile one would cost its square."""


class SpellingIndex:
    """Words in order of preference (the most frequent first), found by spellings nearly theirs."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._number = {word: number for number, word in enumerate(words) if _correctable(word, SHORTEST - 1)}
        # Of every shortened spelling the last word that has it, and for each entry the one before it: a list
        # for each spelling would take twice the memory.
        self._last: dict[str, int] = {}
        self._word, self._before = array("i"), array("i")
        for word, number in self._number.items():
            for shorter in _shortened(word):
                self._before.append(self._last.get(shorter, -1))
                self._last[shorter] = len(self._word)
                self._word.append(number)

    def nearest(self, token: str) -> int | None:
        """Return the number of the closest word, or None where no word is within one edit.

        An edit is a character put in, left out or exchanged, or two neighbours swapped. A word that differs
        by an apostrophe alone (dont, don't) comes first; otherwise the first word in order of preference.
        Tokens of other than letters and apostrophes, very short and very long ones are nobody's misspelling.
        """
        if not _correctable(token, SHORTEST):
            return None
        shorter = set(_shortened(token))
        found = {self._number[word] for word in shorter if word in self._number}
        for spelling in (token, *shorter):
            found.update(n for n in self._having(spelling) if _within_one_edit(token, self._words[n]))
        if token in self._number:
            found.discard(self._number[token])
        bare = token.replace("'", "")
        return min(found, key=lambda n: (self._words[n].replace("'", "") != bare, n), default=None)

    def _having(self, shorter: str) -> Iterator[int]:
        entry = self._last.get(shorter, -1)
        while entry >= 0:
            yield self._word[entry]
            entry = self._before[entry]


def _correctable(word: str, shortest: int) -> bool:
    return shortest <= len(word) <= LONGEST and word.replace("'", "").isalpha()


def _shortened(word: str) -> Iterator[str]:
    for place, letter in enumerate(word):
        if place == 0 or letter != word[place - 1]:  # of "oo" either o gives the same
            yield word[:place] + word[place + 1 :]


def _within_one_edit(a: str, b: str) -> bool:
    """Say whether one insertion, deletion, exchange or swap of neighbours makes `b` of `a`."""
    if abs(len(a) - len(b)) > 1:
        return False
    start = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        start += 1
    rest_a, rest_b = a[start:], b[start:]
    if len(a) != len(b):
        return rest_a[len(a) > len(b) :] == rest_b[len(b) > len(a) :]
    return rest_a[1:] == rest_b[1:] or (rest_a[:2] == rest_b[1::-1] and rest_a[2:] == rest_b[2:])
