"""What the bench says that the machine can do: products, squashed numbers, and both together."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from benchmarks import machine, w9_growth
from benchmarks.squashing import squash_again
from benchmarks.turns import standing, take_turns
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


def test_rounds_without_a_second_core_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two processors that were one core for a while nothing can be said: others are waited for."""
    given = iter([(2.0, 2.0, 1.0)] * 20 + [(1.9, 1.0, 1.9)] * 20)
    nothing = (lambda threads: None,) * 2
    monkeypatch.setattr(w9_growth, "models", lambda *given: {"one": nothing})
    monkeypatch.setattr(w9_growth, "_round", lambda train, less: next(given))
    [found] = w9_growth.second_core(False, lambda line: None)
    assert found.outcomes[0].value == pytest.approx(1.9)
    assert found.table[1][-1] == "20 of 27"
    monkeypatch.setattr(w9_growth, "PATIENCE", 0.0)
    given = iter([(2.0, 2.0, 1.0)] * 40)
    [found] = w9_growth.second_core(False, lambda line: None)
    assert (found.outcomes[0].value, found.table[1][-1]) == (1.0, "15 of 15")


def test_what_a_run_does_once_is_no_part_of_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of twelve batches that twice as many threads learn in half of the time, it would be a tenth."""
    now = [0.0]
    monkeypatch.setattr(machine, "second_core", lambda: 2.0)
    monkeypatch.setattr(w9_growth.time, "perf_counter", lambda: now[0])

    def batches(count: int, threads: int) -> None:
        now[0] += 1.0 + count * 4.0 / threads

    one, two, worth = w9_growth._round(partial(batches, 12), partial(batches, 1))
    assert (one, two, worth) == (44.0, 22.0, 2.0)


def test_the_machines_rate_is_measured_beside_ours() -> None:
    """Else it would be of another moment. Half of the work at 1 a second, half at 3: 1.5 a second."""
    order: list[str] = []
    both = [
        Contestant(name, lambda name=name: order.append(name), lambda: None, name == "ours")
        for name in ("torch", "ours", "keras")
    ]
    given = iter([1.0, 3.0, 2.0, 2.0])

    def rate() -> float:
        order.append("rate")
        return next(given)

    _, rates = take_turns(both, 2, rate)
    assert order == ["torch", "rate", "ours", "rate", "keras"] * 2
    assert rates == pytest.approx([1.5, 2.0])
