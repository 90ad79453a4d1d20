"""The bench itself: what it compares is the same, what it makes of times is right, and it can say no."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is no part of the installed package

from benchmarks import keras_words, results, reviews, w1_word_model
from benchmarks.__main__ import WORKLOADS, main
from benchmarks.agreement import DisagreementError, agree
from benchmarks.keras_words import KerasWords
from benchmarks.machine import describe
from benchmarks.ours_words import OurWords
from benchmarks.reviews import Reviews
from benchmarks.torch_words import TorchWords, batches
from benchmarks.turns import standing, take_turns
from benchmarks.word_weights import WordWeights, random_weights
from benchmarks.workload import Contestant, Options, Prepared

Arrays = dict[str, np.ndarray]
VOCABULARY, LENGTHS = 60, [400, 3, 57, 1, 212]


@pytest.fixture(scope="module")
def some() -> Reviews:
    random = np.random.default_rng(5)
    ids = random.integers(2, VOCABULARY, sum(LENGTHS)).astype(np.int32)
    return Reviews(ids, np.array(LENGTHS), np.array([1, 0, 0, 1, 1], np.float32), VOCABULARY, "random")


@pytest.fixture(scope="module")
def weights() -> WordWeights:
    return random_weights(VOCABULARY, 300, 50, 400)


def test_ours_and_packed_torch_compute_the_same(some: Reviews, weights: WordWeights) -> None:
    """Otherwise the headline would compare two different computations."""
    packed = TorchWords(weights, packed=True, dropout=0.2)
    said = agree("ragged", packed.results(some), OurWords(weights).results(some))
    assert "d weight_hh" in said


def test_padded_torch_differs_where_lengths_do(some: Reviews, weights: WordWeights) -> None:
    """The comparison must see padded steps, or it would see nothing."""
    packed, padded = (TorchWords(weights, packed=yes, dropout=0.2).results(some) for yes in (True, False))
    with pytest.raises(DisagreementError, match="logits"):
        agree("ragged", packed, padded)


def test_swapped_gates_are_seen(some: Reviews, weights: WordWeights) -> None:
    """Weights copied in another gate order must stop the bench, in the biases alone too."""
    order = np.r_[50:100, 0:50, 100:200]
    for name in ("weight_ih", "weight_hh", "bias"):
        other = replace(weights, **{name: getattr(weights, name)[order]})
        with pytest.raises(DisagreementError):
            agree("swapped", OurWords(weights).results(some), OurWords(other).results(some))


@pytest.mark.skipif(not keras_words.installed(), reason="Keras is only in the bench's own environment")
@pytest.mark.parametrize("dense", [False, True])
def test_keras_computes_what_padded_torch_does(some: Reviews, weights: WordWeights, dense: bool) -> None:
    """Without this Keras would be timed on another model."""
    padded = TorchWords(weights, packed=False, dropout=0.2)
    agree("padded", padded.results(some), KerasWords(weights, dense, dropout=0.2).results(some))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda one: {**one, "a": one["a"] + 2e-3},
        lambda one: {**one, "a": one["a"][:, :2]},
        lambda one: {**one, "a": np.full_like(one["a"], np.nan)},
        lambda one: {"b": one["b"]},
    ],
)
def test_a_difference_is_a_disagreement(spoil: Callable[[Arrays], Arrays]) -> None:
    """A value off by 2e-4 of the largest, another shape, a NaN, a missing array: each stops the bench."""
    one = {"a": np.linspace(-10, 10, 12, dtype=np.float32).reshape(3, 4), "b": np.ones(2, np.float32)}
    agree("same", one, {name: array + 1e-6 for name, array in one.items()})
    with pytest.raises(DisagreementError):
        agree("spoilt", one, spoil(one))


def test_gradients_that_are_all_zero_prove_nothing() -> None:
    """A library that lost its gradients would agree with another that did."""
    with pytest.raises(DisagreementError, match="zero"):
        agree("nothing", {"a": np.zeros(3, np.float32)}, {"a": np.zeros(3, np.float32)})


def test_training_turns_run_and_learn(some: Reviews, weights: WordWeights) -> None:
    """A turn must really train: the weights move, ours through the kernels, torch's after its warm-up."""
    ours, packed = OurWords(weights), TorchWords(weights, packed=True, dropout=0.2)
    ours.epoch(some)
    ready = batches(some, [np.array([0, 2]), np.array([4, 1, 3])], 400)
    packed.warm(ready)
    assert [tuple(ids.shape) for ids, _, _ in ready] == [(2, 400), (3, 400)]
    for array in (ours.memory.weight_hh_l0, packed.model.memory.weight_hh_l0):
        assert np.abs(array.detach().numpy() - weights.weight_hh).max() > 1e-4


def test_turns_alternate_and_only_turns_count() -> None:
    """Run block by block, a machine that slows down would decide who is faster."""
    order: list[str] = []
    both = [
        Contestant(name, lambda name=name: order.append(name), lambda name=name: order.append(f"warm {name}"))
        for name in "ab"
    ]
    seconds, rates = take_turns(both, 3, lambda: 1.0)
    assert order == ["warm a", "warm b", *"ababab"]
    assert {name: len(taken) for name, taken in seconds.items()} == {"a": 3, "b": 3}
    assert rates == [1.0] * 3


def _prepared() -> Prepared:
    def nothing() -> None: ...

    contestants = [
        Contestant("ours", nothing, nothing, ours=True),
        Contestant("slow", nothing, nothing),
        Contestant("fast", nothing, nothing, padded=True),
    ]
    return Prepared(contestants, ["all agreed"], scale=10.0, work=6e9, facts={"reviews": "200"})


SECONDS = {"ours": [1.0, 2.0, 1.0], "slow": [30.0, 60.0, 31.0], "fast": [8.0, 18.0, 9.0]}


def test_ratios_are_taken_within_a_round() -> None:
    """In the slow second round everybody is slow: 8, 9 and 9 times, worked out by hand."""
    found = standing(_prepared(), SECONDS, [5e9, 6e9, 7e9])
    assert (found.fastest, found.ratio, found.rate) == ("fast", 9.0, 6e9)
    ours = found.timings[0]
    assert (ours.median, ours.lowest, ours.highest, ours.times_ours, ours.roofline) == (10, 10, 20, 1, 1)
    assert found.timings[2].roofline == pytest.approx(1 / 9)


def test_results_are_kept_by_workload(tmp_path: Path) -> None:
    """Measuring one workload must not lose what was found of the others."""
    workload = w1_word_model.WORKLOAD
    found = standing(_prepared(), SECONDS, [6e9])
    one = results.record(workload, _prepared(), found, describe(), Options())
    results.write(tmp_path, {"W2": one})
    results.write(tmp_path, {"W1": {**one, "ratio": 7.9, "met": False}})
    assert list(json.loads((tmp_path / "RESULTS.json").read_text("utf-8"))) == ["W1", "W2"]
    page = (tmp_path / "RESULTS.md").read_text("utf-8")
    assert "| fast (padded) | 90.0 | 80.0 – 180.0 | 9.00 | 0.111 |" in page
    assert results.line("W2", one) == "W2  9.0 x  goal 8.0  met"
    assert "goal 8.0 ×, not met" in page


def test_work_counts_distinct_tokens_and_real_steps() -> None:
    """One review of one token: two input products (300 × 200), three recurrent (50 × 200), three dense."""
    assert w1_word_model.necessary_work(1, 1) == 2 * (2 * 300 * 200 + 3 * 50 * 200 + 3 * 50)


def test_reviews_are_cut_padded_and_chosen_as_said(some: Reviews) -> None:
    """A review that lost or gained a token would make the contestants' work differ."""
    cut = some.select(np.array([2, 0])).cut(100)
    assert cut.lengths.tolist() == [57, 100]
    start = sum(LENGTHS[:2])
    np.testing.assert_array_equal(cut.ids, np.r_[some.ids[start : start + 57], some.ids[:100]])
    padded = cut.padded(100)
    np.testing.assert_array_equal(padded[0], np.r_[cut.ids[:57], np.zeros(43)])
    np.testing.assert_array_equal(padded[1], cut.ids[57:])
    assert sorted(some.lengths[some.spread(3)].tolist()) == [1, 57, 400]


def test_without_the_archive_lengths_are_imdbs() -> None:
    """Short sentences would flatter whoever skips padding: assembled reviews average 192 steps, as IMDB's."""
    sentences = [[f"w{k}_{n}" for k in range(n)] for n in range(5, 40)]
    made = reviews.encoded(reviews.assemble(sentences, 3000), [True] * 3000, "assembled").cut(400)
    assert made.lengths.mean() == pytest.approx(192, abs=6)
    assert made.ids.min() >= 2


def test_the_bench_names_its_workloads_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped workload must not end in an empty, green run."""
    assert WORKLOADS["W1"].goal == 8.0
    with pytest.raises(SystemExit):
        main(["--workload", "W99"])
    assert "W1" in capsys.readouterr().err


def test_missing_keras_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Silently leaving out a contestant would make ours win against fewer."""
    monkeypatch.setattr(keras_words, "installed", lambda: False)
    assert main([]) == 2
    assert "--without-keras" in capsys.readouterr().err
