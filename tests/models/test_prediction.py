"""Prediction by token table and like lengths against the model's own logits and plain formulas."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from gatelight.errors import DataError
from gatelight.models import batches
from gatelight.models.batches import like_lengths
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.models.fixed_network import probabilities_of
from gatelight.models.heads import HEADS
from gatelight.models.inference import Predictor, predict

CONFIG = ClassifierConfig(
    vocabulary_size=300, dim=12, hidden=9, bidirectional=True, pool="max", max_length=60, outputs=3
)
NEAR = {"rtol": 1e-5, "atol": 1e-6}  # float32: torch's sigmoid and softmax against ours

Array = np.ndarray[Any, Any]


def some_model(seed: int = 0, **changes: Any) -> Classifier:
    """Random weights large enough for probabilities well away from a half."""
    model = Classifier(replace(CONFIG, **changes), seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.normal_(0, 0.4, generator=generator)
    return model


def some_texts(count: int = 70, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 60, count)
    lengths[:4] = [0, 1, 60, 0]
    return rng.integers(1, 300, int(lengths.sum())).astype(np.int32), lengths


@pytest.mark.parametrize("pool", HEADS)
@pytest.mark.parametrize(("outputs", "multilabel"), [(1, False), (3, False), (3, True)])
def test_probabilities_are_the_models_logits_in_order(pool: str, outputs: int, multilabel: bool) -> None:
    """Red when results come back in another order, or by another formula than the loss expects."""
    model = some_model(pool=pool, outputs=outputs, multilabel=multilabel, layers=2, dropout=0.5)
    ids, lengths = some_texts()
    with torch.no_grad():
        logits = model(ids, lengths)
    soft = outputs > 1 and not multilabel
    expected = torch.softmax(logits, 1) if soft else torch.sigmoid(logits)
    got = predict(model, ids, lengths, batch_size=16)
    assert got.dtype == np.float32
    assert got.shape == (len(lengths), outputs)
    torch.testing.assert_close(torch.from_numpy(got), expected, **NEAR)


def test_table_is_filled_for_asked_tokens_only_and_forgotten_with_the_weights() -> None:
    """Red when the table costs the whole vocabulary, or stale products outlive a change of the weights."""
    model = some_model()
    predictor = Predictor(model)
    ids, lengths = np.array([5, 7, 5], np.int32), np.array([2, 1])
    before = predictor.probabilities(ids, lengths)
    assert np.flatnonzero(predictor.network()._filled).tolist() == [5, 7]
    with torch.no_grad():
        model.embedding.weight[5] += 1
    after = predictor.probabilities(ids, lengths)
    assert (after != before).any(axis=1).all()
    assert (after == predict(model, ids, lengths)).all()
    model.embedding.weight.detach().numpy()[5] -= 2  # goes around torch
    predictor.refresh()
    assert (predictor.probabilities(ids, lengths) == predict(model, ids, lengths)).all()


def test_wrong_id_leaves_the_predictor_usable() -> None:
    """Red when tokens met before the wrong one count as ready although nothing was computed for them."""
    model = some_model()
    predictor = Predictor(model)
    with pytest.raises(DataError, match="id 300 is outside"):
        predictor.probabilities(np.array([4, 300], np.int32), np.array([2]))
    right = np.array([4, 9], np.int32), np.array([2])
    assert (predictor.probabilities(*right) == predict(model, *right)).all()
    with pytest.raises(DataError, match="batch_size is 0"):
        Predictor(model, batch_size=0)


def test_model_in_training_mode_predicts_without_dropout_and_stays_in_training() -> None:
    """Red when validation between two steps would drop words or switch training off."""
    model = some_model(dropout=0.5, word_dropout=0.5)
    ids, lengths = some_texts()
    expected = predict(model, ids, lengths)
    model.train()
    assert (predict(model, ids, lengths) == expected).all()
    assert model.training


def test_several_threads_may_ask_at_once() -> None:
    """Red when two requests fill the table over each other."""
    model = some_model(bidirectional=False)
    ids, lengths = some_texts()
    expected = predict(model, ids, lengths)
    for _ in range(5):
        predictor = Predictor(model)
        with ThreadPoolExecutor(4) as pool:
            for got in pool.map(lambda _, p=predictor: p.probabilities(ids, lengths), range(8)):
                assert (got == expected).all()


def test_batches_cover_all_texts_in_bounded_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Red when a text is left out or classified twice, or a batch of long texts grows without bound."""
    monkeypatch.setattr(batches, "BATCH_ROWS", 100)
    lengths = np.concatenate([[250, 101, 100], np.random.default_rng(0).integers(0, 60, 500)])
    found = list(like_lengths(lengths, 20))
    assert sorted(np.concatenate(found)) == list(range(len(lengths)))
    assert all(len(batch) <= 20 for batch in found)
    assert all(lengths[batch].sum() <= 100 or len(batch) == 1 for batch in found)


def test_extreme_logits_give_probabilities_not_overflows() -> None:
    """Red when exp overflows to infinity and a sure answer becomes undefined."""
    logits = np.array([[-1e4, 1e4, 0.0], [800.0, 800.0, -800.0]], np.float32)
    labels = replace(CONFIG, multilabel=True)
    assert probabilities_of(logits, labels).tolist() == [[0, 1, 0.5], [1, 1, 0]]
    assert probabilities_of(logits, CONFIG).tolist() == [[0, 1, 0], [0.5, 0.5, 0]]


def test_no_texts() -> None:
    """Red when an empty file or only empty texts crash."""
    model = some_model(layers=2)
    assert predict(model, np.empty(0, np.int32), np.empty(0, np.int64)).shape == (0, 3)
    alone = predict(model, np.empty(0, np.int32), np.zeros(2, np.int64))
    torch.testing.assert_close(torch.from_numpy(alone[1]), torch.softmax(model.head["bias"], 0).detach())
