"""The Penn Treebank's word rules, as NLTK's TreebankWordTokenizer applies them, token for token.

The patterns are NLTK's (Apache-2.0; after Robert MacIntyre's sed script), with look-behinds where a pattern
began with any character: a third of the time, and no import of NLTK, which takes a second.
"""

from __future__ import annotations

import re

_RULES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r'^"', "``"),
        (r"``", " `` "),
        (r"(?<=[ \(\[{<])(\"|'{2})", " `` "),
        (r"([:,])([^\d])", r" \1 \2"),
        (r"([:,])$", r" \1 "),
        (r"\.\.\.", " ... "),
        (r"[;@#$%&]", r" \g<0> "),
        (r"([^\.])(\.)([\]\)}>\"']*)\s*$", r"\1 \2\3 "),  # the last full stop
        (r"[?!]", r" \g<0> "),
        (r"(?<=[^'])' ", " ' "),
        (r"[\]\[\(\)\{\}\<\>]", r" \g<0> "),
        (r"--", " -- "),
        (r"$", " "),
        (r"''", " '' "),
        (r'"', " '' "),
        (r"(?<=[^' ])('[sSmMdD]|') ", r" \1 "),
        (r"(?<=[^' ])('(?:ll|LL|re|RE|ve|VE)|n't|N'T) ", r" \1 "),
    )
]

_CONTRACTIONS = [
    (word, re.compile(rf"(?i){before}({first})({word[len(first) :]}){after}"))
    for word, first, before, after in (
        ("cannot", "can", r"\b", r"\b"),
        ("d'ye", "d", r"\b", r"\b"),
        ("gimme", "gim", r"\b", r"\b"),
        ("gonna", "gon", r"\b", r"\b"),
        ("gotta", "got", r"\b", r"\b"),
        ("lemme", "lem", r"\b", r"\b"),
        ("more'n", "more", r"\b", r"\b"),
        ("wanna", "wan", r"\b", r"(?=\s)"),
        ("'tis", "'t", " ", r"\b"),
        ("'twas", "'t", " ", r"\b"),
    )
]


def treebank_tokens(text: str) -> list[str]:
    """Return the tokens of `text`: "don't" is "do", "n't", "film's" is "film", "'s"."""
    text = " ".join(text.split())  # which keeps the rules, written for single spaces, linear
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    text = f" {text}"
    lowered = text.lower()
    for word, pattern in _CONTRACTIONS:
        if word in lowered:
            text = pattern.sub(r" \1 \2 ", text)
    return text.split()
