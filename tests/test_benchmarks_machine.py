"""What the bench says that the machine can do: products, squashed numbers, and both together."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks import machine
from benchmarks.squashing import squash_again
from benchmarks.turns import standing
from benchmarks.workload import Contestant, Goal, Prepared


def test_gates_count_as_work_where_it_is_said_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products that take 2 s and squashing that takes 1 s, done in 3 s: that is all that the machine has."""
    monkeypatch.setattr(machine, "matrix_rate", lambda: 3e9)
    monkeypatch.setattr(machine, "squash_rate", lambda: 5e8)

    def nothing() -> None: ...

    both = [Contestant("ours", nothing, nothing, ours=True), Contestant("theirs", nothing, nothing)]
    prepared = Prepared(both, [], [Goal(1.0)], work=6e9, squashed=5e8)
    assert Prepared(both, [], [Goal(1.0)], work=6e9).rate() == 3e9
    found = standing(prepared, {"ours": [3.0], "theirs": [6.0]}, [prepared.rate()])
    assert [one.roofline for one in found.timings] == pytest.approx([1.0, 0.5])


def test_numbers_are_squashed_to_their_tanh() -> None:
    """A rate of something else would be no bound for gates."""
    values = np.linspace(-9, 9, 1001, dtype=np.float32)
    found = np.empty_like(values)
    squash_again(values, found, 2)
    np.testing.assert_allclose(found, np.tanh(values), rtol=1e-6, atol=1e-7)


def test_rates_are_of_this_machine() -> None:
    """A rate that is nought, or of another unit, would make nonsense of every roofline."""
    assert 1e8 < machine.matrix_rate() < 1e14
    assert 1e6 < machine.squash_rate() < 1e12
    assert 0.2 < machine.second_core() < 4
