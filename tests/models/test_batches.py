"""An epoch shows every sequence once, in an order that the seed alone decides."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelight.errors import DataError
from gatelight.models import batches
from gatelight.models.batches import Sequences, like_lengths, plan_batches

LENGTHS = st.lists(st.integers(0, 30), min_size=1, max_size=400)


@given(LENGTHS, st.integers(1, 9), st.booleans(), st.integers(0, 3))
def test_each_sequence_comes_exactly_once(lengths: list[int], size: int, bucket: bool, epoch: int) -> None:
    """A sequence left out or doubled would bias training without any sign."""
    plan = plan_batches(np.array(lengths, dtype=np.int64), size, seed=3, epoch=epoch, bucket=bucket)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(lengths)))
    assert len(plan) == -(-len(lengths) // size)
    assert sum(len(batch) < size for batch in plan) <= 1


def test_order_depends_on_seed_and_epoch_alone() -> None:
    """A resumed run must meet the same batches, and another epoch others, whatever numpy's state."""
    lengths = np.random.default_rng(0).integers(0, 50, 500)

    def order(seed: int, epoch: int, bucket: bool) -> list[int]:
        return np.concatenate(plan_batches(lengths, 8, seed=seed, epoch=epoch, bucket=bucket)).tolist()

    for bucket in (False, True):
        first = order(1, 0, bucket)
        np.random.seed(99)
        assert order(1, 0, bucket) == first
        assert order(1, 1, bucket) != first
        assert order(2, 0, bucket) != first


def test_buckets_hold_like_lengths_in_random_order() -> None:
    """Without like lengths short texts wait for long ones; sorted ones would show all short texts first."""
    lengths = np.random.default_rng(1).integers(1, 400, 6400)
    spread = {
        bucket: np.mean(
            [np.ptp(lengths[b]) for b in plan_batches(lengths, 32, seed=0, epoch=0, bucket=bucket)]
        )
        for bucket in (False, True)
    }
    assert spread[True] < spread[False] / 10
    means = [lengths[b].mean() for b in plan_batches(lengths, 32, seed=0, epoch=0, bucket=True)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2


@settings(deadline=None)  # the first example compiles
@given(LENGTHS)
def test_take_equals_slices_joined(lengths: list[int]) -> None:
    """A token in the wrong text would train on nonsense; zero lengths must not shift the others."""
    rng = np.random.default_rng(len(lengths))
    ids = rng.integers(0, 1000, sum(lengths)).astype(np.int32)
    sequences = Sequences.of(ids, lengths)
    index = rng.integers(0, len(lengths), 7)
    parts = np.split(ids, np.cumsum(lengths)[:-1])
    taken, counts = sequences.take(index)
    assert taken.dtype == np.int32
    np.testing.assert_array_equal(taken, np.concatenate([parts[k] for k in index]))
    np.testing.assert_array_equal(counts, [lengths[k] for k in index])


@pytest.mark.parametrize(
    ("ids", "lengths", "word"),
    [
        ([1, 2, 3], [1, 1], "sum to 2"),
        ([1, 2, 3], [4, -1], "contain -1"),
        ([1.0, 2.0], [2], "integers"),
        ([[1, 2]], [2], "flat"),
    ],
)
def test_ids_and_lengths_that_do_not_fit_are_refused(ids: object, lengths: object, word: str) -> None:
    """Unequal sums would read beyond the array inside a compiled kernel."""
    with pytest.raises(DataError, match=word):
        Sequences.of(np.array(ids), np.array(lengths))


def test_batches_cover_all_texts_in_bounded_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a text is left out or classified twice, or a batch of long texts grows without bound."""
    monkeypatch.setattr(batches, "BATCH_ROWS", 100)
    lengths = np.concatenate([[250, 101, 100], np.random.default_rng(0).integers(0, 60, 500)])
    found = list(like_lengths(lengths, 20))
    assert sorted(np.concatenate(found)) == list(range(len(lengths)))
    assert all(len(batch) <= 20 for batch in found)
    assert all(lengths[batch].sum() <= 100 or len(batch) == 1 for batch in found)
