"""NLTK's Treebank rules, piece by piece, so that equal pieces of texts need to be cut once.

Knows white space and NLTK's tokenizer. Its rules see a piece between two spaces and nothing beyond; they
also see quotes that begin a text and signs that end it, so those pieces are told apart from the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import islice

from gatelight.errors import MissingExtraError

MARK = "\ue000"
"""A code point for private use, which no rule touches, between pieces that are cut together."""

WHOLE, FIRST, LAST = 2 * MARK, f" {MARK}", f"{MARK} "
"""What a piece begins or ends with that is a whole text, the first one of a text, or its last."""

QUOTES = ('"', "''")
LETTER = "x"
VERBATIM = "\n"  # before a piece whose letters count; no piece holds one
_LETTERS = re.compile(r"[^\W\d_]+")
TOGETHER = 4096  # pieces that are cut by one call

Tokens = list[str]


class TreebankPieces:
    """Texts in pieces, and pieces as NLTK's TreebankWordTokenizer cuts them."""

    def __init__(self) -> None:
        """Raises MissingExtraError without NLTK."""
        try:
            from nltk.tokenize.treebank import TreebankWordTokenizer
        except ImportError as error:
            raise MissingExtraError("nltk", "treebank", "the tokenizer 'treebank'") from error
        self._cut: Callable[[str], Tokens] = TreebankWordTokenizer().tokenize
        rules = TreebankWordTokenizer.CONTRACTIONS2 + TreebankWordTokenizer.CONTRACTIONS3
        self._contractions = re.compile("|".join(rule.pattern.removeprefix("(?i)") for rule in rules), re.I)

    def pieces(self, text: str) -> list[str]:
        """Return the pieces of a text, whose white space counts as single spaces."""
        pieces = text.split()
        if MARK in text or len(pieces) == 1:
            return [WHOLE + " ".join(pieces)]
        if pieces and pieces[0].startswith(QUOTES):
            pieces[0] += FIRST
        if pieces and not pieces[-1].isalpha():
            pieces[-1] = LAST + pieces[-1]
        return pieces

    def cut(self, pieces: Sequence[str]) -> list[Tokens]:
        """Return the tokens of each piece; of many in a fraction of the time that each alone takes."""
        if not pieces:
            return []
        shapes, letters = self._shapes(pieces)
        distinct = list(dict.fromkeys(shapes))
        found = self._cut_all([shape.removeprefix(VERBATIM) for shape in distinct])
        cuts = {}
        for shape, tokens in zip(distinct, found, strict=True):
            pattern = " ".join(tokens).replace("%", "%%")
            cuts[shape] = pattern if shape.startswith(VERBATIM) else pattern.replace(LETTER, "%s")
        filled = "\n".join([cuts[shape] for shape in shapes]) % tuple(letters)
        return [tokens.split() for tokens in filled.split("\n")]

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
        if piece.startswith(WHOLE):
            return self._cut(piece.removeprefix(WHOLE))
        tokens = self._cut(piece)
        return tokens[1:] if piece.startswith(LAST) else tokens[:-1]

    def __reduce__(self) -> tuple[type[TreebankPieces], tuple[()]]:
        return TreebankPieces, ()
