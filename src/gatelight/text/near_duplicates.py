"""Texts that are alike, by MinHash over pairs of words.

Likeness is the Jaccard index of two texts' sets of neighbouring words. 128 minima of hashed pairs in 32 bands
of four (Broder 1997; Leskovec, Rajaraman and Ullman 2014, chapter 3) bring together what may be alike: of
texts at 0.7 all but 2 in 10,000, of texts at 0.6 all but 12 in 1,000, of texts at 0.05 hardly any. What is
brought together is then compared exactly. Legend: B texts, N tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

BANDS, ROWS = 32, 4
AT_ONCE = 1 << 18  # tokens
LEAST_WORDS = 3  # shorter texts are alike by chance
MOST_NEIGHBOURS = 8  # a text is compared with so many of a band's bucket, or a bucket of n would cost n²

Numbers = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.int32]
Keys = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Sketch:
    """What is kept of B texts: band keys uint32 [B, 32], words int32 [B], the words' own hash uint64 [B]."""

    keys: Keys
    words: npt.NDArray[np.int32]
    sequence: npt.NDArray[np.uint64]


def sketch(tokens: Tokens, lengths: Numbers, is_word: npt.NDArray[np.bool_]) -> Sketch:
    """Sketch B texts from their tokens' numbers int32 [N], text after text; `is_word` bool [types]."""
    n = len(lengths)
    made = Sketch(np.zeros((n, BANDS), np.uint32), np.zeros(n, np.int32), np.zeros(n, np.uint64))
    ends = np.cumsum(lengths)
    first, begin = 0, 0
    while first < n:  # so many texts at a time that what is computed of them stays small
        last = max(first + 1, int(np.searchsorted(ends, begin + AT_ONCE, "right")))
        some, end = slice(first, last), int(ends[last - 1])
        of_text = np.repeat(np.arange(last - first), lengths[some])
        chosen = is_word[tokens[begin:end]]
        words, of_text = tokens[begin:end][chosen].astype(np.uint32), of_text[chosen]
        made.words[some] = np.bincount(of_text, minlength=last - first)
        made.sequence[some] = _sequences(words, made.words[some])
        same = of_text[1:] == of_text[:-1]
        pairs = _mixed((_mixed(words[:-1]) * np.uint32(0x9E3779B1) ^ _mixed(words[1:]))[same])
        made.keys[some] = _keys(pairs, of_text[1:][same], last - first)
        first, begin = last, end
    return made


def _sequences(words: Keys, counts: npt.NDArray[np.int32]) -> npt.NDArray[np.uint64]:
    """Hash each text's words in their order: the sum of mixed words times powers of an odd number."""
    before = np.concatenate([[0], np.cumsum(counts)])
    place = np.arange(len(words)) - np.repeat(before[:-1], counts)
    powers = np.cumprod(np.full(int(counts.max(initial=0)) + 1, 0x9E3779B97F4A7C15, np.uint64))
    terms = (_mixed(words).astype(np.uint64) + np.uint64(1)) * powers[place]
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])
    return np.asarray(sums[before[1:]] - sums[before[:-1]])


def _keys(pairs: Keys, of_text: Numbers, n: int) -> Keys:
    """Return the band keys uint32 [n, BANDS] of texts whose hashed pairs stand text after text."""
    present, starts = np.unique(of_text, return_index=True)
    keys = np.tile(np.arange(BANDS, dtype=np.uint32), (n, 1))
    smallest = np.full(n, 0xFFFFFFFF, np.uint32)
    for k, seed in enumerate(_SEEDS):
        x = (pairs ^ seed) * np.uint32(0x9E3779B1)
        x ^= x >> np.uint32(15)
        if len(present):
            smallest[present] = np.minimum.reduceat(x, starts)
        band = keys[:, k // ROWS]
        band[:] = _mixed(band * np.uint32(0x9E3779B1) ^ smallest)
    return keys


def _mixed(x: Keys) -> Keys:
    """Murmur3's last step: every bit of x moves every bit of the answer."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x85EBCA6B)
    x ^= x >> np.uint32(13)
    x = x * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


def candidates(keys: Keys, eligible: npt.NDArray[np.bool_]) -> Numbers:
    """Return pairs of eligible texts that share a band, int64 [pairs, 2], the smaller number first."""
    rows = np.flatnonzero(eligible)
    found = [np.zeros(0, np.int64)]
    n = len(keys)
    for band in range(BANDS):
        column = keys[rows, band]
        order = np.argsort(column, kind="stable")
        column, placed = column[order], rows[order]
        for ahead in range(1, MOST_NEIGHBOURS + 1):
            same = np.flatnonzero(column[:-ahead] == column[ahead:])
            if not len(same):
                break
            found.append(np.unique(placed[same] * n + placed[same + ahead]))
    codes = np.unique(np.concatenate(found))
    return np.stack([codes // n, codes % n], axis=1)


def likeness(
    pairs: Numbers, tokens_of: Callable[[int], Tokens], is_word: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return the exact Jaccard index of each pair of texts, float64 [pairs]; sorted pairs are quickest."""
    out = np.zeros(len(pairs))
    left, left_pairs = -1, np.zeros(0, np.int64)
    for row, (one, other) in enumerate(pairs.tolist()):
        if one != left:
            left, left_pairs = one, word_pairs(tokens_of(one), is_word)
        right_pairs = word_pairs(tokens_of(other), is_word)
        both = len(np.intersect1d(left_pairs, right_pairs, assume_unique=True))
        out[row] = both / max(len(left_pairs) + len(right_pairs) - both, 1)
    return out


def word_pairs(tokens: Tokens, is_word: npt.NDArray[np.bool_]) -> Numbers:
    """Return a text's distinct pairs of neighbouring words as sorted numbers; signs are skipped."""
    words = tokens[is_word[tokens]].astype(np.int64)
    return np.unique((words[:-1] << 32) | words[1:])


_SEEDS: Keys = np.random.default_rng(0).integers(0, 1 << 32, BANDS * ROWS, dtype=np.uint32)
