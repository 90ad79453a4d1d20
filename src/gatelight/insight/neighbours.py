"""Which vectors lie near each other, by the cosine of the angle between them; knows no text and no model.

Legend: n vectors, q queries, F numbers of a vector. A vector of zeros has cosine 0 with everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
AT_ONCE = 1024  # rows of similarities in memory


def unit(vectors: NDArray[Any]) -> Floats:
    """Return the vectors [n, F] with a length of 1 each; zeros stay zeros."""
    wide = np.asarray(vectors, np.float64)
    lengths = np.sqrt((wide * wide).sum(axis=1, keepdims=True))
    return wide / np.where(lengths, lengths, 1)


class Nearest:
    """The `count` items nearest to each query, of any number that come block by block."""

    def __init__(self, queries: NDArray[Any], count: int) -> None:
        self._queries, self._count = unit(queries), count
        self._best: list[list[tuple[float, int, Any]]] = [[] for _ in self._queries]
        self._seen = 0

    def add(self, vectors: NDArray[Any], items: Sequence[Any]) -> None:
        """Take vectors [n, F] and what each stands for."""
        cosines = unit(vectors) @ self._queries.T
        for number, column in enumerate(cosines.T):
            order = np.argsort(-column, kind="stable")[: self._count]
            found = [(float(column[row]), self._seen + int(row), items[row]) for row in order]
            # Of equally near ones the first that came.
            merged = sorted([*self._best[number], *found], key=lambda one: (-one[0], one[1]))
            self._best[number] = merged[: self._count]
        self._seen += len(cosines)

    def found(self, query: int) -> list[tuple[float, Any]]:
        """Return (cosine, item) of the nearest ones to a query, the nearest first."""
        return [(cosine, item) for cosine, _, item in self._best[query]]


def nearest(vectors: NDArray[Any], among: NDArray[Any] | None = None) -> NDArray[np.int64]:
    """Return the place [n] of the nearest of `among` to each vector; None: of the other vectors."""
    others = unit(vectors if among is None else among)
    wanted = others if among is None else unit(vectors)
    places = []
    for begin in range(0, len(wanted), AT_ONCE):
        cosines = wanted[begin : begin + AT_ONCE] @ others.T
        if among is None:
            rows = np.arange(len(cosines))
            cosines[rows, begin + rows] = -np.inf
        places.append(cosines.argmax(axis=1))
    return np.concatenate([np.zeros(0, np.int64), *places])
