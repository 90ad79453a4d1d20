"""Words to the letters that they are spelled with: bytes of UTF-8 between two ends; knows no vectors.

Bytes, so that no letter of any script is unknown; the widest filter that reads them sees two Chinese ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BEGIN, END = 256, 257
LETTERS = 258
MOST_BYTES = 64  # a longer word is spelled by its beginning: a text of one endless word costs little


def letters(words: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """W words → (starts int64 [W + 1], rows int32 [P]): word k is rows[starts[k] : starts[k + 1]].

    Each is BEGIN, its bytes (those of a lone surrogate by "surrogatepass"), END.
    """
    spelled = [word[:MOST_BYTES].encode("utf-8", "surrogatepass")[:MOST_BYTES] for word in words]
    starts = np.cumsum([0, *(len(word) + 2 for word in spelled)], dtype=np.int64)
    rows = np.empty(int(starts[-1]), np.int32)
    inner = np.ones(len(rows), np.bool_)
    inner[starts[:-1]] = inner[starts[1:] - 1] = False
    rows[starts[:-1]], rows[starts[1:] - 1] = BEGIN, END
    rows[inner] = np.frombuffer(b"".join(spelled), np.uint8)
    return starts, rows
