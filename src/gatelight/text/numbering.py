"""Texts as numbers of their words, at 4 bytes a token; knows tokenizers, no vocabulary and no id.

What a tokenizer would cut again and again is cut once, where it can say in which pieces it cuts.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.text.tokens import Tokenizer, tokens_of_all

MOST_PIECES = 1 << 18
"""Distinct pieces that are held at a time, some 30 MB."""


@dataclass(frozen=True)
class NumberedTexts:
    """The n-th token of B texts is words[numbers[n]].

    `numbers` int32 [N] text after text, `lengths` int64 [B]; `words` stand in the order in which they come
    first, each once.
    """

    numbers: NDArray[np.int32]
    lengths: NDArray[np.int64]
    words: list[str]

    @classmethod
    def of(cls, texts: Iterable[str], tokenizer: Tokenizer) -> NumberedTexts:
        """Cut texts, which are gone through once, into tokens and number these."""
        if hasattr(tokenizer, "pieces") and hasattr(tokenizer, "cut"):
            return _by_pieces(texts, tokenizer)
        words = _Numbers()
        numbers, lengths = array("i"), array("q")
        for tokens in tokens_of_all(tokenizer, texts):
            numbers.fromlist(list(map(words.__getitem__, tokens)))
            lengths.append(len(tokens))
        return cls(np.frombuffer(numbers, np.int32), np.frombuffer(lengths, np.int64), list(words))

    def parted(self, texts: int) -> tuple[NumberedTexts, NumberedTexts]:
        """Return the first texts and the rest, each with its own words only, which stay in their order."""
        end = int(self.lengths[:texts].sum())
        words = int(self.numbers[:end].max(initial=-1)) + 1  # they stand in order of their first use
        rest, present = self.numbers[end:], np.zeros(len(self.words), np.bool_)
        present[rest] = True
        numbers = (np.cumsum(present, dtype=np.int32) - 1)[rest]
        return (
            NumberedTexts(self.numbers[:end], self.lengths[:texts], self.words[:words]),
            NumberedTexts(numbers, self.lengths[texts:], list(compress(self.words, present))),
        )

    def counts(self) -> dict[str, int]:
        """Return how often each word occurs."""
        times = np.bincount(self.numbers, minlength=len(self.words)).tolist()
        return dict(zip(self.words, times, strict=True))

    def __len__(self) -> int:
        """Return B."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[list[str]]:
        start = 0
        for length in self.lengths.tolist():
            yield [self.words[number] for number in self.numbers[start : start + length].tolist()]
            start += length


class _Numbers(dict[str, int]):
    """Numbers what it is asked for, from 0 on."""

    def __missing__(self, key: str) -> int:
        number = self[key] = len(self)
        return number


def _by_pieces(texts: Iterable[str], tokenizer: Any) -> NumberedTexts:
    words, pieces = _Numbers(), _Numbers()
    used, sizes = array("i"), array("q")
    numbers: list[NDArray[np.int32]] = []
    lengths: list[NDArray[np.int64]] = []

    def spell_out() -> None:
        """Turn the numbers of pieces into those of their words, and forget the pieces."""
        nonlocal used, sizes
        spelled = tokenizer.cut(list(pieces))
        flat = np.fromiter(map(words.__getitem__, chain.from_iterable(spelled)), np.int32)
        found, length = _spelled_out(
            flat, spelled, np.frombuffer(used, np.int32), np.frombuffer(sizes, np.int64)
        )
        numbers.append(found)
        lengths.append(length)
        pieces.clear()
        used, sizes = array("i"), array("q")

    for text in texts:
        own = tokenizer.pieces(text)
        used.fromlist(list(map(pieces.__getitem__, own)))
        sizes.append(len(own))
        if len(pieces) > MOST_PIECES:
            spell_out()
    spell_out()
    return NumberedTexts(np.concatenate(numbers), np.concatenate(lengths), list(words))


def _spelled_out(
    flat: NDArray[np.int32],
    spelled: Sequence[Sequence[str]],
    used: NDArray[np.int32],
    sizes: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Numbers of the words of all pieces, one after the other, put where the texts use the pieces.

    used int32 [P] are the pieces of all texts, sizes int64 [B] how many each text has.
    """
    counts = np.fromiter(map(len, spelled), np.int64, len(spelled))
    starts = np.cumsum(counts) - counts
    own = counts[used]
    ends = np.cumsum(own)
    total = int(ends[-1]) if len(ends) else 0
    # A step to the next word, but where another piece begins a jump to its first.
    places = np.ones(total, np.int64)
    given = np.flatnonzero(own)
    first = (ends - own)[given]
    begin = starts[used[given]]
    places[first] = begin
    places[first[1:]] -= begin[:-1] + own[given][:-1] - 1
    numbers = flat[np.cumsum(places)]
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    lengths = np.diff(np.concatenate([[0], ends])[bounds])
    return numbers, lengths
