"""Texts misspelt on purpose, as a hurried writer would.

What a text becomes depends on the text, the fraction and the seed alone, and the words misspelt at one
fraction are misspelt in the same way at any higher one.
"""

from __future__ import annotations

import random
import re
from hashlib import blake2b

from gatelight.errors import DataError

# A tag or an entity is left as it is: "<rb />" is no misspelling that anybody makes.
_WORD = re.compile(r"<[^<>]{0,300}>|&#?\w{1,31};|[^\W\d_]+(?:'[^\W\d_]+)*")
SHORTEST = 2


def misspell(text: str, fraction: float, seed: int = 0) -> str:
    """Return `text` with about `fraction` of its words misspelt by one slip each.

    A slip is two neighbouring letters swapped, a letter dropped or doubled; of a word with an apostrophe it
    is the apostrophe that is missing. Words of one letter, tags and entities stay. Raises DataError for a
    fraction outside of 0 to 1.
    """
    if not 0 <= fraction <= 1:
        raise DataError(f"a fraction of {fraction} of the words cannot be misspelt; expected 0 to 1")
    if fraction == 0:
        return text
    digest = blake2b(f"{seed} {text}".encode(errors="surrogatepass"), digest_size=8).digest()
    draw = random.Random(int.from_bytes(digest, "little"))

    def slip(found: re.Match[str]) -> str:
        word = found[0]
        if len(word) < SHORTEST or word[0] in "<&":
            return word
        # Always two draws a word, so that a word's own do not depend on what became of those before.
        chance, which = draw.random(), draw.random()
        return _slipped(word, which) if chance < fraction else word

    return _WORD.sub(slip, text)


def _slipped(word: str, which: float) -> str:
    """`which`, from 0 up to 1, chooses among all slips of the word."""
    if "'" in word:
        return word.replace("'", "", 1)
    kind, place = divmod(which * 3, 1)
    places = [k for k in range(len(word) - 1) if word[k] != word[k + 1]] if kind == 0 else range(len(word))
    if not places:  # nothing to swap in "oo"
        kind, places = 2, range(len(word))
    k = places[int(place * len(places))]
    if kind == 0:
        return word[:k] + word[k + 1] + word[k] + word[k + 2 :]
    return word[: k + 1] + word[k:] if kind == 2 else word[:k] + word[k + 1 :]
