"""Texts that are alike, by MinHash over pairs of words. Knows token numbers, nothing of texts or labels.

Likeness is the Jaccard index of two texts' sets of neighbouring words. 128 minima of hashed pairs in 32 bands
of four (Broder 1997; Leskovec, Rajaraman and Ullman 2014, chapter 3) bring together what may be alike: of
texts at 0.7 all but 2 in 10,000, of texts at 0.6 all but 12 in 1,000, of texts at 0.05 hardly any. What is
brought together is then compared exactly. Legend: B texts, N tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gatelight.compiled import compiled

BANDS, ROWS = 32, 4
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
    made = Sketch(
        np.zeros((len(lengths), BANDS), np.uint32),
        np.zeros(len(lengths), np.int32),
        np.zeros(len(lengths), np.uint64),
    )
    _sketch(tokens, lengths, is_word, _SEEDS, made.keys, made.words, made.sequence)
    return made


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
        out[row] = jaccard(left_pairs, word_pairs(tokens_of(other), is_word))
    return out


def word_pairs(tokens: Tokens, is_word: npt.NDArray[np.bool_]) -> Numbers:
    """Return a text's distinct pairs of neighbouring words as sorted numbers; signs are skipped."""
    words = tokens[is_word[tokens]].astype(np.int64)
    return np.unique((words[:-1] << 32) | words[1:])


def jaccard(one: Numbers, other: Numbers) -> float:
    """Return |A ∩ B| / |A ∪ B| of two sorted sets; 0 where both are empty."""
    both = _shared(one, other)
    either = len(one) + len(other) - both
    return both / either if either else 0.0


@compiled
def _shared(one: Numbers, other: Numbers) -> int:
    i = j = both = 0
    while i < len(one) and j < len(other):
        if one[i] == other[j]:
            both += 1
            i += 1
            j += 1
        elif one[i] < other[j]:
            i += 1
        else:
            j += 1
    return both


@compiled
def _mixed(x: Any) -> Any:
    """Murmur3's last step: every bit of x moves every bit of the answer."""
    x = np.uint32(x)
    x ^= x >> np.uint32(16)
    x = np.uint32(x * np.uint32(0x85EBCA6B))
    x ^= x >> np.uint32(13)
    x = np.uint32(x * np.uint32(0xC2B2AE35))
    return np.uint32(x ^ (x >> np.uint32(16)))


@compiled
def _sketch(
    tokens: Tokens,
    lengths: Numbers,
    is_word: npt.NDArray[np.bool_],
    seeds: Keys,
    keys: Keys,
    words: npt.NDArray[np.int32],
    sequence: npt.NDArray[np.uint64],
) -> None:
    smallest = np.empty(len(seeds), np.uint32)
    place = 0
    for text in range(len(lengths)):
        smallest[:] = np.uint32(0xFFFFFFFF)
        before = np.uint32(0)
        whole = np.uint64(0xCBF29CE484222325)
        count = 0
        for _ in range(lengths[text]):
            token = tokens[place]
            place += 1
            if not is_word[token]:
                continue
            now = _mixed(token)
            count += 1
            whole = np.uint64((whole ^ np.uint64(token)) * np.uint64(0x100000001B3))
            whole ^= whole >> np.uint64(29)
            if count > 1:
                pair = _mixed(np.uint32(before * np.uint32(0x9E3779B1)) ^ now)
                for k in range(len(seeds)):
                    x = np.uint32((pair ^ seeds[k]) * np.uint32(0x9E3779B1))
                    x ^= x >> np.uint32(15)
                    smallest[k] = min(smallest[k], x)
            before = now
        words[text] = count
        sequence[text] = whole
        for band in range(keys.shape[1]):
            key = np.uint32(band)
            for row in range(ROWS):
                key = _mixed(np.uint32(key * np.uint32(0x9E3779B1)) ^ smallest[band * ROWS + row])
            keys[text, band] = key


_SEEDS: Keys = np.random.default_rng(0).integers(0, 1 << 32, BANDS * ROWS, dtype=np.uint32)
