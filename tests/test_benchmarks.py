"""The bench: what it compares is the same, what it makes of times is right, and it can say no."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # benchmarks/ is no part of the installed package

from benchmarks import __main__ as program
from benchmarks import keras_script, report, workloads
from benchmarks import texts as data
from benchmarks.agreement import DisagreementError, agree
from benchmarks.models import Shape, Texts, fastest
from benchmarks.turns import Finding, rows, take_turns
from benchmarks.with_gatelight import Model as Gatelight
from benchmarks.with_onnx import Model as Onnx
from benchmarks.with_torch import Model as Torch
from benchmarks.workloads import Options, Work, prediction, training

ROOT = Path(__file__).parents[1]
Arrays = dict[str, np.ndarray[Any, Any]]
VOCABULARY, LENGTHS = 40, [60, 3, 31, 1, 60, 44, 12, 60]
FLAT = Shape(60, 12, 5, "flatten", batch_size=4)
MAXIMUM = Shape(60, 12, 5, "max", bidirectional=True, train_embedding=True, bucket=True, optimizer="adam")


@pytest.fixture(scope="module")
def some() -> Texts:
    ids = np.random.default_rng(5).integers(2, VOCABULARY, sum(LENGTHS)).astype(np.int32)
    return Texts(ids, np.array(LENGTHS), np.array([1, 0, 0, 1, 1, 0, 1, 0], np.float32))


@pytest.mark.parametrize("shape", [FLAT, MAXIMUM], ids=["flatten", "max"])
def test_ours_and_torch_compute_the_same(shape: Shape, some: Texts) -> None:
    """Ours by what its training loop moves the weights by; a swapped gate must stop the bench."""
    weights = shape.weights(VOCABULARY)
    ours, packed, padded = (
        Gatelight(shape, weights),
        Torch(shape, weights, True),
        Torch(shape, weights, False),
    )
    mine, full = ours.results(some), some.pieces(4, 60)
    said = agree("ragged", packed.results(some), mine)
    assert "d weight_hh_l0" in said
    assert ("d table" in said) == shape.train_embedding
    agree("full", padded.results(full), ours.results(full))
    with pytest.raises(DisagreementError):  # the bench must see padded steps, or it would see nothing
        agree("ragged", padded.results(some), mine)
    order = np.r_[5:10, 0:5, 10:20]
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_l0"):
        swapped = Gatelight(shape, {**weights, name: weights[name][order]})
        with pytest.raises(DisagreementError):
            agree("swapped", packed.results(some), swapped.results(some))


def test_predictions_agree_and_training_trains(some: Texts) -> None:
    """A turn must do the work that it is timed for."""
    weights = FLAT.weights(VOCABULARY)
    ours = Gatelight(FLAT, weights)
    for other in (Onnx(FLAT, weights), Torch(FLAT, weights, True)):
        other.warm(some, False)
        agree("probabilities", {"p": other.predict(some)[1]}, {"p": ours.predict(some)[1]})
    for model in (ours, Torch(FLAT, weights, True)):
        before = model.predict(some)[1].copy()
        assert model.train(some) > 0
        assert np.abs(model.predict(some)[1] - before).max() > 1e-4
        assert len(model.one(some.pieces(1, 60), 3)) == 3


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("tensorflow") is None, reason="Keras is in the bench's own environment"
)
def test_keras_computes_the_same() -> None:
    """Without this Keras would be timed on another model."""
    from benchmarks.with_keras import Model as Keras

    weights = FLAT.weights(VOCABULARY)
    ids = np.random.default_rng(5).integers(2, VOCABULARY, 240).astype(np.int32)
    full = Texts(ids, np.full(4, 60), np.array([1, 0, 0, 1], np.float32))
    agree("full", Keras(FLAT, weights).results(full), Gatelight(FLAT, weights).results(full))


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


def test_turns_alternate_and_ratios_are_taken_within_a_round() -> None:
    """In the slow second round everybody is slow: 8, 9 and 9 times as long, worked out by hand."""
    order: list[str] = []
    clock = {"ours": iter([1.0, 2.0, 1.0]), "other": iter([8.0, 18.0, 9.0])}

    def turn(name: str) -> float:
        order.append(name)
        return next(clock[name])

    turns = {name: partial(turn, name) for name in clock}
    seconds = take_turns(turns, 3, lambda line: None, settle=0.0)
    assert order == ["ours", "other"] * 3
    ours, other = rows(seconds, {"other": "2 threads"})
    assert (ours.median, ours.lowest, ours.highest, ours.times_ours) == (1, 1, 2, 1)
    assert (other.median, other.times_ours, other.setting) == (9, 9, "2 threads")


def test_the_faster_choice_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer on more threads than serve it would be beaten too easily."""
    used: list[int] = []
    monkeypatch.setattr("benchmarks.models.timed", lambda work, calls: [{1: 3.0, 2: 1.0, 4: 2.0}[used[-1]]])
    fastest([1, 2, 4], lambda: None, used.append)
    assert used[-1] == 2


def test_texts_are_cut_padded_and_chosen_as_said(some: Texts) -> None:
    """A text that lost or gained an id would make the contestants' work differ."""
    cut = some.select(np.array([2, 0])).cut(40)
    assert cut.lengths.tolist() == [31, 40]
    np.testing.assert_array_equal(cut.ids, np.r_[some.ids[63:94], some.ids[:40]])
    np.testing.assert_array_equal(cut.padded(50)[0], np.r_[cut.ids[:31], np.zeros(19)])
    assert sorted(some.spread(3).lengths.tolist()) == [3, 44, 60]
    batches = some.batches(replace(FLAT, bucket=True))
    assert sorted(int(batch.lengths.max()) for batch in batches) == [31, 60]
    assert sorted(int(length) for batch in batches for length in batch.lengths) == sorted(LENGTHS)


def test_without_the_archive_lengths_are_imdbs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short sentences would flatter whoever skips padding; a clone without the archive must run too."""
    sentences = [[f"w{k % 26:c}" for k in range(97, 97 + n)] for n in range(5, 40)]
    lengths = [len(text.split()) for text in data.assemble(sentences, 3000)]
    assert np.mean(np.minimum(lengths, 400)) == pytest.approx(192, abs=6)
    monkeypatch.setattr(data, "reviews", lambda: ["A fine<br />film &amp; a GOOD one", "é1"])
    found, size = data.as_words.__wrapped__(2, 400)
    assert found.lengths.tolist() == [4]  # the other has no word
    assert size == 6
    letters = data.as_characters.__wrapped__(2, 4)
    assert letters.ids.tolist() == [2, 38, 7, 10, 1, 29]


def test_tokens_are_compared_text_by_text() -> None:
    """One text with an entity is no difference in the work; sorted lengths took it for many."""
    texts = [f"a film of {number} parts, seen twice" for number in range(20)]
    ours = [keras_script.tokens(text) for text in texts]
    assert "20 of 20" in data.cut_alike(ours, ours)
    assert "19 of 20" in data.cut_alike([["&"], *ours[1:]], ours)
    with pytest.raises(ValueError, match="0 of 20 texts"):
        data.cut_alike([*ours[1:], ours[0]], ours)  # every length is there, of another text


def test_workloads_run_in_processes_of_their_own(some: Texts) -> None:
    """The whole way: processes, agreement, warming up, turns; against a checkout, which is this one here."""
    told: list[str] = []
    work = Work("Small", FLAT, some, FLAT.weights(VOCABULARY), batches=2, peers=(workloads.PACKED,), rounds=1)
    found = training(work, Options(), told.append)
    assert [row.name for row in found.rows] == ["gatelight", workloads.PACKED]
    assert all(row.median > 0 for row in found.rows)
    assert any("ragged lengths" in line for line in found.agreed)
    found = prediction(replace(work, texts=some.pieces(1, 60)), Options(against=ROOT), told.append)
    assert [row.name for row in found.rows] == ["gatelight", f"gatelight of {ROOT}"]
    wrong = Options().libraries(())
    with wrong as (ours,), pytest.raises(RuntimeError, match="gatelight ended at 'open'"):
        ours.open(replace(FLAT, pool="none"), work.weights)


def test_the_bench_names_its_workloads_and_writes_what_it_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A mistyped workload must not end in an empty, green run, nor one that failed go unnoticed."""
    found = Finding("One text", "a text", [], rows({"gatelight": [1.0], "torch": [2.0]}, {}), 1)

    def broken(options: Options, tell: Any) -> Finding:
        raise RuntimeError("it ended")

    for names in ("W99", "words,W99", ","):
        with pytest.raises(SystemExit):
            program.main(["--only", names])
    assert program.main(["--against", str(tmp_path)]) == 2
    monkeypatch.setattr(program, "SCRATCH", tmp_path)
    monkeypatch.setattr(program, "WORKLOADS", {"one": lambda options, tell: found, "two": broken})
    assert program.main(["--without-keras"]) == 1
    said = capsys.readouterr()
    assert said.out == "One text: 1 s; 2.00 x torch\n"
    assert "two is not measured" in said.err
    assert "| One text | a text | gatelight | 1 | 1 – 1 | 1.00 |" in (tmp_path / "RESULTS.md").read_text(
        "utf-8"
    )
    assert "torch" in (tmp_path / "results.svg").read_text("utf-8")
    monkeypatch.setattr(program, "_installed", lambda: False)
    assert program.main([]) == 2
    assert report.machine()
