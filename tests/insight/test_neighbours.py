"""Neighbours and maps against all distances, a decomposition and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from gatelight.errors import DataError
from gatelight.insight.neighbours import Sample, nearest, neighbourhood, principal_plane

TOLERANCE = 1e-9  # float64, sums of some numbers in another order


def vectors(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 7)).astype(np.float32)


def test_the_nearest_are_those_of_the_distances() -> None:
    """A cosine taken for a distance, or rows of another query, would name the farthest."""
    queries, items = vectors(4, 1), vectors(40)
    cosines, rows = nearest(queries, items, 5)
    distances = cdist(queries, items, "cosine")
    assert rows.tolist() == np.argsort(distances)[:, :5].tolist()
    np.testing.assert_allclose(cosines, 1 - np.sort(distances)[:, :5], atol=1e-6)


def test_equal_ones_come_in_their_order_and_zeros_are_near_to_nothing() -> None:
    """A text without words has no direction: dividing by its length would make every cosine NaN."""
    queries = np.array([[1.0, 0.0], [0.0, 0.0]])
    items = np.array([[2.0, 0.0], [0.0, 0.0], [5.0, 0.0], [-1.0, 0.0]])
    cosines, rows = nearest(queries, items, 9)
    assert rows.tolist() == [[0, 2, 1, 3], [0, 1, 2, 3]]
    np.testing.assert_allclose(cosines, [[1, 1, 0, -1], [0, 0, 0, 0]], atol=1e-12)


def test_a_map_by_pca_is_that_of_the_decomposition() -> None:
    """Directions of less variance, or without the mean taken off, would show less than could be seen."""
    items = vectors(50, 3) * [1, 2, 9, 1, 5, 1, 1] + 100
    points, explained = principal_plane(items)
    wide = items.astype(np.float64) - items.astype(np.float64).mean(axis=0)
    left, values, _ = np.linalg.svd(wide, full_matrices=False)
    np.testing.assert_allclose(np.abs(points), np.abs(left[:, :2] * values[:2]), rtol=1e-6)
    assert explained == pytest.approx((values[:2] ** 2).sum() / (values**2).sum(), abs=TOLERANCE)
    assert (points.max(axis=0) > -points.min(axis=0)).all()
    assert (principal_plane(-items)[0].max(axis=0) > 0).all()


def test_equal_vectors_make_a_map_of_one_place_and_two_make_none() -> None:
    """A model that tells nothing apart is a finding, not a crash."""
    points, explained = principal_plane(np.ones((4, 1)))
    assert (points == 0).all()
    assert explained == 0
    with pytest.raises(DataError, match="3 texts or more, there are 2"):
        principal_plane(vectors(2))


def test_every_text_is_as_likely_to_be_drawn() -> None:
    """A page of the first thousand of a sorted file would show one label."""
    times = np.zeros(20)
    for seed in range(600):
        sample = Sample(5, seed)
        for begin in (0, 7, 14):
            ids = [str(k) for k in range(begin, min(begin + 7, 20))]
            sample.add(np.zeros((len(ids), 2), np.float32), ids, ids, ids)
        kept = [int(one) for one in sample.columns()[1]]
        assert kept == sorted(kept)
        assert len(set(kept)) == 5
        times[kept] += 1
    assert sample.seen == 20
    # 600 draws of a quarter: a standard deviation of 10.6, and one in a million is farther than five.
    assert np.abs(times - 150).max() < 53


def test_what_is_said_of_neighbours_is_counted() -> None:
    """Two of three "a" have an "a" beside them, and the "b" has none."""
    angles = np.radians([0, 5, 90, 80, 180])
    sample = Sample(9)
    labels = ["a", "a", "a", "b", None]
    items = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    sample.add(items, list("12345"), labels, ["x", "y", "z", "u" * 900, "\x07"])
    found = neighbourhood(sample)
    assert found.kinds == ["a", "b", "no label"]
    rates = {one.label: (one.texts, one.rate, one.chance) for one in found.agreement}
    assert rates == {"a": (3, pytest.approx(2 / 3), 0.5), "b": (1, 0.0, 0.0), "no label": (1, 0.0, 0.0)}
    assert [text for text, _ in found.near] == [0, 3, 4, 1]
    assert [other for _, other in found.near[0][1]] == [1, 3, 2]
    assert found.near[1][1][0] == (pytest.approx(np.cos(np.radians(10)), abs=1e-6), 2)
    assert len(found.quotes[3].text) < 200
    assert "\x07" not in found.quotes[4].text
