"""Text to tokens, by named rules.

A tokenizer is one class with `tokens` and `settings`; a new kind is one class and one line in `KINDS`. Where
every token is one code point, `symbols` gives all of a text's tokens as one string: arrays of ids are made
from that without a Python object per token (`code_points`).
"""

from __future__ import annotations

import functools
import re
import string
import unicodedata
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.text.cleaning import clean_text
from gatelight.text.treebank import treebank_tokens

NOTE_SYMBOLS = string.ascii_lowercase + string.digits + " .,!?'\"-"
"""The 44 symbols of the preset `note-char`: 26 letters, 10 digits, 8 signs (the commonest in reviews)."""


class Tokenizer(Protocol):
    """What cuts a text into tokens, and says how so that a saved model can do the same again."""

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of `text` in order; any `str` is accepted, lone surrogates too."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return a JSON-able dict with the key "kind"; `tokenizer(**settings)` makes an equal tokenizer."""
        ...


def tokenizer(kind: str = "word", **settings: Any) -> Tokenizer:
    """Return the tokenizer of this kind.

    Words: "word" (fast Unicode rules), "treebank" (NLTK's rules). Less than words: "char" (code points),
    "byte" (of UTF-8), "note-char" (44 symbols).
    Settings of all: `lowercase=True`, `clean=True` (tags and entities removed).
    Raises DataError for an unknown kind or setting.
    """
    if kind not in KINDS:
        raise DataError(f"there is no tokenizer {kind!r}; choose one of: {', '.join(sorted(KINDS))}")
    for name, value in settings.items():
        if name not in SETTINGS:
            raise DataError(f"tokenizer {kind!r} has no setting {name!r}; it has: {', '.join(SETTINGS)}")
        if not isinstance(value, bool):
            raise DataError(f"tokenizer setting {name!r} must be true or false, not {value!r}")
    return KINDS[kind](**settings)


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of `text`, uint32 [T], lone surrogates too, in time and memory linear in T."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.dtype("<u4"))


# --- apostrophes ---------------------------------------------------------------------------------

_CURLY_APOSTROPHES = re.compile("[\u2018\u2019\u201b\u02bc\uff07]")
_ACCENT_AS_APOSTROPHE = re.compile(r"(?<=\w)[`\u00b4](?=\w)")


def _straight_apostrophes(text: str) -> str:
    if not text.isascii():
        text = _CURLY_APOSTROPHES.sub("'", text)
    if "`" in text or "\u00b4" in text:
        text = _ACCENT_AS_APOSTROPHE.sub("'", text)
    return text


# --- word rules -----------------------------------------------------------------------------------

# Every repetition is possessive (`++`) or short: nothing backtracks, so that time is linear in the text.
# Of a long run of one sign the first three count ("!!!!!!!" is "!!!"): a run of 80 dashes is one token.
# No rule begins with white space, which is said first: else each space is held against every rule.
_RULES = r"""
(?= \S ) (?:
  \d++ (?: [.,/] \d++ ){1,3}+                              # 7/10   3.5   1,000
| WORD (?: ' WORD )*+                                      # film   don't   rock'n'roll
| [:;=] -? [()\[\]dp/|] (?! [\w/] )                        # :)   ;-)   :d
| (?<! \.\.\. ) \.{1,3}+ | (?<! !!! ) !{1,3}+ | (?<! \?\?\? ) \?{1,3}+
| (?<! --- ) -{1,3}+ | (?<! \*\*\* ) \*{1,3}+ | (?<! === ) ={1,3}+ | (?<! ~~~ ) ~{1,3}+
| SIGN
)
"""
_REPEATABLE = r"[^\w\s.!?*=~-]"
_ASCII_WORDS = re.compile(_RULES.replace("WORD", r"\w++").replace("SIGN", _REPEATABLE), re.VERBOSE)

# Han, kana, Thai, Lao, Burmese, Khmer: no space between words, so each character (with its marks) is a token.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_INVISIBLE = re.compile("[\u00ad\u2060\ufe0e\ufe0f\ufeff]")
_ZERO_WIDTH_SPACE = "\u200b"


@functools.cache
def _unicode_patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """The word rules for text beyond ASCII, a base letter with its marks, and one mark."""
    # `\w` leaves out combining marks, without which Hindi or Arabic words would fall apart. They are only
    # looked for when the first text beyond ASCII comes: it takes some 20 ms.
    # Up to U+FFFF only: `re` tests those at once, but the rarer ones above one range after another.
    combining = "".join(c for c in map(chr, range(0x300, 0x10000)) if unicodedata.category(c)[0] == "M")
    marks = combining + "\u200c\u200d"
    word = rf"(?: [^\W{_UNSPACED}]++ [{marks}]*+ )++"
    sign = rf"{_REPEATABLE} (?: [\U0001f3fb-\U0001f3ff{combining}] | \u200d [^\w\s]?+ )*+"
    rules = _RULES.replace("WORD", word).replace("SIGN", rf"[{_UNSPACED}] [{marks}]*+ | {sign}")
    return re.compile(rules, re.VERBOSE), re.compile(rf"\w[{marks}]{{1,16}}"), re.compile(f"[{marks}]")


def _composed(match: re.Match[str]) -> str:
    return unicodedata.normalize("NFC", match.group())


# --- the kinds ------------------------------------------------------------------------------------

SETTINGS = ("lowercase", "clean")


class _Settings:
    kind: ClassVar[str]

    def __init__(self, *, lowercase: bool = True, clean: bool = True) -> None:
        self.lowercase = lowercase
        self.clean = clean

    def settings(self) -> dict[str, Any]:
        """Return the arguments of `tokenizer` that make an equal one."""
        return {"kind": self.kind, "lowercase": self.lowercase, "clean": self.clean}

    def _read(self, text: str) -> str:
        if self.clean:
            text = clean_text(text)
        return text.lower() if self.lowercase else text


class WordTokenizer(_Settings):
    """Words with inner apostrophes whole, numbers such as 7/10 whole, signs as tokens of their own."""

    kind = "word"

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of `text`: `["don't", "miss", "it", "!", "7/10"]`, in linear time."""
        text = _straight_apostrophes(self._read(text))
        if "_" in text:  # `\w` has it, but "_great_" is the word "great", emphasised.
            text = text.replace("_", " ")
        if text.isascii():
            return _ASCII_WORDS.findall(text)
        words, letter_with_marks, mark = _unicode_patterns()
        text = _INVISIBLE.sub("", text.replace(_ZERO_WIDTH_SPACE, " "))
        if mark.search(text):
            # Letter by letter: composing a whole text takes quadratic time on a long run of marks.
            text = letter_with_marks.sub(_composed, text)
        return words.findall(text)


class TreebankTokenizer(_Settings):
    """NLTK's TreebankWordTokenizer ("do", "n't"; "film", "'s"), the cut of the Penn Treebank and GloVe."""

    kind = "treebank"

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of `text` as NLTK cuts them, white space of any kind being one space."""
        text = self._read(text)
        return treebank_tokens(_straight_apostrophes(text) if self.clean else text)


class CharacterTokenizer(_Settings):
    """Unicode code points. A lone surrogate is a token like any other and comes back as it was.

    `alphabet` are all tokens that a vocabulary holds, in the order of their ids; None: those that were seen.
    """

    kind = "char"
    alphabet: ClassVar[str | None] = None

    def symbols(self, text: str) -> str:
        """Return the text as it is read, every code point of which is a token."""
        return self._read(text)

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of `text`: one code point each."""
        return list(self.symbols(text))

    def text(self, tokens: Iterable[str]) -> str:
        """Return the text of these tokens: with `lowercase` and `clean` off the very text they came from."""
        return "".join(tokens)


class NoteTokenizer(CharacterTokenizer):
    """Code points, of which a vocabulary holds the note's 44 symbols; any other is unknown."""

    kind = "note-char"
    alphabet = NOTE_SYMBOLS


class ByteTokenizer(CharacterTokenizer):
    """The bytes of UTF-8, each as the character of its number ("é" is "Ã", "©"): nothing is ever unknown.

    A lone surrogate, which UTF-8 has no place for, becomes the three bytes of "surrogatepass" and comes back.
    """

    kind = "byte"
    alphabet = "".join(map(chr, range(256)))

    def symbols(self, text: str) -> str:
        """Return a string whose code points, 0 to 255, are the bytes of the text."""
        return self._read(text).encode("utf-8", "surrogatepass").decode("latin-1")

    def text(self, tokens: Iterable[str]) -> str:
        """Return the text of these bytes; where they are no UTF-8 (a model wrote them), U+FFFD stands."""
        given = "".join(tokens).encode("latin-1")
        try:
            return given.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return given.decode("utf-8", "replace")


KINDS: dict[str, Callable[..., Tokenizer]] = {
    made.kind: made
    for made in (WordTokenizer, TreebankTokenizer, CharacterTokenizer, ByteTokenizer, NoteTokenizer)
}
