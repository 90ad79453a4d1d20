"""Texts as numbers of their words, at 4 bytes a token; knows tokenizers, no vocabulary and no id.

What a tokenizer would cut again and again is cut once, where it can say in which pieces it cuts.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.text.tokenizers import Tokenizer, tokens_of_all

MOST_PIECES = 1 << 18
"""Distinct pieces that are held at a time, some 30 MB."""

BLOCK = 1 << 20
"""Code points of texts, at least, that are taken apart together."""


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
        if hasattr(tokenizer, "spaced") and hasattr(tokenizer, "cut"):
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
    used: list[NDArray[np.int32]] = []
    sizes: list[NDArray[np.int64]] = []
    numbers: list[NDArray[np.int32]] = []
    lengths: list[NDArray[np.int64]] = []

    def spell_out() -> None:
        """Turn the numbers of pieces into those of their words, and forget the pieces."""
        tokens, counts = tokenizer.cut(list(pieces))
        flat = np.fromiter(map(words.__getitem__, tokens), np.int32, len(tokens))
        found, length = _spelled_out(flat, np.array(counts, np.int64), _joined(used), _joined(sizes))
        numbers.append(found)
        lengths.append(length)
        for given in (pieces, used, sizes):
            given.clear()

    for spaced in _blocks(map(tokenizer.spaced, texts)):
        distinct, places, size = _numbered(spaced)
        used.append(np.fromiter(map(pieces.__getitem__, distinct), np.int32, len(distinct))[places])
        sizes.append(size)
        if len(pieces) > MOST_PIECES:
            spell_out()
    spell_out()
    return NumberedTexts(np.concatenate(numbers), np.concatenate(lengths), list(words))


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    block, size = list[str](), 0
    for text in texts:
        block.append(text)
        size += len(text)
        if size >= BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def _numbered(texts: Sequence[str]) -> tuple[list[str], NDArray[np.int32], NDArray[np.int64]]:
    """What stands between white space of ASCII: each once, numbers of these text after text, and how many.

    By Arrow, in half the time of Python's strings and dictionary.
    """
    import pyarrow  # loaded here because it takes a while and other tokenizers do not need it
    from pyarrow import compute

    # Lone surrogates are passed on as bytes that no text holds.
    given = [text.encode("utf-8", "surrogatepass") for text in texts]
    lists = compute.ascii_split_whitespace(
        pyarrow.array(given, pyarrow.large_binary()).view(pyarrow.large_string())
    )
    coded = lists.flatten().dictionary_encode()
    distinct = coded.dictionary.view(pyarrow.large_binary()).to_pylist()
    return (
        [piece.decode("utf-8", "surrogatepass") for piece in distinct],
        coded.indices.to_numpy(),
        np.diff(lists.offsets.to_numpy()).astype(np.int64),
    )


def _joined(arrays: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0, np.int64)


def _spelled_out(
    flat: NDArray[np.int32],
    counts: NDArray[np.int64],
    used: NDArray[np.int32],
    sizes: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Numbers of the words of all pieces, one after the other, put where the texts use the pieces.

    flat int32 are the words of all pieces, counts int64 how many each has; used int32 [P] are the pieces of
    all texts, sizes int64 [B] how many each text has.
    """
    own = counts[used]
    ends = np.cumsum(own)
    # A word stands as far behind its piece's first one here as there.
    apart = (np.cumsum(counts) - counts)[used] - (ends - own)
    places = np.repeat(apart, own)
    places += np.arange(len(places))
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    lengths = np.diff(np.concatenate([[0], ends])[bounds])
    return flat[places], lengths
