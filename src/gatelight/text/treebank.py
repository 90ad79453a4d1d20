"""NLTK's Treebank rules, piece by piece, so that equal pieces of texts need to be cut once.

Knows white space and NLTK's tokenizer. Its rules see a piece between two spaces and nothing beyond; they
also see quotes that begin a text and signs that end it, so those pieces are told apart from the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice

from gatelight.errors import MissingExtraError
from gatelight.text.nltk_alone import class_of

MARK = "\ue000"
"""A code point for private use, which no rule touches, between pieces that are cut together."""

GAP = "\x1f"
"""Stands for a space within a piece: white space to Python, so none is left in a text, but not to Arrow."""

WHOLE, FIRST, LAST = 2 * MARK, GAP + MARK, MARK + GAP
"""What a piece begins or ends with that is a whole text, the first one of a text, or its last."""

QUOTES = ('"', "''")
LETTER = "x"
VERBATIM = "\n"  # before a piece whose letters count; no piece holds one
_SEPARATORS = "\x1c\x1d\x1e\x1f"  # white space to Python in ASCII, but not to Arrow
_RARE_SPACE = re.compile(r"[^\S \t\n\v\f\r]")
_LETTERS = re.compile(r"[^\W\d_]+")
TOGETHER = 4096  # pieces that are cut by one call

Tokens = list[str]


class TreebankPieces:
    """Texts in pieces, and pieces as NLTK's TreebankWordTokenizer cuts them."""

    def __init__(self) -> None:
        """Raises MissingExtraError without NLTK."""
        try:
            nltks = class_of("nltk.tokenize.treebank", "TreebankWordTokenizer")
        except ImportError as error:
            raise MissingExtraError("nltk", "treebank", "the tokenizer 'treebank'") from error
        self._cut: Callable[[str], Tokens] = nltks().tokenize
        rules = nltks.CONTRACTIONS2 + nltks.CONTRACTIONS3
        self._contractions = re.compile("|".join(rule.pattern.removeprefix("(?i)") for rule in rules), re.I)

    def pieces(self, text: str) -> list[str]:
        """Return the pieces of a text, whose white space counts as single spaces."""
        pieces = text.split()
        if MARK in text or len(pieces) == 1:
            return [WHOLE + GAP.join(pieces)]
        if pieces:
            pieces[0], pieces[-1] = _begin(pieces[0]), _end(pieces[-1])
        return pieces

    def spaced(self, text: str) -> str:
        """Return a text's pieces with white space of ASCII between them, as Arrow takes texts apart."""
        first, *rest = text.split(None, 1) or [""]
        if not rest or MARK in text:
            return " ".join(self.pieces(text))
        *middle, last = rest[0].rsplit(None, 1)
        if not text.isascii() or any(sign in text for sign in _SEPARATORS):
            middle = [_RARE_SPACE.sub(" ", part) for part in middle]
        return " ".join([_begin(first), *middle, _end(last)])

    def cut(self, pieces: Sequence[str]) -> tuple[Tokens, list[int]]:
        """Return the tokens of all pieces, one after the other, and how many each piece has."""
        if not pieces:
            return [], []
        shapes, letters = self._shapes(pieces)
        distinct = list(dict.fromkeys(shapes))
        found = self._cut_all([shape.removeprefix(VERBATIM) for shape in distinct])
        cuts, counts = {}, {}
        for shape, tokens in zip(distinct, found, strict=True):
            pattern = " ".join(tokens).replace("%", "%%")
            cuts[shape] = pattern if shape.startswith(VERBATIM) else pattern.replace(LETTER, "%s")
            counts[shape] = len(tokens)
        filled = " ".join([cuts[shape] for shape in shapes]) % tuple(letters)
        return filled.split(), [counts[shape] for shape in shapes]

    def _shapes(self, pieces: Sequence[str]) -> tuple[list[str], list[str]]:
        """Return each piece with LETTER for each run of letters, and these runs of all pieces.

        Rules look at letters only beside an apostrophe and in contractions: such pieces stay as they are.
        """
        words = set(_LETTERS.findall("\n".join(pieces)))
        contracted = [word for word in words if self._contractions.search(f" {word} ")]
        looked_at = re.compile("|".join(["'", *contracted]))
        text = "\n".join(["" if looked_at.search(piece) else piece for piece in pieces])
        shapes = zip(_LETTERS.sub(LETTER, text).split("\n"), pieces, strict=True)
        return [shape or VERBATIM + piece for shape, piece in shapes], _LETTERS.findall(text)

    def _cut_all(self, pieces: Sequence[str]) -> list[Tokens]:
        found: list[Tokens] = [[]] * len(pieces)
        places = iter([place for place, piece in enumerate(pieces) if MARK not in piece])
        while some := list(islice(places, TOGETHER)):
            tokens = self._cut(f"{MARK} {f' {MARK} '.join([pieces[k] for k in some])} {MARK}")
            begin = 1
            for place in some:
                end = tokens.index(MARK, begin)
                found[place] = tokens[begin:end]
                begin = end + 1
        for place, piece in enumerate(pieces):
            if MARK in piece:
                found[place] = self._marked(piece)
        return found

    def _marked(self, piece: str) -> Tokens:
        piece = piece.replace(GAP, " ")
        if piece.startswith(WHOLE):
            return self._cut(piece.removeprefix(WHOLE))
        tokens = self._cut(piece)
        return tokens[1:] if piece.startswith(MARK) else tokens[:-1]

    def __reduce__(self) -> tuple[type[TreebankPieces], tuple[()]]:
        return TreebankPieces, ()


def _begin(piece: str) -> str:
    return piece + FIRST if piece.startswith(QUOTES) else piece


def _end(piece: str) -> str:
    return piece if piece.isalpha() else LAST + piece
