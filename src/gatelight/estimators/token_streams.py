"""Texts as one stream of ids with a mark at every border, for a language model.

Every text follows the mark `END`, and the last is followed by it: so a text begins where another ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.models.batches import Sequences
from gatelight.text.encoding import NumberedTexts
from gatelight.text.tokenized import TokenizedTexts
from gatelight.text.tokenizers import Tokenizer
from gatelight.text.vocabulary import Vocabulary

END = "<end>"  # no tokenizer gives this as one token


def vocabulary_of(
    texts: NumberedTexts, tokenizer: Tokenizer, min_count: int, max_size: int | None
) -> Vocabulary:
    """Return the tokens of the texts and `END`, by falling count; raises DataError where there is none."""
    counts = texts.counts()
    if not counts:
        raise DataError(f"none of the {len(texts)} texts holds a token; give texts to learn from")
    # All that can be written, seen or not: a byte is never unknown.
    for sign in getattr(tokenizer, "alphabet", None) or "":
        counts[sign] = max(counts.get(sign, 0), min_count)
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
    def of(cls, texts: TokenizedTexts, vocabulary: Vocabulary) -> TokenStream:
        """Read the texts, into their own storage."""
        tokens = texts.tokens
        id_of, mark = vocabulary.ids(tokens.words), vocabulary.id(END)
        is_unknown = np.array([word not in vocabulary for word in tokens.words], np.bool_)

        def marked() -> Iterator[bytes]:
            for numbers, lengths in tokens.blocks():
                yield np.insert(id_of[numbers], np.cumsum(lengths) - lengths, mark).tobytes()
            yield np.array([mark], np.int32).tobytes()

        ids = tokens.storage(marked())
        unknown = int(tokens.times()[is_unknown].sum())
        starts = np.cumsum(tokens.lengths) - tokens.lengths + np.arange(len(tokens))
        return cls(ids, starts, int(texts.characters.sum()), unknown)

    @classmethod
    def of_texts(cls, texts: Sequence[str], tokenizer: Tokenizer, vocabulary: Vocabulary) -> TokenStream:
        """Read texts that are given in memory."""
        return cls.of(TokenizedTexts.of(texts, tokenizer), vocabulary)

    def beginning(self, tokens: int) -> TokenStream:
        """Return the first ids, `tokens` at most, which need not end with a mark."""
        return replace(self, ids=self.ids[:tokens])

    def documents(self, max_length: int | None) -> Sequences:
        """Return each text with the mark before and after it, cut after `max_length` tokens."""
        lengths = np.diff(self.starts, append=len(self.ids) - 1) + 1
        if max_length is not None:
            lengths = np.minimum(lengths, max_length + 1)
        return Sequences(self.ids, lengths, self.starts)  # a mark between two texts is part of both
