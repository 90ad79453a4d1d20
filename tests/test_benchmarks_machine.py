"""What the bench says that the machine can do: products, squashed numbers, and both together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from benchmarks import layer_grid, looks, machine, w4_layers, w9_growth
from benchmarks.empty_step import seconds_after
from benchmarks.looks import Looks
from benchmarks.squashing import squash_again
from benchmarks.turns import standing, take_turns
from benchmarks.workload import Contestant, Goal, Options, Prepared

import gatelight

POINT = layer_grid.Point("LSTM", 4, 9, 5, 7, ragged=True)


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
    monkeypatch.setattr(w9_growth, "SPAN", (0.0, 0.0))
    [found] = w9_growth.second_core(False, lambda line: None)
    assert found.outcomes[0].value == pytest.approx(1.9)
    assert found.table[1][-1] == "20 of 27"
    monkeypatch.setattr(w9_growth, "PATIENCE", 0.0)
    given = iter([(2.0, 2.0, 1.0)] * 40)
    [found] = w9_growth.second_core(False, lambda line: None)
    assert (found.outcomes[0].value, found.table[1][-1]) == (1.0, "15 of 15")


def test_rounds_go_on_for_longer_than_a_machine_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifteen short ones, in seconds, would be a median of one moment's processors."""
    now = [0.0]
    monkeypatch.setattr(w9_growth.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(w9_growth, "models", lambda *given: {"one": (lambda threads: None,) * 2})

    def one(train: object, less: object) -> tuple[float, float, float]:
        now[0] += 0.5
        return 1.9, 1.0, 1.9

    monkeypatch.setattr(w9_growth, "_round", one)
    for quick, rounds in ((False, 90), (True, 2)):
        [found] = w9_growth.second_core(quick, lambda line: None)
        assert found.table[1][-1] == f"0 of {rounds}"


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


def _passes(ours: list[float], goal: float, overhead: float = 0.0) -> Looks:
    """Turns of two passes each, in which torch took 3 s, and products could be done in one."""

    def nothing() -> None: ...

    both = [Contestant("ours", nothing, nothing, ours=True), Contestant("theirs", nothing, nothing)]
    looks = Looks(
        Prepared(both, ["they agree"], [Goal(goal)], scale=0.5, work=1e9, overhead=lambda: overhead)
    )
    looks.seconds = {"ours": ours, "theirs": [3.0] * len(ours)}
    looks.rates = [1e9] * len(ours)
    return looks


def test_what_everybody_needs_is_products_squashing_and_torch_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a second's products, 0.2 s of squashing and 0.1 s of torch's: 0.8 of ours must be."""
    monkeypatch.setattr(w4_layers, "squash_rate", lambda: 5e8)
    found = _passes([2.0], goal=3.0, overhead=0.2)
    others = w4_layers.what_others_need(replace(found.prepared, squashed=2e8))
    assert others == pytest.approx(0.4 + 0.2)
    entry = w4_layers.Entry(POINT, found, True, others)
    assert entry.shares(1e9) == pytest.approx((0.5, 0.8, 1.6))
    assert entry.kind(1e9) == "beyond"


@pytest.mark.parametrize(
    ("took", "goal", "kind"),
    [(2.0, 1.5, "met"), (1.4, 4.0, "fast"), (2.0, 1.6, "open"), (2.0, 3.1, "beyond")],
)
def test_a_goal_is_met_or_missed_and_then_it_says_by_what(took: float, goal: float, kind: str) -> None:
    """Without anything else, 1 s of products: at 1.4 s the roofline ratio is 0.71, at 2 s it is 0.5."""
    assert w4_layers.Entry(POINT, _passes([took], goal), True, 0.0).kind(1e9) == kind


def test_rounds_in_which_the_machine_was_anothers_do_not_count() -> None:
    """A neighbour for half a minute would decide what a layer is worth; but few rounds prove nothing."""
    looks = _passes([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0], goal=9.0)
    looks.rates = [9.6, 4.0, 10.0, 9.6, 9.4, 9.5, 9.7, 9.8, 10.0]
    assert looks.quiet(10.0) == [0, 2, 3, 5, 6, 7, 8]
    kept = looks.found(10.0)
    assert kept.timings[0].seconds == [0.5, 1.5, 2.0, 3.0, 3.5, 4.0, 4.5]
    assert kept.rate == 9.7
    assert looks.found(10.2).timings == looks.all().timings
    assert len(looks.all().timings[0].seconds) == 9
    for missed, counted in ((True, kept), (False, looks.all())):
        assert w4_layers.Entry(POINT, looks, missed, 0.0).found(10.0).timings == counted.timings


def test_an_open_point_is_looked_at_again_and_one_that_is_met_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else half a minute decides; or what was reached by chance is looked at until it is lost."""
    taken: Counter[str] = Counter()
    order: list[str] = []
    now = [0.0]

    def look(looks: Looks, turns: int, rate: Callable[[], float], settle: float) -> None:
        name = looks.prepared.name
        taken[name] += turns
        order.append(name)
        now[0] += turns
        slow = name == "slow" or (name == "late" and taken[name] <= 15)
        looks.seconds["ours"] += [2.0 if slow else 0.5] * turns
        looks.seconds["theirs"] += [3.0] * turns
        looks.rates += [1e9] * turns

    points = ["met", "slow", "late", "met, full"]
    monkeypatch.setattr(w4_layers, "grid", lambda: [POINT] * 3 + [replace(POINT, ragged=False)])
    monkeypatch.setattr(
        w4_layers, "prepare", lambda *given: replace(_passes([], 2.0).prepared, name=points.pop(0))
    )
    monkeypatch.setattr(w4_layers, "what_others_need", lambda prepared: 0.0)
    monkeypatch.setattr(w4_layers, "only_kernels", nullcontext)
    monkeypatch.setattr(w4_layers, "matrix_rate", lambda: 1e9)
    monkeypatch.setattr(Looks, "look", look)
    monkeypatch.setattr(w4_layers.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(w4_layers.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    list(w4_layers.run(Options(False, None, None, False), lambda line: None))
    # Of the late one's 35 rounds 20 are then quick.
    assert taken == {"met": 5, "slow": 5 + 20 + 50, "late": 5 + 20 + 10, "met, full": 5}
    # A point's rounds are spread: in sweeps, then a minute from one return to the next.
    assert order == ["met", "slow", "late", "met, full", *["slow", "late"] * 5, *["slow"] * 4]
    assert now[0] == 20 + 40 + 4 * 60 + 10


def test_the_best_rate_is_one_that_comes_again() -> None:
    """Else a single fast round decides that none of the others was quiet."""
    one, other = _passes([1.0] * 30, goal=1.0), _passes([1.0] * 10, goal=1.0)
    one.rates, other.rates = [190.0] * 29 + [230.0], [160.0] * 6 + [191.0] * 4
    assert looks.best_rate([one, other]) == 191.0
    assert looks.best_rate([other]) == 191.0
    other.rates = [170.0, 191.0]
    assert looks.best_rate([other]) == 191.0  # of few it is the fastest


def test_a_look_waits_until_the_machine_is_quiet_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is looked at while a neighbour is busy shows the neighbour."""
    now, paused = [0.0], []

    def pause(seconds: float) -> None:
        paused.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(looks.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(looks.time, "sleep", pause)
    rates = iter([100.0, 94.0, 95.0, 50.0])
    assert looks.wait_until_quiet(100.0, lambda: next(rates))
    assert looks.wait_until_quiet(100.0, lambda: next(rates))
    assert len(paused) == 1
    paused.clear()
    assert not looks.wait_until_quiet(100.0, lambda: 94.0)
    assert sum(paused) == looks.PATIENCE


def test_an_empty_step_leaves_the_gradients_that_were_given() -> None:
    """A step that skips autograd, or copies what no layer does, is no measure of what torch takes."""
    layer = gatelight.LSTM(5, 7, batch_first=True)
    x = torch.randn(4, 9, 5, requires_grad=True)
    work = w4_layers.DenseInput(x, torch.randn(4, 9, 7), POINT.lengths())
    one = partial(work.by_ours, layer)
    found = work.results(layer, one)
    step = work.empty_step(layer, one)
    layer.zero_grad()
    x.grad = None
    step()
    names = [name for name, _ in layer.named_parameters()]
    for name, tensor in zip(["input", *names], [x, *layer.parameters()], strict=True):
        assert tensor.grad is not None
        np.testing.assert_array_equal(tensor.grad.numpy(), found[f"d {name}"])
    assert 1e-6 < seconds_after(one, step) < 1
