"""Text to tokens, by named rules, and the rules of words. Knows nothing of vocabularies, ids or labels.

A tokenizer is one class with `tokens` and `settings`; a new kind is one class and one line in `KINDS`.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar, Protocol

from gatelight.errors import DataError
from gatelight.text.characters import ByteTokenizer, CharacterTokenizer, GraphemeTokenizer, NoteTokenizer
from gatelight.text.cleaning import clean_text
from gatelight.text.treebank import TreebankPieces


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
    "grapheme" (what a reader calls a character), "byte" (of UTF-8), "note-char" (44 symbols).
    Settings of all: `lowercase=True`, `clean=True` (tags and entities removed).
    Raises DataError for an unknown kind or setting, MissingExtraError when the kind's package is absent.
    """
    if kind not in KINDS:
        raise DataError(f"there is no tokenizer {kind!r}; choose one of: {', '.join(sorted(KINDS))}")
    known = KINDS[kind].SETTINGS
    for name, value in settings.items():
        if name not in known:
            raise DataError(f"tokenizer {kind!r} has no setting {name!r}; it has: {', '.join(known)}")
        if not isinstance(value, bool):
            raise DataError(f"tokenizer setting {name!r} must be true or false, not {value!r}")
    return KINDS[kind](**settings)


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


class WordTokenizer:
    """Words with inner apostrophes whole, numbers such as 7/10 whole, signs as tokens of their own."""

    SETTINGS: ClassVar[tuple[str, ...]] = ("lowercase", "clean")

    def __init__(self, *, lowercase: bool = True, clean: bool = True) -> None:
        self.lowercase = lowercase
        self.clean = clean

    def settings(self) -> dict[str, Any]:
        """Return the arguments of `tokenizer` that make an equal one."""
        return {"kind": "word", "lowercase": self.lowercase, "clean": self.clean}

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of `text`: `["don't", "miss", "it", "!", "7/10"]`, in linear time."""
        if self.clean:
            text = clean_text(text)
        if self.lowercase:
            text = text.lower()
        text = _straight_apostrophes(text)
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


# --- Treebank rules -------------------------------------------------------------------------------


BLOCK = 256  # texts whose pieces are cut together
MOST_PIECES = 1 << 17  # that are remembered, some 30 MB; then it is begun anew


class TreebankTokenizer:
    """NLTK's TreebankWordTokenizer ("do", "n't"; "film", "'s"), the cut of the Penn Treebank and GloVe.

    Runs of white space become single spaces first, which NLTK's rules expect and which keeps them linear.
    """

    SETTINGS: ClassVar[tuple[str, ...]] = ("lowercase", "clean")

    def __init__(self, *, lowercase: bool = True, clean: bool = True) -> None:
        self.lowercase = lowercase
        self.clean = clean
        self._rules = TreebankPieces()
        self._known: dict[str, list[str]] = {}

    def settings(self) -> dict[str, Any]:
        """Return the arguments of `tokenizer` that make an equal one."""
        return {"kind": "treebank", "lowercase": self.lowercase, "clean": self.clean}

    def tokens(self, text: str) -> list[str]:
        """Return the tokens of `text` as NLTK cuts them."""
        return next(self.all_tokens([text]))

    def all_tokens(self, texts: Iterable[str]) -> Iterator[list[str]]:
        """Yield the tokens of each text; of many in a fraction of the time that each alone takes."""
        rest = iter(texts)
        while block := list(itertools.islice(rest, BLOCK)):
            if len(self._known) > MOST_PIECES:
                self._known = {}
            known = self._known  # other threads may add to it, and never take anything out
            every = list(map(self.pieces, block))
            distinct = dict.fromkeys(itertools.chain.from_iterable(every))
            new = [piece for piece in distinct if piece not in known]
            tokens, counts = self.cut(new)
            left = iter(tokens)
            known.update(
                (piece, list(itertools.islice(left, n))) for piece, n in zip(new, counts, strict=True)
            )
            for pieces in every:
                yield list(itertools.chain.from_iterable(map(known.__getitem__, pieces)))

    def pieces(self, text: str) -> list[str]:
        """Return `text` in pieces that can be cut each by itself."""
        return self._rules.pieces(self._plain(text))

    def spaced(self, text: str) -> str:
        """Return the pieces of `text` with white space of ASCII between them."""
        return self._rules.spaced(self._plain(text))

    def cut(self, pieces: Sequence[str]) -> tuple[list[str], list[int]]:
        """Return the tokens of all pieces, one after the other, and how many each piece has."""
        return self._rules.cut(pieces)

    def _plain(self, text: str) -> str:
        if self.clean:
            text = _straight_apostrophes(clean_text(text))
        return text.lower() if self.lowercase else text

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_known": {}}  # what is remembered is quickly found again


Kind = (
    type[WordTokenizer]
    | type[TreebankTokenizer]
    | type[CharacterTokenizer]
    | type[GraphemeTokenizer]
    | type[ByteTokenizer]
    | type[NoteTokenizer]
)
KINDS: dict[str, Kind] = {
    "word": WordTokenizer,
    "treebank": TreebankTokenizer,
    "char": CharacterTokenizer,
    "grapheme": GraphemeTokenizer,
    "byte": ByteTokenizer,
    "note-char": NoteTokenizer,
}


def tokens_of_all(cut: Tokenizer, texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the tokens of each text, by whichever way of the tokenizer is the fastest for many."""
    together = getattr(cut, "all_tokens", None)
    return map(cut.tokens, texts) if together is None else together(texts)
