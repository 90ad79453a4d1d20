"""Sequences judged abreast, one in each lane of a register, against rows alone and torch's modules."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gatelight.models import fixed_network
from gatelight.models.classifier import Classifier
from gatelight.models.classifier_config import ClassifierConfig
from gatelight.models.fixed_network import FixedNetwork
from gatelight.models.judging_abreast import IDLE, all_judged_abreast, go_abreast
from gatelight.models.judging_parts import GROUP, HEADS
from gatelight.models.prediction import Predictor
from gatelight.nn import CELLS, threads
from gatelight.nn.abreast import LANES

CONFIG = ClassifierConfig(vocabulary_size=60, dim=5, hidden=20, max_length=40, outputs=3)
SIZES = (1, 7, 16, 20, 23)  # less than a block of units, whole ones, whole ones and a rest

Array = np.ndarray[Any, Any]

pytestmark = pytest.mark.skipif(LANES < GROUP, reason="a register is too short to judge abreast")


@pytest.fixture(autouse=True)
def regions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was shared among threads; abreast on any processor."""
    monkeypatch.setattr(fixed_network, "SLIM", max(SIZES))
    seen: list[Any] = []
    share = threads.share

    def noted(region: Any, given: tuple[Any, ...], work: int) -> None:
        seen.append(region)
        share(region, given, work)

    monkeypatch.setattr(threads, "share", noted)
    return seen


def some_network(config: ClassifierConfig) -> tuple[Classifier, FixedNetwork]:
    model = Classifier(config, seed=1).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.4, generator=generator)
    return model, FixedNetwork(config, {name: w.detach().numpy() for name, w in model.named_parameters()})


def some_texts(shortest: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    lengths = rng.integers(shortest, 41, 5 * LANES + 3)
    return rng.integers(0, 60, int(lengths.sum())).astype(np.int32), lengths


@pytest.mark.parametrize("hidden", SIZES)
@pytest.mark.parametrize("pool", HEADS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_text_has_the_same_bits_abreast_and_alone(
    cell: str, pool: str, hidden: int, regions: list[Any]
) -> None:
    """Red when a lane takes another's token, weight or state, or one that idles is counted."""
    for outputs in (1, 3):
        model, network = some_network(replace(CONFIG, cell=cell, pool=pool, hidden=hidden, outputs=outputs))
        ids, lengths = some_texts(37)
        found = []
        for count in (1, 2):
            with threads.using(count):
                regions.clear()
                found.append(network.probabilities(ids, lengths))
                assert regions.count(all_judged_abreast) == 1
        ends = np.cumsum(lengths)
        alone = [
            network.probabilities(ids[end - n : end], np.array([n]))
            for end, n in zip(ends, lengths, strict=True)
        ]
        for one in found:
            np.testing.assert_array_equal(one, np.concatenate(alone))
        predictor = Predictor(model)
        predictor._known = predictor._known[0], None  # by the modules and operators of torch
        np.testing.assert_array_equal(found[0], predictor.probabilities(ids, lengths))


@pytest.mark.parametrize("pool", HEADS)
def test_lengths_of_all_kinds_among_them(pool: str) -> None:
    """Some groups go abreast, others, with empty sequences among them, row by row: none is left out."""
    model, network = some_network(replace(CONFIG, pool=pool))
    ids, lengths = some_texts(0)
    lengths = np.concatenate([lengths, np.zeros(5, np.int64), np.full(2 * LANES, 1)])
    ids = np.resize(ids, int(lengths.sum()))
    predictor = Predictor(model)
    predictor._known = predictor._known[0], None
    np.testing.assert_array_equal(network.probabilities(ids, lengths), predictor.probabilities(ids, lengths))


def test_a_lane_idles_for_a_short_while_only() -> None:
    """No step may be spent on what has ended long ago, nor read beyond a sequence that has no token."""

    def goes(*lengths: int) -> bool:
        return bool(go_abreast(np.array(sorted(lengths, reverse=True), np.int64)).all())

    idle = 100 * LANES // IDLE // 4  # as long may each of four lanes idle where the longest has 100 steps
    assert goes(*[100] * LANES)
    assert goes(*[100] * (LANES - 4), *[100 - idle] * 4)
    assert not goes(*[100] * (LANES - 4), *[100 - idle] * 3, 99 - idle)
    assert not goes(*[100] * (LANES - 1))
    assert not goes(*[1] * (LANES - 1), 0)
    assert not goes(*[0] * LANES)


@pytest.mark.parametrize("pool", HEADS)
def test_what_is_not_a_number_is_seen(pool: str) -> None:
    """A NaN that one token brings, late, reaches the result of every sequence that has it, and no other."""
    model, _ = some_network(replace(CONFIG, pool=pool))
    weights = {name: w.detach().numpy().copy() for name, w in model.named_parameters()}
    weights["embedding.weight"][59] = np.nan
    ids, lengths = some_texts(37)
    ids[ids == 59] = 58
    has = np.arange(len(lengths)) % 3 == 0
    ids[(np.cumsum(lengths) - 3)[has]] = 59
    found = FixedNetwork(model.config, weights).probabilities(ids, lengths)
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), has)
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), has)


def test_longer_numbers_and_more_units_stay_in_rows(regions: list[Any]) -> None:
    """The lanes are those of float32, and what was measured are few units in one direction."""
    ids, lengths = some_texts(37)
    for config, dtype in (
        (replace(CONFIG, pool="max"), np.float64),
        (replace(CONFIG, pool="max", hidden=max(SIZES) + 1), np.float32),
        (replace(CONFIG, pool="max", bidirectional=True), np.float32),
    ):
        model, _ = some_network(config)
        weights = {name: w.detach().numpy().astype(dtype) for name, w in model.named_parameters()}
        regions.clear()
        FixedNetwork(config, weights).probabilities(ids, lengths)
        assert regions
        assert all_judged_abreast not in regions
