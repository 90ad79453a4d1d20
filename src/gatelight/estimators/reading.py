"""How a fitted model reads: text → tokens → ids, and how much was unknown; knows no label and no weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from gatelight.text.encoding import Encoded, encode, encode_tokens
from gatelight.text.tokens import Tokenizer
from gatelight.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class Reading:
    """A tokenizer, a vocabulary, and what becomes of long texts and unknown tokens."""

    tokenizer: Tokenizer
    vocabulary: Vocabulary
    max_length: int | None
    truncation: str
    unknown: str

    def encode(self, texts: Iterable[str]) -> Encoded:
        """Turn texts into flat ids and lengths."""
        return encode(texts, self.tokenizer, self.vocabulary, **self._cut())

    def encode_tokens(self, token_lists: Iterable[list[str]]) -> Encoded:
        """Turn token lists into flat ids and lengths."""
        return encode_tokens(token_lists, self.vocabulary, **self._cut())

    def settings(self) -> dict[str, Any]:
        """Return everything but the vocabulary as JSON-able values."""
        return {"tokenizer": self.tokenizer.settings(), **self._cut()}

    def _cut(self) -> dict[str, Any]:
        return {"max_length": self.max_length, "truncation": self.truncation, "unknown": self.unknown}
