"""What becomes of tokens that a vocabulary does not know, policy by policy.

A policy is one function here and one line in `UNKNOWN_POLICIES`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from hashlib import blake2b

import numpy as np

from gatelight.errors import DataError
from gatelight.text.vocabulary import UNK_ID, Vocabulary

LEFT_OUT = -1

Instead = Callable[[str, int], int]
"""From an unknown token and its place in the text to the id that stands for it, or LEFT_OUT."""

Policy = Callable[[Vocabulary, int, dict[str, int]], Instead]
"""From a vocabulary, a seed and the out-of-vocabulary tokens numbered so far."""


class Indexer:
    """Turns tokens into ids by a vocabulary and a policy.

    With "subword" the distinct unknown tokens get ids of their own, from twice the vocabulary's size on, in
    the order in which they come; `oov` lists them. (Ids from V to 2V − 1 are the known words', where these
    are made of n-grams too.) So with "ngrams", by which no token counts as unknown. The other policies
    leave it empty. `by_place`: an unknown token's id depends on where it stands.
    """

    def __init__(
        self, vocabulary: Vocabulary, unknown: str = "unk", *, seed: int = 0, oov: Sequence[str] = ()
    ) -> None:
        """`seed` is that of "random", `oov` are words numbered before; raises DataError."""
        if unknown not in UNKNOWN_POLICIES:
            raise DataError(f"unknown={unknown!r} is no policy; choose one of: {', '.join(UNKNOWN_POLICIES)}")
        self._known = {} if unknown == "ngrams" else vocabulary.known_ids()
        self._all_known = unknown == "ngrams"
        self._oov = {word: number for number, word in enumerate(oov)}
        self._instead = UNKNOWN_POLICIES[unknown](vocabulary, seed, self._oov)
        self.by_place = unknown == "random"

    @property
    def oov(self) -> list[str]:
        """The out-of-vocabulary tokens with ids of their own, in the order of these."""
        return list(self._oov)

    def id(self, token: str, place: int = 0) -> int:
        """Return the id of the token at this place of a text, or LEFT_OUT."""
        known = self._known.get(token)
        return self._instead(token, place) if known is None else known

    def is_unknown(self, token: str) -> bool:
        """Say whether a token counts as unknown."""
        return not self._all_known and token not in self._known


def _unk(vocabulary: Vocabulary, seed: int, oov: dict[str, int]) -> Instead:
    return lambda token, place: UNK_ID


def _drop(vocabulary: Vocabulary, seed: int, oov: dict[str, int]) -> Instead:
    return lambda token, place: LEFT_OUT


def _random(vocabulary: Vocabulary, seed: int, oov: dict[str, int]) -> Instead:
    """A known word drawn by frequency; by seed, token and place, so the same text is always read the same."""
    up_to = np.cumsum(vocabulary.counts[2:]).tolist()

    def instead(token: str, place: int) -> int:
        if not up_to or not up_to[-1]:
            return UNK_ID
        drawn = f"{seed} {place} {token}".encode(errors="surrogatepass")
        digest = blake2b(drawn, digest_size=8).digest()
        return 2 + bisect_right(up_to, int.from_bytes(digest, "little") % up_to[-1])

    return instead


def _nearest(vocabulary: Vocabulary, seed: int, oov: dict[str, int]) -> Instead:
    def instead(token: str, place: int) -> int:
        near = vocabulary.nearest(token)
        return UNK_ID if near is None else near

    return instead


def _subword(vocabulary: Vocabulary, seed: int, oov: dict[str, int]) -> Instead:
    first = 2 * len(vocabulary)
    return lambda token, place: first + oov.setdefault(token, len(oov))


UNKNOWN_POLICIES: dict[str, Policy] = {
    "unk": _unk,
    "drop": _drop,
    "random": _random,
    "nearest": _nearest,
    "subword": _subword,
    "ngrams": _subword,
}

EARLIER_NAMES = {"spelled": "ngrams"}
"""Policies' names in models saved by earlier versions."""
