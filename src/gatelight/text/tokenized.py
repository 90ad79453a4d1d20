"""Texts cut into numbered tokens, and the characters of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.text.cleaning import clean_text
from gatelight.text.encoding import NumberedTexts
from gatelight.text.mapped import storage_of
from gatelight.text.tokenizers import Tokenizer


@dataclass(frozen=True)
class TokenizedTexts:
    """The tokens of B texts, and how many characters each has as it is read, int64 [B]."""

    tokens: NumberedTexts
    characters: NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: Tokenizer) -> TokenizedTexts:
        """Cut texts into tokens."""
        tokens = NumberedTexts.of(texts, tokenizer, storage_of(texts))
        return cls(tokens, characters_of(texts, tokenizer))

    def __len__(self) -> int:
        """Return B."""
        return len(self.characters)

    def take(self, rows: NDArray[np.integer[Any]] | slice) -> TokenizedTexts:
        """Return the texts at these positions, in this order."""
        return replace(self, tokens=self.tokens.take(rows), characters=self.characters[rows])


def characters_of(texts: Sequence[str], tokenizer: Tokenizer) -> NDArray[np.int64]:
    """Return the characters of each text as it is read, int64 [B]."""
    cleaned = map(clean_text, texts) if tokenizer.settings()["clean"] else texts
    return np.fromiter(map(len, cleaned), np.int64, len(texts))
