"""Texts by the vectors that a model keeps of them: nearest neighbours, a map, and whether near ones agree."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from gatelight.errors import DataError
from gatelight.estimators.evaluation import wilson_interval
from gatelight.insight.findings import Quote, quoted

UNLABELLED = "no label"
EXAMPLES, NEAR = 4, 3  # texts shown with their neighbours, and how many of these
FEWEST = 3  # texts; fewer make no map


def nearest(
    queries: NDArray[Any], vectors: NDArray[Any], count: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return cosines [q, count] and rows [q, count] of the vectors [n, F] nearest to each query [q, F].

    A vector of zeros has cosine 0 with everything. Of equally near ones the first comes first.
    """
    index = NearestNeighbors(n_neighbors=min(count, len(vectors)), metric="cosine", algorithm="brute")
    distances, rows = index.fit(vectors.astype(np.float64)).kneighbors(queries.astype(np.float64))
    order = np.lexsort((rows, distances))
    return 1 - np.take_along_axis(distances, order, axis=1), np.take_along_axis(rows, order, axis=1)


class Sample:
    """At most `most` of the texts that come, each as likely as any other; the seed fixes which."""

    def __init__(self, most: int, seed: int = 0) -> None:
        self._most, self._random = most, np.random.default_rng(seed)
        self._kept: list[tuple[int, NDArray[np.float32], str, str | None, str]] = []
        self.seen = 0

    def add(
        self,
        vectors: NDArray[np.float32],
        ids: Sequence[str],
        labels: Sequence[str | None],
        texts: Sequence[str],
    ) -> None:
        """Take vectors [n, F], and the id, label and text of each."""
        for vector, *named in zip(vectors, ids, labels, texts, strict=True):
            place = self.seen if self.seen < self._most else int(self._random.integers(self.seen + 1))
            if place < self._most:
                self._kept[place : place + 1] = [(self.seen, vector.copy(), *named)]
            self.seen += 1

    def columns(self) -> tuple[NDArray[np.float32], list[str], list[str | None], list[str]]:
        """Return vectors [n, F], ids, labels and texts of those that are kept, in their order."""
        if not self._kept:
            raise DataError("there are no texts to be looked at; give some")
        _, vectors, ids, labels, texts = zip(*sorted(self._kept, key=lambda one: one[0]), strict=True)
        return np.stack(vectors), list(ids), list(labels), list(texts)


@dataclass(frozen=True)
class LabelAgreement:
    """Of the `texts` of a label: how many have a nearest neighbour of it too, and what chance would give."""

    label: str
    texts: int
    rate: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True)
class Neighbourhood:
    """`of` texts, of which n are shown: excerpts, the numbers of their labels in `kinds`, points [n, 2].

    The points lie in the two directions in which the vectors differ most (PCA), which show `explained` of the
    variance. `near`: some texts, each with its nearest neighbours as (cosine, number of the text).
    """

    of: int
    quotes: list[Quote]
    kinds: list[str]
    kind: NDArray[np.int64]
    points: NDArray[np.float64]
    explained: float
    agreement: list[LabelAgreement]
    near: list[tuple[int, list[tuple[float, int]]]]


def neighbourhood(sample: Sample) -> Neighbourhood:
    """Look at the vectors that were drawn; raises DataError where they are too few for a map."""
    vectors, ids, labels, texts = sample.columns()
    points, explained = principal_plane(vectors)
    named = [UNLABELLED if label is None else label for label in labels]
    kinds = [name for name, _ in Counter(named).most_common()]
    kind = np.array([kinds.index(name) for name in named])
    cosines, rows = nearest(vectors, vectors, NEAR + 2)
    others = [
        [(float(cosine), int(row)) for cosine, row in zip(*both, strict=True) if row != text][:NEAR]
        for text, both in enumerate(zip(cosines, rows, strict=True))
    ]
    same = np.array([kind[of[0][1]] for of in others]) == kind
    agreement = []
    for number, name in enumerate(kinds if len(kinds) > 1 else []):
        of = kind == number
        low, high = wilson_interval(int(same[of].sum()), int(of.sum()))
        chance = float((of.sum() - 1) / (len(kind) - 1))
        agreement.append(LabelAgreement(name, int(of.sum()), float(same[of].mean()), low, high, chance))
    firsts = np.unique(kind, return_index=True)[1].tolist()
    chosen = list(dict.fromkeys([*firsts, *range(len(kind))]))[:EXAMPLES]
    return Neighbourhood(
        of=sample.seen,
        quotes=[quoted(name, text) for name, text in zip(ids, texts, strict=True)],
        kinds=kinds,
        kind=kind,
        points=points,
        explained=explained,
        agreement=agreement,
        near=[(text, others[text]) for text in chosen],
    )


def principal_plane(vectors: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """Lay vectors [n, F] out as points [n, 2] by PCA; also the fraction of the variance that these show.

    Each direction is turned so that its farthest point is positive. DataError for fewer than 3 vectors.
    """
    if len(vectors) < FEWEST:
        raise DataError(f"a map needs {FEWEST} texts or more, there are {len(vectors)}")
    wide = vectors.astype(np.float64)
    if wide.shape[1] == 1:
        wide = np.pad(wide, ((0, 0), (0, 1)))
    found = PCA(n_components=2, svd_solver="full")
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")  # where all vectors are equal there is no variance to divide by
        points = found.fit_transform(wide)
    farthest = points[np.abs(points).argmax(axis=0), np.arange(2)]
    explained = float(np.nan_to_num(found.explained_variance_ratio_).sum())
    return points * np.where(farthest < 0, -1, 1), explained
