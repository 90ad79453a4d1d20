"""Text to characters, graphemes, bytes or the note's symbols, and back; knows no vocabulary and no ids.

Where every token is one code point, `spelled` gives all of a text's tokens as one string: arrays of ids are
made from that without a Python object per token (`code_points`).
"""

from __future__ import annotations

import functools
import string
from collections.abc import Iterable
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gatelight.text.cleaning import clean_text

NOTE_SYMBOLS = string.ascii_lowercase + string.digits + " .,!?'\"-"
"""The 44 symbols of the recipe `note-char`: 26 letters, 10 digits, 8 signs (the commonest in reviews)."""


@runtime_checkable
class Spelling(Protocol):
    """A tokenizer each of whose tokens is one code point; `alphabet` are all there can be (None: any)."""

    @property
    def alphabet(self) -> str | None:
        """All tokens that a vocabulary holds, in the order of their ids; None: those that were seen."""
        ...

    def spelled(self, text: str) -> str:
        """Return all tokens of `text` side by side: its tokens are the code points of this string."""
        ...


class _Reading:
    """What all of them share: two settings, and text as it is read under these."""

    SETTINGS: ClassVar[tuple[str, ...]] = ("lowercase", "clean")
    kind: ClassVar[str]

    def __init__(self, *, lowercase: bool = True, clean: bool = True) -> None:
        self.lowercase = lowercase
        self.clean = clean

    def settings(self) -> dict[str, Any]:
        """Return the arguments of `tokenizer` that make an equal one."""
        return {"kind": self.kind, "lowercase": self.lowercase, "clean": self.clean}

    def text(self, tokens: Iterable[str]) -> str:
        """Return the text of these tokens: with `lowercase` and `clean` off the very text they came from."""
        return "".join(tokens)

    def _read(self, text: str) -> str:
        if self.clean:
            text = clean_text(text)
        return text.lower() if self.lowercase else text


class _CodePoints(_Reading):
    def spelled(self, text: str) -> str:
        """Return the text as it is read, every code point of which is a token."""
        return self._read(text)

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of `text`: one code point each."""
        return list(self.spelled(text))


class CharacterTokenizer(_CodePoints):
    """Unicode code points. A lone surrogate is a token like any other and comes back as it was."""

    kind = "char"
    alphabet: ClassVar[str | None] = None


class ByteTokenizer(_CodePoints):
    """The bytes of UTF-8, each as the character of its number ("é" is "Ã", "©"): nothing is ever unknown.

    A lone surrogate, which UTF-8 has no place for, becomes the three bytes of "surrogatepass" and comes back.
    """

    kind = "byte"
    alphabet: ClassVar[str | None] = "".join(map(chr, range(256)))

    def spelled(self, text: str) -> str:
        """Return a string whose code points, 0 to 255, are the bytes of the text."""
        return self._read(text).encode("utf-8", "surrogatepass").decode("latin-1")

    def text(self, tokens: Iterable[str]) -> str:
        """Return the text of these bytes; where they are no UTF-8 (a model wrote them), U+FFFD stands."""
        given = "".join(tokens).encode("latin-1")
        try:
            return given.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return given.decode("utf-8", "replace")


class NoteTokenizer(_CodePoints):
    """Code points, of which a vocabulary holds the note's 44 symbols; any other is unknown."""

    kind = "note-char"
    alphabet: ClassVar[str | None] = NOTE_SYMBOLS


class GraphemeTokenizer(_Reading):
    r"""What a reader calls a character (UAX #29, `\X` of the package `regex`): "é", "नि", "\r\n" are one.

    Several code points may make one token, so it is slower than "char" and its vocabulary larger.
    """

    kind = "grapheme"

    def tokens(self, text: str) -> list[str]:
        """Return the extended grapheme clusters of `text`, in order."""
        return graphemes(self._read(text))


def graphemes(text: str) -> list[str]:
    """Return the extended grapheme clusters of `text`: joined they are the text."""
    found: list[str] = _grapheme_pattern().findall(text)
    return found


@functools.cache
def _grapheme_pattern() -> Any:
    import regex  # only for those who ask for it: it takes 20 ms

    return regex.compile(r"\X")


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of `text`, uint32 [T], lone surrogates too, in time and memory linear in T."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))
