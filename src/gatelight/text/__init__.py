"""Files → texts → tokens → ids, and word vectors."""

from __future__ import annotations

from gatelight.text.tokenizers import Tokenizer, tokenizer

__all__ = ["Tokenizer", "tokenizer"]
