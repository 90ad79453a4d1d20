"""Texts as one stream of ids with a mark at every border, for a language model.

Every text follows the mark `END`, and the last is followed by it: so a text begins where another ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.models.batches import Sequences
from gatelight.text.cleaning import clean_text
from gatelight.text.encoding import NumberedTexts, encode
from gatelight.text.tokenizers import Tokenizer
from gatelight.text.vocabulary import Vocabulary

END = "<end>"  # no tokenizer gives this as one token


def vocabulary_of(texts: list[str], tokenizer: Tokenizer, min_count: int, max_size: int | None) -> Vocabulary:
    """Return the tokens of the texts and `END`, by falling count; raises DataError where there is none."""
    counts = NumberedTexts.of(texts, tokenizer).counts()
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
    def of(cls, texts: list[str], tokenizer: Tokenizer, vocabulary: Vocabulary) -> TokenStream:
        """Read the texts."""
        encoded = encode(NumberedTexts.of(texts, tokenizer), vocabulary)
        ends = np.cumsum(encoded.lengths)
        ids = np.insert(encoded.ids, np.append(ends - encoded.lengths, ends[-1:]), vocabulary.id(END))
        starts = ends - encoded.lengths + np.arange(len(texts))
        cleaned = map(clean_text, texts) if tokenizer.settings()["clean"] else texts
        return cls(ids, starts, sum(map(len, cleaned)), int(encoded.unknown.sum()))

    def documents(self, max_length: int | None) -> Sequences:
        """Return each text with the mark before and after it, cut after `max_length` tokens."""
        ends = np.append(self.starts[1:], len(self.ids) - 1)
        lengths = ends - self.starts + 1
        if max_length is not None:
            lengths = np.minimum(lengths, max_length + 1)
        texts = [self.ids[start : start + n] for start, n in zip(self.starts, lengths, strict=True)]
        return Sequences.of(np.concatenate(texts), lengths)
