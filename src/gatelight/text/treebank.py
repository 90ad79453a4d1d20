"""NLTK's Treebank rules, piece by piece: each distinct piece of text is cut once and remembered.

Knows white space and NLTK's tokenizer. Its rules see a piece between two spaces and nothing beyond; they
also see quotes that begin a text and signs that end it, so those are cut as they stand there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from gatelight.errors import MissingExtraError

MOST_PIECES = 1 << 17
"""Pieces that are remembered, some 30 MB; then it is begun anew."""

MARK = "\ue000"
"""A code point for private use, which no rule touches, between pieces that are cut together."""

QUOTES = ('"', "''")

Tokens = list[str]


class TreebankPieces:
    """Cuts texts as NLTK's TreebankWordTokenizer does, several times as fast.

    May be used by several threads: what is remembered is added to, and never taken out.
    """

    def __init__(self) -> None:
        """Raises MissingExtraError without NLTK."""
        try:
            from nltk.tokenize.treebank import TreebankWordTokenizer
        except ImportError as error:
            raise MissingExtraError("nltk", "treebank", "the tokenizer 'treebank'") from error
        self._cut: Callable[[str], Tokens] = TreebankWordTokenizer().tokenize
        rules = TreebankWordTokenizer.CONTRACTIONS2 + TreebankWordTokenizer.CONTRACTIONS3
        self._contractions = re.compile("|".join(rule.pattern.removeprefix("(?i)") for rule in rules), re.I)
        self._known: dict[str, Tokens] = {}

    def tokens(self, texts: Sequence[str]) -> Iterator[Tokens]:
        """Yield the tokens of each text, whose white space counts as single spaces."""
        known = self._known
        if len(known) > MOST_PIECES:
            known = self._known = {}
        ready = []
        for text in texts:
            pieces = text.split()
            begin: Tokens = []
            end: Tokens = []
            if MARK in text:
                begin, pieces = self._cut(" ".join(pieces)), []
            if len(pieces) > 1 and pieces[0].startswith(QUOTES):
                begin = self._cut(f"{pieces.pop(0)} {MARK}")[:-1]
            if len(pieces) == 1 and not begin:
                end = self._cut(pieces.pop())
            elif pieces and not pieces[-1].isalpha():
                last = f"{MARK} {pieces.pop()}"
                if last not in known:
                    known[last] = self._cut(last)[1:]
                end = known[last]
            ready.append((begin, pieces, end))
        pieces_of_all = chain.from_iterable(pieces for _, pieces, _ in ready)
        self._learn([piece for piece in dict.fromkeys(pieces_of_all) if piece not in known], known)
        for begin, pieces, end in ready:
            yield [*begin, *chain.from_iterable(map(known.__getitem__, pieces)), *end]

    def _learn(self, pieces: Iterable[str], known: dict[str, Tokens]) -> None:
        mixed = []
        for piece in pieces:
            # No rule but those of contractions touches letters alone.
            if piece.isalpha() and not self._contractions.search(f" {piece} "):
                known[piece] = [piece]
            else:
                mixed.append(piece)
        if not mixed:
            return
        tokens = self._cut(f"{MARK} {f' {MARK} '.join(mixed)} {MARK}")
        begin = 1
        for piece in mixed:
            end = tokens.index(MARK, begin)
            known[piece] = tokens[begin:end]
            begin = end + 1

    def __reduce__(self) -> tuple[type[TreebankPieces], tuple[()]]:
        return TreebankPieces, ()  # what is remembered is quickly found again
