"""English words that turn a sentence into its opposite."""

from __future__ import annotations

_CONTRACTED = """don't doesn't didn't isn't aren't wasn't weren't won't wouldn't can't couldn't shouldn't
mustn't haven't hasn't hadn't ain't needn't"""
_OTHERS = """n't not no never nothing nobody none neither nor nowhere cannot without hardly barely scarcely
dont doesnt didnt isnt arent wasnt werent wouldnt cant couldnt shouldnt mustnt havent hasnt
hadnt aint neednt"""
# As people write them, as a tokenizer that drops the apostrophe leaves them, and as the Treebank cuts them.
NEGATIONS = frozenset([*_CONTRACTED.split(), *_OTHERS.split()])
