"""What the bench says that the machine can do: products, squashed numbers, and both together."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from benchmarks import layer_grid, machine, w4_layers, w9_growth
from benchmarks.empty_step import seconds_after
from benchmarks.squashing import squash_again
from benchmarks.turns import standing, take_turns
from benchmarks.workload import Contestant, Goal, Prepared

import gatelight


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


def test_what_everybody_needs_is_products_squashing_and_torch_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a second's products, 0.2 s of squashing and 0.1 s of torch's: 0.8 of ours must be."""
    monkeypatch.setattr(w4_layers, "squash_rate", lambda: 5e8)

    def nothing() -> None: ...

    both = [Contestant("ours", nothing, nothing, ours=True), Contestant("theirs", nothing, nothing)]
    prepared = Prepared(
        both, [], [Goal(1.0)], scale=0.5, work=1e9, squashed=2e8, overhead=lambda: 0.2
    )  # a turn is two passes
    found = standing(prepared, {"ours": [2.0], "theirs": [3.0]}, [1e9])
    assert found.timings[0].roofline == pytest.approx(0.5)
    assert w4_layers.share_of_all(prepared, found) == pytest.approx(0.5 + 0.2 + 0.1)


def test_rounds_in_which_the_machine_was_anothers_do_not_count() -> None:
    """A neighbour for half a minute would decide what a layer is worth; but few rounds prove nothing."""
    seconds = {"ours": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], "theirs": [2.0] * 7}
    rates = [9.0, 4.0, 10.0, 9.0, 8.4, 9.5, 8.6]
    kept, of = w4_layers.quiet_rounds(seconds, rates, 10.0)
    assert kept == {"ours": [1.0, 3.0, 4.0, 6.0, 7.0], "theirs": [2.0] * 5}
    assert of == [9.0, 10.0, 9.0, 9.5, 8.6]
    assert w4_layers.quiet_rounds(seconds, rates, 11.0) == (seconds, rates)


def test_an_empty_step_leaves_the_gradients_that_were_given() -> None:
    """A step that skips autograd, or copies what no layer does, is no measure of what torch takes."""
    point = layer_grid.Point("LSTM", 4, 9, 5, 7, ragged=True)
    layer = gatelight.LSTM(5, 7, batch_first=True)
    x = torch.randn(4, 9, 5, requires_grad=True)
    work = w4_layers.DenseInput(x, torch.randn(4, 9, 7), point.lengths())
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
