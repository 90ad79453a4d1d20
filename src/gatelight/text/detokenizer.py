"""Tokens of any kind written out as text, piece by piece, never half a character.

What a reader calls a character may be several code points, and a code point several bytes: the last one is
held back until the next begins.
"""

from __future__ import annotations

import codecs
import functools
from collections.abc import Iterable
from typing import Any

from gatelight.text.tokenizers import Tokenizer

CLOSING = frozenset(".,!?;:)]}%…’'\"") | {"...", "..", "!!", "!!!", "??", "???"}
OPENING = frozenset("([{")
WORDS = ("word", "treebank")


def graphemes(text: str) -> list[str]:
    r"""Return what a reader calls the characters of `text` (UAX #29, `\X` of the package `regex`).

    "é", "नि", "\r\n" are one each, and joined they are the text.
    """
    found: list[str] = _grapheme_pattern().findall(text)
    return found


@functools.cache
def _grapheme_pattern() -> Any:
    import regex  # only for those who ask for it: it takes 20 ms

    return regex.compile(r"\X")


class Detokenizer:
    """Writes tokens of a tokenizer's kind; words stand apart, but for signs that close or open."""

    def __init__(self, tokenizer: Tokenizer, begun: bool = False) -> None:
        """With `begun` a text stands before the first token, from which a word keeps its distance."""
        kind = tokenizer.settings()["kind"]
        self.words = kind in WORDS
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if kind == "byte" else None
        self._before = "" if begun else None
        self._held = ""

    def add(self, tokens: Iterable[str]) -> str:
        """Return the text that these tokens make certain."""
        if self.words:
            return "".join(map(self._spaced, tokens))
        text = "".join(tokens)
        if self._decoder is not None:
            text = self._decoder.decode(text.encode("latin-1"))
        *certain, self._held = graphemes(self._held + text) or [""]
        return "".join(certain)

    def end(self) -> str:
        """Return what was held back."""
        held, self._held = self._held, ""
        return held

    def _spaced(self, token: str) -> str:
        before, self._before = self._before, token
        apart = before is not None and before not in OPENING and token not in CLOSING
        return f" {token}" if apart and not token.startswith("'") else token
