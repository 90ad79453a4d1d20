"""Batches made ahead against the plain way to make them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from gatelight.errors import DataError
from gatelight.models import ahead
from gatelight.models.ahead import Ahead, judged
from gatelight.models.batches import Sequences
from gatelight.models.classifier import Classifier
from gatelight.models.classifier_config import ClassifierConfig
from gatelight.models.losses import Objective
from gatelight.models.training import train
from gatelight.models.training_config import TrainingConfig
from gatelight.nn import pack, team
from gatelight.nn.threads import finish, using

V = 30


def sequences(seed: int = 0, count: int = 40) -> Sequences:
    random = np.random.default_rng(seed)
    lengths = random.integers(0, 12, count)
    lengths[::7] = 0
    return Sequences.of(random.integers(0, V, lengths.sum()), lengths)


def compare(batch: Any, given: Sequences, index: np.ndarray[Any, Any], table: Any, copied: bool) -> None:
    finish()
    ids, lengths = given.take(index)
    packing = pack(lengths)
    assert np.array_equal(batch.ids, packing.gathered(ids))
    for name in ("order", "lengths", "alive", "first", "rows", "sequence_rows"):
        assert np.array_equal(getattr(batch.packing, name), getattr(packing, name)), name
    words = batch.words
    if not len(ids):
        assert words is None
        return
    assert np.array_equal(words.distinct[words.number], batch.ids)
    assert len(np.unique(words.distinct)) == len(words.distinct)
    assert (words.rows is not None) == copied
    if copied:
        assert np.array_equal(words.rows, table[words.distinct])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("begun", ["never", "right", "another", "twice"])
def test_a_batch_is_as_if_made_when_it_is_asked_for(begun: str, threads: int) -> None:
    """Ids of another batch, or a plan that does not fit them, would be learnt without a word."""
    given, random = sequences(), np.random.default_rng(1)
    table = random.standard_normal((V, 5)).astype(np.float32)
    made = Ahead(given, V, table)
    with using(threads):
        for size in (1, 2, 17, 40) * 3:
            index = random.permutation(40)[:size]
            if begun != "never":
                made.begin(index if begun == "right" else index[::-1])
            if begun == "twice":
                made.begin(index)
            compare(made.take(index), given, index, table, copied=True)


@pytest.fixture
def two_threads() -> Iterator[None]:
    """On two threads, with nothing under way before and after."""
    with using(2):
        finish()
        yield
        finish()


def large() -> Sequences:
    random = np.random.default_rng(2)
    lengths = random.integers(1, 400, 300)
    return Sequences.of(random.integers(0, V, lengths.sum()), lengths)


@pytest.mark.usefixtures("two_threads")
def test_a_large_batch_is_done_when_it_is_taken_and_its_rows_before_the_next_work() -> None:
    """Others make it, and would still be about it when it is read."""
    given, random = large(), np.random.default_rng(3)
    table = random.standard_normal((V, 4096)).astype(np.float32)
    made = Ahead(given, V, table)
    index = [random.permutation(300) for _ in range(30)]
    made.begin(index[0])
    for now, then in pairwise(index):
        batch = made.take(now)
        assert batch.words is not None
        assert np.array_equal(batch.words.distinct[batch.words.number], batch.ids)  # rows may be under way
        compare(batch, given, now, table, copied=True)
        made.begin(then)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("where", ["training", "judging"])
def test_an_error_leaves_no_batch_under_way(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else would be helped any more."""
    given = large()

    def wrong(*given: Any) -> Any:
        assert team.here.begun is not None
        raise ZeroDivisionError

    monkeypatch.setattr(Objective, "loss_and_gradient", wrong)
    model = Classifier(ClassifierConfig(vocabulary_size=V, dim=3, hidden=2, pool="last"))
    settings, targets = TrainingConfig(epochs=1, batch_size=100), np.arange(300) % 2
    go = {
        "training": partial(train, model, given.ids, given.lengths, targets, config=settings),
        "judging": partial(judged, given.ids, given.lengths, 100, 1, wrong),
    }[where]
    with pytest.raises(ZeroDivisionError):
        go()
    assert team.here.begun is None


def test_words_are_told_apart_and_copied_only_where_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words that are dropped in the next step are not those of its texts; large copies are not made ahead."""
    given, index = sequences(), np.arange(40)
    table = np.ones((V, 5), np.float32)
    assert Ahead(given).take(index).words is None
    compare(Ahead(given, V).take(index), given, index, table, copied=False)
    monkeypatch.setattr(ahead, "MOST_BYTES", 100)
    compare(Ahead(given, V, table).take(index), given, index, table, copied=False)


@pytest.mark.parametrize("wrong", [-1, V])
def test_an_id_that_is_none_is_named_whenever_it_was_met(wrong: int) -> None:
    """It is met on another thread, a step before it is asked for."""
    ids = np.ones(40, np.int32)
    ids[-1] = wrong
    config = ClassifierConfig(vocabulary_size=V, dim=3, hidden=2, pool="last")
    with pytest.raises(DataError, match=f"id {wrong} is outside of the vocabulary"):
        train(
            Classifier(config),
            ids,
            np.full(20, 2),
            np.arange(20) % 2,
            config=TrainingConfig(epochs=1, batch_size=2),
        )
