"""Texts or token lists to flat ids and lengths, cut to a length.

Texts are read once and numbered: what grows is 8 bytes for each token and 24 for each text.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.text.oov import LEFT_OUT, Indexer
from gatelight.text.tokenizers import Tokenizer, code_points
from gatelight.text.vocabulary import Vocabulary

_Token = TypeVar("_Token")

BLOCK = 1 << 20  # tokens gone through at once


@dataclass(frozen=True)
class Encoded:
    """B texts as ids: `ids` int32 [N] text after text, `lengths` int64 [B] (may be 0).

    `total` and `unknown`, int64 [B], count all tokens and the unknown ones of each text before it was cut;
    dropped tokens count in both. `oov` are the out-of-vocabulary tokens with ids (see `Indexer`).
    """

    ids: NDArray[np.int32]
    lengths: NDArray[np.int64]
    unknown: NDArray[np.int64]
    total: NDArray[np.int64]
    oov: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """Return B."""
        return len(self.lengths)

    def where(self, chosen: NDArray[np.bool_]) -> Encoded:
        """Return the texts that are chosen, bool [B]."""
        if chosen.all():
            return self
        ids = self.ids[np.repeat(chosen, self.lengths)]
        columns = (self.lengths[chosen], self.unknown[chosen], self.total[chosen])
        return Encoded(ids, *columns, self.oov)

    def unknown_fraction(self) -> NDArray[np.float64]:
        """Return the unknown fraction of each text's tokens, float64 [B]; 0 for a text of no tokens."""
        return self.unknown / np.maximum(self.total, 1)


Storage = Callable[[Iterable[bytes]], NDArray[np.int32]]
"""From the bytes of numbers, int32, part after part, to one array: in memory, or in a file that is mapped."""


def in_memory(parts: Iterable[bytes]) -> NDArray[np.int32]:
    """Return the numbers as an array in memory."""
    numbers = array("i")
    for part in parts:
        numbers.frombytes(part)
    return np.frombuffer(numbers, np.int32)


@dataclass(frozen=True)
class NumberedTexts:
    """Tokens at 4 bytes each: token t of text b is words[numbers[starts[b] + t]], t < lengths[b].

    `numbers` int32 [N], which may be mapped from a file: they are gone through in blocks; `lengths`, `starts`
    int64 [B]; `words` each once. What is made of the numbers goes into `storage`, too.
    """

    numbers: NDArray[np.int32]
    lengths: NDArray[np.int64]
    starts: NDArray[np.int64]
    words: list[str]
    storage: Storage = in_memory

    @classmethod
    def of(cls, texts: Iterable[str], tokenizer: Tokenizer, storage: Storage = in_memory) -> NumberedTexts:
        """Cut texts, which are gone through once, into tokens and number these."""
        symbols = getattr(tokenizer, "symbols", None)
        if symbols is None:
            return cls.of_tokens(map(tokenizer.tokens, texts), storage)
        words, lengths = list[str](), array("q")

        def numbered() -> Iterator[bytes]:
            # Where each code point is a token a table finds their numbers without an object for each.
            table = np.full(128, -1, np.int32)
            for points in map(code_points, map(symbols, texts)):
                missing = int(points.max(initial=0)) + 1 - len(table)
                if missing > 0:
                    table = np.append(table, np.full(missing, -1, np.int32))
                found = table[points]
                if found.min(initial=0) < 0:
                    new, first = np.unique(points[found < 0], return_index=True)
                    new = new[np.argsort(first)]
                    table[new] = np.arange(len(words), len(words) + len(new))
                    words.extend(map(chr, new.tolist()))
                    found = table[points]
                lengths.append(len(points))
                yield found.tobytes()

        return cls._end_to_end(storage(numbered()), lengths, words, storage)

    @classmethod
    def of_tokens(cls, token_lists: Iterable[Sequence[str]], storage: Storage = in_memory) -> NumberedTexts:
        """Number tokens; the lists are gone through once."""
        words, lengths = _Numbers(), array("q")

        def numbered() -> Iterator[bytes]:
            for tokens in token_lists:
                lengths.append(len(tokens))
                yield array("i", list(map(words.__getitem__, tokens))).tobytes()

        return cls._end_to_end(storage(numbered()), lengths, words, storage)

    @classmethod
    def _end_to_end(
        cls, numbers: NDArray[np.int32], lengths: array[int], words: Iterable[str], storage: Storage
    ) -> NumberedTexts:
        own = np.frombuffer(lengths, np.int64)
        return cls(numbers, own, np.cumsum(own) - own, list(words), storage)

    def take(self, rows: NDArray[np.integer[Any]] | slice) -> NumberedTexts:
        """Return the texts at these positions, in this order; their tokens are shared, not copied."""
        return replace(self, lengths=self.lengths[rows], starts=self.starts[rows])

    def blocks(self) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64]]]:
        """Yield numbers and lengths of a few texts at a time, in bounded memory, a longer text aside."""
        ends = np.cumsum(self.lengths)
        begin = done = 0
        while begin < len(ends):
            end = max(begin + 1, int(np.searchsorted(ends, done + BLOCK, "right")))
            lengths, starts = self.lengths[begin:end], self.starts[begin:end]
            following = np.cumsum(lengths) - lengths
            if np.array_equal(starts - starts[0], following):
                first = int(starts[0])
                yield self.numbers[first : first + int(lengths.sum())], lengths
            else:
                places = np.arange(int(lengths.sum())) + np.repeat(starts - following, lengths)
                yield self.numbers[places], lengths
            begin, done = end, int(ends[end - 1])

    def times(self) -> NDArray[np.int64]:
        """Return how often each of `words` occurs in these texts, int64."""
        found = np.zeros(len(self.words), np.int64)
        for numbers, _ in self.blocks():
            found += np.bincount(numbers, minlength=len(found))
        return found

    def counts(self) -> dict[str, int]:
        """Return how often each word of these texts occurs."""
        return {word: n for word, n in zip(self.words, self.times().tolist(), strict=True) if n}

    def __len__(self) -> int:
        """Return B."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[list[str]]:
        for numbers, lengths in self.blocks():
            start = 0
            for length in lengths.tolist():
                yield [self.words[number] for number in numbers[start : start + length].tolist()]
                start += length


class _Numbers(dict[str, int]):
    """Numbers what it is asked for, from 0 on."""

    def __missing__(self, key: str) -> int:
        number = self[key] = len(self)
        return number


TRUNCATIONS: dict[str, Callable[[int], int]] = {
    "head": lambda max_length: max_length,
    "tail": lambda max_length: 0,
    "head+tail": lambda max_length: max_length - max_length // 2,
}
"""How many of a cut text's first tokens are kept; its last ones make up `max_length`."""


def truncated(tokens: list[_Token], max_length: int, truncation: str) -> list[_Token]:
    """Return the tokens that are kept."""
    first, last = _kept(tokens, max_length, truncation)
    return [*first, *last]


def _kept(tokens: Any, max_length: int, truncation: str) -> tuple[Any, Any]:
    first = TRUNCATIONS[truncation](max_length)
    return tokens[:first], tokens[max(first, len(tokens) - (max_length - first)) :]


def encode(
    tokens: NumberedTexts | Iterable[Sequence[str]],
    vocabulary: Vocabulary,
    *,
    max_length: int | None = None,
    truncation: str = "head",
    unknown: str = "unk",
    seed: int = 0,
    oov: Sequence[str] = (),
) -> Encoded:
    """Turn texts' tokens into ids, cut to `max_length` by `truncation` where that is given.

    "head" keeps the first tokens, "tail" the last, "head+tail" the first half (one more of an odd length) and
    the last half. Unknown tokens become UNK, or what another policy of `UNKNOWN_POLICIES` makes of them,
    before the cut; `seed` and `oov` are as in `Indexer`.
    Raises DataError for another truncation or policy, or a `max_length` below 1.
    """
    if truncation not in TRUNCATIONS:
        raise DataError(f"truncation={truncation!r} is not one of: {', '.join(TRUNCATIONS)}")
    if max_length is not None and max_length < 1:
        raise DataError(f"max_length must be at least 1, not {max_length}")
    indexer = Indexer(vocabulary, unknown, seed=seed, oov=oov)
    texts = tokens if isinstance(tokens, NumberedTexts) else NumberedTexts.of_tokens(tokens)
    present = np.flatnonzero(texts.times()).tolist()
    id_of, is_strange = np.zeros(len(texts.words), np.int32), np.zeros(len(texts.words), np.bool_)
    id_of[present] = [indexer.id(texts.words[number]) for number in present]
    is_strange[present] = [indexer.is_unknown(texts.words[number]) for number in present]
    lengths, unknowns = np.empty_like(texts.lengths), np.empty_like(texts.lengths)

    def encoded() -> Iterator[bytes]:
        begin = 0
        for numbers, own in texts.blocks():
            ids, strange = id_of[numbers], is_strange[numbers]
            if indexer.by_place:
                starts = np.cumsum(own) - own
                for n in np.flatnonzero(strange).tolist():
                    start = starts[np.searchsorted(starts, n, "right") - 1]
                    ids[n] = indexer.id(texts.words[numbers[n]], int(n - start))
            rows = slice(begin, begin := begin + len(own))
            unknowns[rows] = _counted(strange, own)
            kept = ids != LEFT_OUT
            if not kept.all():
                ids, own = ids[kept], _counted(kept, own)
            if max_length is not None and own.max(initial=0) > max_length:
                ends = np.cumsum(own).tolist()
                every = (ids[stop - length : stop] for stop, length in zip(ends, own.tolist(), strict=True))
                ids = np.concatenate([part for row in every for part in _kept(row, max_length, truncation)])
                own = np.minimum(own, max_length)
            lengths[rows] = own
            yield ids.tobytes()

    return Encoded(texts.storage(encoded()), lengths, unknowns, texts.lengths, indexer.oov)


def _counted(which: NDArray[np.bool_], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of each text's tokens are marked, [B]."""
    marked, ends = np.flatnonzero(which), np.cumsum(lengths)
    return np.searchsorted(marked, ends) - np.searchsorted(marked, ends - lengths)
