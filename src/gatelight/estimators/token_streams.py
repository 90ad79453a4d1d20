"""Texts as one stream of ids with a mark at every border, for a language model; knows no weights.

Every text follows the mark `END`, and the last is followed by it: so a text begins where another ends.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.models.batches import Sequences
from gatelight.text.cleaning import clean_text
from gatelight.text.tokenizers import SymbolTokenizer, Tokenizer, code_points
from gatelight.text.vocabulary import UNK_ID, Vocabulary

END = "<end>"  # no tokenizer gives this as one token


def vocabulary_of(texts: list[str], tokenizer: Tokenizer, min_count: int, max_size: int | None) -> Vocabulary:
    """Return the tokens of the texts and `END`, by falling count; raises DataError where there is none."""
    counts: Counter[str] = Counter()
    alphabet = tokenizer.alphabet if isinstance(tokenizer, SymbolTokenizer) else None
    if isinstance(tokenizer, SymbolTokenizer):
        for begin in range(0, len(texts), 1000):
            block = "".join(tokenizer.symbols(text) for text in texts[begin : begin + 1000])
            points, times = np.unique(code_points(block), return_counts=True)
            counts.update({chr(point): int(n) for point, n in zip(points, times, strict=True)})
    else:
        counts = Vocabulary.count(map(tokenizer.tokens, texts))
    if not counts:
        raise DataError(f"none of the {len(texts)} texts holds a token; give texts to learn from")
    if alphabet is not None:
        # All that can be written, seen or not: a byte is never unknown.
        counts = Counter({sign: max(counts[sign], min_count) for sign in alphabet})
    counts[END] = max(len(texts), min_count)
    return Vocabulary.from_counts(counts, min_count=min_count, max_size=max_size)


@dataclass(frozen=True)
class TokenStream:
    """`ids` int32 [N] of all texts, each after the mark, and one mark in the end; `starts` of the texts."""

    ids: NDArray[np.int32]
    starts: NDArray[np.int64]
    characters: int  # of the texts as they are read
    unknown: int

    @classmethod
    def of(cls, texts: list[str], tokenizer: Tokenizer, vocabulary: Vocabulary) -> TokenStream:
        """Read the texts."""
        encode = Encoder(tokenizer, vocabulary)
        mark = np.array([vocabulary.id(END)], np.int32)
        parts, starts, at = [], [], 0
        for text in texts:
            ids = encode(text)
            starts.append(at)
            parts += [mark, ids]
            at += 1 + len(ids)
        ids = np.concatenate([*parts, mark])
        cleaned = map(clean_text, texts) if tokenizer.settings()["clean"] else texts
        return cls(ids, np.array(starts, np.int64), sum(map(len, cleaned)), int((ids == UNK_ID).sum()))

    def documents(self, max_length: int | None) -> Sequences:
        """Return each text with the mark before and after it, cut after `max_length` tokens."""
        ends = np.append(self.starts[1:], len(self.ids) - 1)
        lengths = ends - self.starts + 1
        if max_length is not None:
            lengths = np.minimum(lengths, max_length + 1)
        pieces = [self.ids[start : start + n] for start, n in zip(self.starts, lengths, strict=True)]
        return Sequences.of(np.concatenate(pieces), lengths)


class Encoder:
    """Turns a text into ids, without an object for each token where tokens are code points."""

    def __init__(self, tokenizer: Tokenizer, vocabulary: Vocabulary) -> None:
        self.tokenizer, self.vocabulary = tokenizer, vocabulary
        self._spelling = tokenizer if isinstance(tokenizer, SymbolTokenizer) else None
        if self._spelling is not None:
            points = {
                ord(token): number for token, number in vocabulary.known_ids().items() if len(token) == 1
            }
            self._ids = np.full(max(points, default=0) + 2, UNK_ID, np.int32)
            for point, number in points.items():
                self._ids[point] = number

    def __call__(self, text: str) -> NDArray[np.int32]:
        """text → ids int32 [T]."""
        if self._spelling is None:
            return self.vocabulary.ids(self.tokenizer.tokens(text))
        points = code_points(self._spelling.symbols(text))
        found: NDArray[np.int32] = self._ids[np.minimum(points, len(self._ids) - 1)]
        return found
