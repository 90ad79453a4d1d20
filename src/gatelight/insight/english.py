"""English words that error analysis asks for: negations and contrasts."""

from __future__ import annotations


def _words(listed: str) -> list[str]:
    return listed.split()


_CONTRACTED = _words(
    """don't doesn't didn't isn't aren't wasn't weren't won't wouldn't can't couldn't shouldn't mustn't
    haven't hasn't hadn't ain't needn't"""
)
_BARE = [word.replace("'", "") for word in _CONTRACTED if word != "won't"]
_OTHER_NEGATIONS = (
    """not no never nothing nobody none neither nor nowhere cannot without hardly barely scarcely"""
)
# As people write them, as a tokenizer that drops the apostrophe leaves them, and as the Treebank cuts them.
NEGATIONS = frozenset([*_CONTRACTED, *_BARE, "n't", *_words(_OTHER_NEGATIONS)])
CONTRASTS = frozenset(
    _words("but although though however yet despite whereas nevertheless nonetheless"),
)
