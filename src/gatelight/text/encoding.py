"""Texts or token lists to flat ids and lengths, cut to a length.

A stream of texts is read once; what grows is 4 bytes for each token kept and 24 for each text.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.text.oov import LEFT_OUT, Indexer
from gatelight.text.tokenizers import Tokenizer, code_points
from gatelight.text.vocabulary import UNK_ID, Vocabulary


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

    def unknown_share(self) -> NDArray[np.float64]:
        """Return the unknown share of each text's tokens, float64 [B]; 0 for a text of no tokens."""
        return self.unknown / np.maximum(self.total, 1)


@dataclass(frozen=True)
class NumberedTexts:
    """Tokens at 4 bytes each: the n-th token of B texts is words[numbers[n]].

    `numbers` int32 [N] text after text, `lengths` int64 [B]; `words` stand in the order in which they come
    first, each once.
    """

    numbers: NDArray[np.int32]
    lengths: NDArray[np.int64]
    words: list[str]

    @classmethod
    def of(cls, texts: Iterable[str], tokenizer: Tokenizer) -> NumberedTexts:
        """Cut texts, which are gone through once, into tokens and number these."""
        symbols = getattr(tokenizer, "symbols", None)
        if symbols is not None:
            return cls(*_numbered_symbols(map(symbols, texts)))
        words = _Numbers()
        numbers, lengths = array("i"), array("q")
        for tokens in map(tokenizer.tokens, texts):
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


def _numbered_symbols(
    texts: Iterable[str],
) -> tuple[NDArray[np.int32], NDArray[np.int64], list[str]]:
    """The fields of `NumberedTexts` whose tokens are the code points, without an object for each."""
    table = np.full(sys.maxunicode + 1, -1, np.int32)
    words: list[str] = []
    numbers, lengths = array("i"), array("q")
    for text in texts:
        points = code_points(text)
        new, first = np.unique(points[table[points] < 0], return_index=True)
        new = new[np.argsort(first)]
        table[new] = np.arange(len(words), len(words) + len(new))
        words.extend(map(chr, new.tolist()))
        numbers.frombytes(table[points].tobytes())
        lengths.append(len(points))
    return np.frombuffer(numbers, np.int32), np.frombuffer(lengths, np.int64), words


class _Numbers(dict[str, int]):
    """Numbers what it is asked for, from 0 on."""

    def __missing__(self, key: str) -> int:
        number = self[key] = len(self)
        return number


_Ids = Any  # a list or an array of ids


def _head(ids: _Ids, length: int) -> _Ids:
    return ids[:length]


def _tail(ids: _Ids, length: int) -> _Ids:
    return ids[len(ids) - length :]


def _head_and_tail(ids: _Ids, length: int) -> _Ids:
    tail = length // 2
    return ids[: length - tail] + ids[len(ids) - tail :]


TRUNCATIONS: dict[str, Callable[[_Ids, int], _Ids]] = {
    "head": _head,
    "tail": _tail,
    "head+tail": _head_and_tail,
}


def encode(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    vocabulary: Vocabulary,
    *,
    max_length: int | None = None,
    truncation: str = "head",
    unknown: str = "unk",
    seed: int = 0,
    oov: Sequence[str] = (),
) -> Encoded:
    """Tokenize `texts` and turn them into ids, cut to `max_length` by `truncation` where that is given.

    "head" keeps the first tokens, "tail" the last, "head+tail" the first half (one more of an odd length) and
    the last half. Unknown tokens become UNK, or what another policy of `UNKNOWN_POLICIES` makes of them,
    before the cut; `seed` and `oov` are as in `Indexer`.
    Tokens that are single code points are looked up in a table, all of a text at once.
    Raises DataError for another truncation or policy, or a `max_length` below 1.
    """
    # Not by isinstance, which goes through a protocol's members at every call.
    symbols = getattr(tokenizer, "symbols", None)
    if symbols is not None and unknown in ("unk", "drop"):
        rows = _symbol_rows(map(symbols, texts), vocabulary, drop=unknown == "drop")
        return _gathered(rows, max_length, truncation)
    return encode_tokens(
        map(tokenizer.tokens, texts), vocabulary, max_length=max_length, truncation=truncation,
        unknown=unknown, seed=seed, oov=oov,
    )  # fmt: skip


def encode_tokens(
    token_lists: Iterable[Sequence[str]],
    vocabulary: Vocabulary,
    *,
    max_length: int | None = None,
    truncation: str = "head",
    unknown: str = "unk",
    seed: int = 0,
    oov: Sequence[str] = (),
) -> Encoded:
    """Turn token lists, or `NumberedTexts`, into ids as `encode` does."""
    indexer = Indexer(vocabulary, unknown, seed=seed, oov=oov)
    if isinstance(token_lists, NumberedTexts) and unknown != "random":
        rows = _numbered_rows(token_lists, vocabulary, indexer, all_known=unknown == "ngrams")
    else:
        rows = ((*indexer.ids(tokens), len(tokens)) for tokens in token_lists)
    return _gathered(rows, max_length, truncation, indexer)


_Rows = Iterable[tuple[_Ids, int, int]]
"""Of each text the ids, the number of unknown tokens, and the number of tokens."""


def _numbered_rows(
    texts: NumberedTexts, vocabulary: Vocabulary, indexer: Indexer, *, all_known: bool
) -> _Rows:
    table = np.array(indexer.places(texts.words)[0], np.int32)
    known = vocabulary.known_ids()
    strange = np.array([not all_known and word not in known for word in texts.words], np.bool_)
    begin = 0
    for length in texts.lengths.tolist():
        own = texts.numbers[begin : begin + length]
        begin += length
        ids, unknown = table[own], int(np.count_nonzero(strange[own]))
        yield array("i", ids[ids != LEFT_OUT].tobytes()), unknown, length


def _symbol_rows(texts: Iterable[str], vocabulary: Vocabulary, *, drop: bool) -> _Rows:
    known = {ord(token): i for token, i in vocabulary.known_ids().items() if len(token) == 1}
    # The last place of the table stands for all code points above the largest known one.
    table = np.full(max(known, default=-1) + 2, UNK_ID, np.int32)
    table[list(known)] = list(known.values())
    for text in texts:
        found = table[np.minimum(code_points(text), len(table) - 1)]
        unknown = int(np.count_nonzero(found == UNK_ID))
        if drop and unknown:
            found = found[found != UNK_ID]
        yield array("i", found.tobytes()), unknown, len(text)


def _gathered(
    rows: _Rows, max_length: int | None, truncation: str, indexer: Indexer | None = None
) -> Encoded:
    """Put the texts' ids end to end, each cut."""
    if truncation not in TRUNCATIONS:
        raise DataError(f"truncation={truncation!r} is not one of: {', '.join(TRUNCATIONS)}")
    if max_length is not None and max_length < 1:
        raise DataError(f"max_length must be at least 1, not {max_length}")
    cut = TRUNCATIONS[truncation]
    flat = array("i")
    lengths, unknowns, totals = array("q"), array("q"), array("q")
    for ids, unknown, total in rows:
        if max_length is not None and len(ids) > max_length:
            ids = cut(ids, max_length)
        flat.extend(ids)
        lengths.append(len(ids))
        unknowns.append(unknown)
        totals.append(total)
    # Views: copying would double the peak on a large corpus.
    return Encoded(
        np.frombuffer(flat, dtype=np.int32),
        np.frombuffer(lengths, dtype=np.int64),
        np.frombuffer(unknowns, dtype=np.int64),
        np.frombuffer(totals, dtype=np.int64),
        [] if indexer is None else indexer.oov,
    )
