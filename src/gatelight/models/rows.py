"""Ids to rows of an array, once per distinct id of a batch; knows arrays only, no torch and no words.

Legend: N packed rows, V vocabulary, K subwords, U distinct ids of a batch, D row size.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.errors import DataError
from gatelight.models.subwords import Subwords

PAD = 0
UNKNOWN = 1

Ids = NDArray[np.int32]


@compiled
def number_distinct(ids: Ids, marker: Ids, distinct: NDArray[np.int64], number: Ids) -> int:
    """ids[N] → how many are distinct; fills distinct[: that] in order of appearance and number[N].

    marker[V] must be -1 throughout and is left so. An id not in 0 .. V - 1 returns -1 - its place.
    """
    found = 0
    wrong = 0
    for place in range(ids.shape[0]):
        token = ids[place]
        if token < 0 or token >= marker.shape[0]:
            wrong = -1 - place
            break
        if marker[token] < 0:
            marker[token] = found
            distinct[found] = token
            found += 1
        number[place] = marker[token]
    for place in range(found):
        marker[distinct[place]] = -1
    return wrong if wrong < 0 else found


class DistinctIds:
    """Finds the distinct ids of a batch with a scratch array of V that is touched at the batch's ids only."""

    def __init__(self, vocabulary_size: int) -> None:
        self.vocabulary_size = vocabulary_size
        self._marker: Ids | None = None
        self._lock = threading.Lock()

    def __call__(self, ids: Ids, stop: int | None = None) -> tuple[NDArray[np.int64], Ids]:
        """ids int32 [N] → (distinct int64 [U], number int32 [N]) with ids == distinct[number].

        Raises DataError for an id that is negative, or not below `stop` (None: the vocabulary's size).
        """
        stop = self.vocabulary_size if stop is None else stop
        distinct = np.empty(min(len(ids), stop), np.int64)
        number = np.empty(len(ids), np.int32)
        with self._lock:
            if self._marker is None or len(self._marker) < stop:
                self._marker = np.full(stop, -1, np.int32)
            found = number_distinct(ids, self._marker[:stop], distinct, number)
        if found < 0:
            raise DataError(
                f"id {int(ids[-1 - found])} is outside of the vocabulary: expected 0 to {stop - 1}; encode "
                "the texts with the vocabulary of this model"
            )
        return distinct[:found], number

    def __getstate__(self) -> int:
        return self.vocabulary_size  # neither locks nor scratch are copied or pickled

    def __setstate__(self, vocabulary_size: int) -> None:
        DistinctIds.__init__(self, vocabulary_size)


def lists_of_rows(
    distinct: NDArray[np.int64], subwords: Subwords | None, size: int, distinct_subwords: DistinctIds
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Ids]:
    """Distinct ids [U] → (known, parts, counts, numbers): as a mean of which rows each of them is read.

    The rows are those of the table [size + K, D] at `known`, then at `parts`; the list of the k-th id holds
    counts[k] numbers of them, list after list in `numbers`: for an id below `size` its own row alone. Raises
    DataError for an id that is neither such a one nor one of `subwords`.
    """
    own = distinct < size
    known, spelled = distinct[own], distinct[~own]
    counts = np.ones(len(distinct), np.int64)
    parts = np.zeros(0, np.int64)
    used = np.zeros(0, np.int32)
    if subwords is not None and len(spelled):
        if spelled.min() < subwords.first:
            raise DataError(
                f"id {spelled.min()} is neither one of the vocabulary nor one of the subwords, "
                f"{subwords.first} to {subwords.stop - 1}"
            )
        counts[~own], lists = subwords.lists(spelled)
        parts, used = distinct_subwords(lists)
        parts += size
    numbers = np.empty(int(counts.sum()), np.int32)
    of_known = np.repeat(own, counts)
    numbers[of_known] = np.arange(len(known))
    numbers[~of_known] = used + len(known)
    return known, parts, counts, numbers
