"""Words to the hashed character n-grams that they are made of.

The n-grams, their hash and their buckets are fastText's (Bojanowski et al. 2017, arXiv:1607.04606; its
`Dictionary::computeSubwords`): 3 to 6 characters of the word between < and >, FNV-1a over UTF-8.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled

SHORTEST, LONGEST = 3, 6
MOST_CHARACTERS = 64  # of a longer word only the beginning is read: a text of one endless word costs little


def subwords(words: Sequence[str], buckets: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """W words → (starts int64 [W + 1], rows int32 [P]): word k has rows[starts[k] : starts[k + 1]].

    Each word has one bucket at least; each bucket is a number from 0 to `buckets` − 1.
    """
    marked = [f"<{word[:MOST_CHARACTERS]}>".encode("utf-8", "surrogatepass") for word in words]
    letters = np.frombuffer(b"".join(marked), np.uint8)
    ends = np.cumsum([0, *map(len, marked)])
    starts = np.zeros(len(words) + 1, np.int64)
    nothing = np.zeros(0, np.int32)
    _hashed(letters, ends, np.uint32(buckets), starts, nothing, False)
    rows = np.empty(starts[-1], np.int32)
    _hashed(letters, ends, np.uint32(buckets), starts, rows, True)
    return starts, rows


@compiled
def _hashed(
    letters: NDArray[np.uint8], ends: NDArray[np.int64], buckets: Any, starts: Any, rows: Any, fill: bool
) -> None:
    """Set starts, or with `fill` the rows, of the words letters[ends[k] : ends[k + 1]]."""
    found = 0
    for word in range(len(ends) - 1):
        stop = ends[word + 1]
        for begin in range(ends[word], stop):
            if letters[begin] & 0xC0 == 0x80:  # inside of a character
                continue
            at = begin
            value = np.uint32(2166136261)
            for characters in range(1, LONGEST + 1):
                if at >= stop:
                    break
                first = True
                while at < stop and (first or letters[at] & 0xC0 == 0x80):
                    # fastText's bytes are signed: those above 127 set the upper bits too.
                    value = np.uint32((value ^ np.uint32(np.int8(letters[at]))) * np.uint32(16777619))
                    at += 1
                    first = False
                if characters >= SHORTEST:
                    if fill:
                        rows[found] = value % buckets
                    found += 1
        starts[word + 1] = found
