"""Vectors of hundreds of numbers as points on a page; knows neither texts nor colours."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from gatelight.errors import DataError, MissingExtraError

MAPS = ("pca", "umap")
LEAST = 3  # vectors; fewer make no map


@dataclass(frozen=True)
class FlatMap:
    """Points [n, 2], how they came about ("pca", "umap"), and of PCA the share of the variance they show."""

    how: str
    points: NDArray[np.float64]
    explained: float | None = None


def flat_map(vectors: NDArray[Any], how: str = "pca", seed: int = 0) -> FlatMap:
    """Lay vectors [n, F] out in two dimensions; the same vectors and seed give the same points.

    "pca": the two directions in which they differ most, each turned so that its farthest point is positive.
    "umap": neighbours stay neighbours, by cosine (McInnes et al. 2018, arXiv:1802.03426). Raises DataError
    for fewer than `LEAST` vectors, MissingExtraError without the package umap-learn.
    """
    check_map(how)
    wide = np.asarray(vectors, np.float64)
    if len(wide) < LEAST:
        raise DataError(f"a map needs {LEAST} texts or more, there are {len(wide)}")
    if how == "umap":
        return FlatMap(how, _umap(wide, seed))
    if wide.shape[1] == 1:
        wide = np.pad(wide, ((0, 0), (0, 1)))
    found = PCA(n_components=2, svd_solver="full")
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        warnings.simplefilter("ignore")  # where all vectors are equal there is no variance to divide by
        points = found.fit_transform(wide)
    farthest = points[np.abs(points).argmax(axis=0), np.arange(2)]
    explained = float(np.nan_to_num(found.explained_variance_ratio_).sum())
    return FlatMap(how, points * np.where(farthest < 0, -1, 1), explained)


def check_map(how: str) -> None:
    """Raise DataError for a map that there is not, MissingExtraError where its package is not installed."""
    if how not in MAPS:
        raise DataError(f"map is {how!r}; expected one of {', '.join(MAPS)}")
    if how == "umap" and find_spec("umap") is None:
        raise MissingExtraError("umap-learn", "umap", "a map by UMAP")


def _umap(vectors: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    from umap import UMAP

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed means one thread, and that there are few vectors
        layout = UMAP(
            n_neighbors=min(15, len(vectors) - 1),
            metric="cosine",
            random_state=seed,
            init="spectral" if len(vectors) > 10 else "random",
        )
        return np.asarray(layout.fit_transform(vectors), np.float64)
