"""Kneser–Ney n-grams of ids: the model of what comes next to beat.

Chen & Goodman 1999, eq. 28, interpolated, with one discount for each order: counts at the highest order,
below it the number of different ids that an n-gram follows, and the uniform distribution under the unigrams.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.int64]

STREAM_BLOCK = 1 << 20  # ids looked up together, which bounds the memory


@dataclass(frozen=True)
class _Order:
    keys: Keys  # n-grams as numbers in base V, sorted; the last id is the lowest digit
    counts: NDArray[np.float64]
    contexts: Keys  # the same without the last id, sorted
    totals: NDArray[np.float64]  # of each context: the sum of its counts
    kinds: NDArray[np.float64]  # and the number of different ids that follow it
    discount: float


class KneserNey:
    """An n-gram model of a stream of ids; before its first id stands the id `begin`, as often as needed."""

    def __init__(
        self, stream: NDArray[np.int32], vocabulary_size: int, order: int, begin: int, discount: float = 0.0
    ) -> None:
        """Count; `discount` 0 estimates one for each order from its singletons.

        The order is lowered where n-grams of it cannot be numbered in 64 bits.
        """
        while vocabulary_size**order >= 2**63:
            order -= 1
        self.size, self.order, self.begin = vocabulary_size, order, begin
        self._orders: list[_Order] = []
        keys, counts = np.unique(self._grams(stream, order), return_counts=True)
        for n in range(order, 0, -1):
            self._orders.append(self._order(keys, counts.astype(np.float64), discount))
            if n > 1:
                keys, counts = np.unique(keys % vocabulary_size ** (n - 1), return_counts=True)

    def probabilities(self, stream: NDArray[np.int32]) -> NDArray[np.float64]:
        """Return the probability of each id of a stream given those before it, float64 [N]."""
        found = [
            self._block(stream, begin, min(begin + STREAM_BLOCK, len(stream)))
            for begin in range(0, len(stream), STREAM_BLOCK)
        ]
        return np.concatenate([np.zeros(0), *found])

    def nats(self, stream: NDArray[np.int32]) -> float:
        """Return the negative log-likelihood of stream[1:], each id given those before it."""
        return -math.fsum(np.log(self.probabilities(stream)[1:]).tolist())

    def _block(self, stream: NDArray[np.int32], begin: int, end: int) -> NDArray[np.float64]:
        first = max(0, begin - self.order + 1)
        keys = self._grams(stream[first:end], self.order)[begin - first :]
        if first < begin:  # whose contexts are whole
            keys = keys[: end - begin]
        fraction = np.full(len(keys), 1.0 / self.size)
        for n, counted in zip(range(1, self.order + 1), reversed(self._orders), strict=True):
            gram = keys % self.size**n
            own, there = _find(counted.keys, gram)
            context, known = _find(counted.contexts, gram // self.size)
            total = np.where(known, counted.totals[context], 1.0)
            left = np.maximum(np.where(there, counted.counts[own], 0.0) - counted.discount, 0.0) / total
            back = counted.discount * counted.kinds[context] / total
            fraction = np.where(known, left + back * fraction, fraction)
        return fraction

    def _grams(self, stream: NDArray[np.int32], order: int) -> Keys:
        """The n-gram that ends at each id, as a number."""
        padded = np.concatenate([np.full(order - 1, self.begin, np.int64), stream.astype(np.int64)])
        keys = np.zeros(len(stream), np.int64)
        for place in range(order):
            keys = keys * self.size + padded[place : place + len(stream)]
        return keys

    def _order(self, keys: Keys, counts: NDArray[np.float64], discount: float) -> _Order:
        contexts, starts, kinds = np.unique(keys // self.size, return_index=True, return_counts=True)
        totals = np.add.reduceat(counts, starts)
        if not discount:
            once, twice = float((counts == 1).sum()), float((counts == 2).sum())
            discount = once / (once + 2 * twice) if once and twice else 0.75
        return _Order(keys, counts, contexts, totals, kinds.astype(np.float64), discount)


def _find(sorted_keys: Keys, wanted: Keys) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    places = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    return places, sorted_keys[places] == wanted
