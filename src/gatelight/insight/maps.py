"""Vectors of hundreds of numbers as points on a page, by principal component analysis."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from gatelight.errors import DataError

LEAST = 3  # vectors; fewer make no map


@dataclass(frozen=True)
class FlatMap:
    """Points [n, 2], and the fraction of the variance that they show."""

    points: NDArray[np.float64]
    explained: float


def flat_map(vectors: NDArray[Any]) -> FlatMap:
    """Lay vectors [n, F] out in the two directions in which they differ most.

    Each direction is turned so that its farthest point is positive. Raises DataError for fewer than `LEAST`
    vectors.
    """
    wide = np.asarray(vectors, np.float64)
    if len(wide) < LEAST:
        raise DataError(f"a map needs {LEAST} texts or more, there are {len(wide)}")
    if wide.shape[1] == 1:
        wide = np.pad(wide, ((0, 0), (0, 1)))
    found = PCA(n_components=2, svd_solver="full")
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")  # where all vectors are equal there is no variance to divide by
        points = found.fit_transform(wide)
    farthest = points[np.abs(points).argmax(axis=0), np.arange(2)]
    explained = float(np.nan_to_num(found.explained_variance_ratio_).sum())
    return FlatMap(points * np.where(farthest < 0, -1, 1), explained)
