"""Ids made of subwords: means, gradients and training steps against torch's dense embedding and optimiser."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from training_cases import CONFIG, MODEL, TRAIN, VALID

from gatelight.errors import DataError
from gatelight.models.classifier import Classifier
from gatelight.models.dropout import word_dropout
from gatelight.models.embedding import means
from gatelight.models.inference import Predictor, predict
from gatelight.models.optim import Optimiser
from gatelight.models.subwords import Lists, Subwords
from gatelight.models.training import Interrupted, train
from gatelight.nn import threads

V, K, W, D = 40, 30, 15, 8
SPELLED = replace(MODEL, buckets=K, dim=D, word_dropout=0.4)
ROUNDING = {"rtol": 1e-5, "atol": 1e-6}
"""float32 sums of some twenty terms, taken in another order."""


def subwords(first: int = V, words: int = V + W) -> Subwords:
    """Lists of one to seven of K subwords; some hold a piece twice."""
    rng = np.random.default_rng(3)
    counts = rng.integers(1, 8, words)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return Subwords(first, starts, rng.integers(0, K, counts.sum()).astype(np.int32))


def with_unknown(data: tuple[np.ndarray, ...], seed: int) -> tuple[np.ndarray, ...]:
    """The same texts with a fourth of the ids beyond 20 turned into unknown words."""
    ids, lengths, targets = data
    rng = np.random.default_rng(seed)
    unknown = (ids >= 20) & (rng.random(len(ids)) < 0.25)
    beyond = 2 * V + rng.integers(0, W, len(ids))
    return np.where(unknown, beyond, ids).astype(np.int32), lengths, targets


def dense_rows(table: torch.Tensor, ids: np.ndarray, of_subwords: Subwords) -> torch.Tensor:
    """What each id is read as, by plain indexing of the whole table."""
    rows = []
    for i in ids.tolist():
        if i < V:
            rows.append(table[i])
        else:
            k = i - of_subwords.first
            parts = of_subwords.rows[of_subwords.starts[k] : of_subwords.starts[k + 1]]
            rows.append(table[V + torch.from_numpy(parts).long()].mean(0))
    return torch.stack(rows)


@pytest.mark.parametrize("count", [1, 3])
def test_many_means_are_those_of_torch_at_any_number_of_threads(count: int) -> None:
    """Threads that met in one row would lose parts of its gradient, now and then."""
    rng = np.random.default_rng(6)
    counts = rng.integers(1, 50, 2000)
    numbers = rng.integers(0, 900, counts.sum()).astype(np.int32)
    rows = torch.from_numpy(rng.standard_normal((900, 100)).astype(np.float32)).requires_grad_()
    weights = torch.from_numpy(rng.standard_normal((2000, 100)).astype(np.float32))
    starts = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)[:-1]]))
    bag = torch.nn.functional.embedding_bag(torch.from_numpy(numbers).long(), rows, starts, mode="mean")
    (expected,) = torch.autograd.grad((bag * weights).sum(), rows)
    found = []
    for number in (count, 2):
        threads.set_threads(number)
        try:
            made = means(rows, Lists(counts, numbers, 900))
            found.append((made, *torch.autograd.grad((made * weights).sum(), rows)))
        finally:
            threads.set_threads(None)
    for one, other, wanted in zip(*found, (bag, expected), strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, wanted, **ROUNDING)


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("kind", ["adam", "sgd", "rmsprop", "adamw"])
def test_steps_equal_torchs_dense_ones(kind: str, trained: bool) -> None:
    """The optimiser by rows must move subwords as a dense one would; frozen words stay, to the bit."""
    of_subwords = subwords()
    config = replace(SPELLED, train_embedding=trained, embedding_dropout=0.0)
    model = Classifier(config, None if trained else vectors(), seed=2)
    embedding = model.embedding.train()
    start = embedding.weight.detach().clone()
    dense = torch.nn.Parameter(start.clone())
    theirs = {
        "adam": lambda: torch.optim.Adam([dense], lr=0.01),
        "adamw": lambda: torch.optim.AdamW([dense], lr=0.01, weight_decay=0.0),
        "rmsprop": lambda: torch.optim.RMSprop([dense], lr=0.01, alpha=0.9, eps=1e-7),
        "sgd": lambda: torch.optim.SGD([dense], lr=0.01, momentum=0.9),
    }[kind]()
    for parameter in (*model.memory.parameters(), *model.head.parameters()):
        parameter.requires_grad_(False)
    ours = Optimiser(kind, {}, embedding.weight)
    embedding.before_reading = ours.catch_up
    rng = np.random.default_rng(5)
    for _ in range(6):
        ids = rng.choice(rng.integers(0, 2 * V + W, 12), 20).astype(np.int32)
        goal = torch.from_numpy(rng.standard_normal((len(ids), D)).astype(np.float32))
        rows, number = embedding(ids, subwords=of_subwords)
        read = rows[torch.from_numpy(number).long()]
        torch.testing.assert_close(read, dense_rows(dense, ids, of_subwords), **ROUNDING)
        ((read - goal) ** 2).sum().backward()
        ours.step(0.01, embedding.touched)
        theirs.zero_grad()
        ((dense_rows(dense, ids, of_subwords) - goal) ** 2).sum().backward()
        if not trained:
            assert dense.grad is not None
            dense.grad[:V] = 0
        theirs.step()
    ours.catch_up()
    torch.testing.assert_close(embedding.weight.detach(), dense.detach(), **ROUNDING)
    if not trained:
        assert torch.equal(embedding.weight[:V], start[:V])
        assert not torch.equal(embedding.weight[V:], start[V:])


def vectors() -> np.ndarray:
    table = np.random.default_rng(0).standard_normal((V, D)).astype(np.float32)
    table[0] = 0
    return table


def test_a_text_has_the_same_bits_alone_and_in_company_and_as_one_of_rows() -> None:
    """Another numbering of the unknown words, as each call has, must not change what is read."""
    model = Classifier(SPELLED, seed=1).eval()
    ids, lengths, _ = with_unknown(TRAIN, 7)
    everything = subwords()
    together = predict(model, ids, lengths, batch_size=7, subwords=everything)
    starts = np.cumsum(lengths) - lengths
    for k in range(len(lengths)):
        alone = ids[starts[k] : starts[k] + lengths[k]].copy()
        words = np.unique(alone[alone >= 2 * V])
        counts, rows = everything.lists(words.astype(np.int64))
        own = Subwords(2 * V, np.concatenate([[0], np.cumsum(counts)]), rows)
        for number, word in enumerate(words):
            alone[alone == word] = 2 * V + number
        assert np.array_equal(Predictor(model).probabilities(alone, lengths[k : k + 1], own)[0], together[k])


def test_dropped_words_become_subwords_where_others_become_unknown() -> None:
    """Reading only rare words by their letters would leave the n-grams of common words untrained."""
    ids = np.array([5, 39, 40, 95, 7, 5] * 200, np.int32)
    one, other = (torch.Generator().manual_seed(4) for _ in range(2))
    unknown = word_dropout(ids, 0.4, 1, one)
    of_subwords = word_dropout(ids, 0.4, np.where(ids < V, ids + V, ids), other)
    dropped = unknown == 1
    assert 0.3 < dropped.mean() < 0.5
    assert np.array_equal(of_subwords, np.where(dropped & (ids < V), ids + V, ids))


def test_training_learns_from_pieces_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    """Subwords forgotten by the checkpoint, or by validation, would end in other weights."""
    data, valid = with_unknown(TRAIN, 7), with_unknown(VALID, 8)
    whole = Classifier(SPELLED, seed=1)
    start = whole.embedding.weight.detach().clone()
    record = train(whole, *data, config=CONFIG, valid=valid, subwords=subwords())
    assert not torch.equal(whole.embedding.weight[V:], start[V:])
    halted = Classifier(SPELLED, seed=1)
    seen = 0

    def stop(at: object) -> None:
        nonlocal seen
        seen += 1
        if seen == 2:
            raise KeyboardInterrupt

    path = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(halted, *data, config=CONFIG, valid=valid, subwords=subwords(), checkpoint=path, on_epoch=stop)
    again = Classifier(SPELLED, seed=1)
    resumed = train(
        again, *data, config=CONFIG, valid=valid, subwords=subwords(), checkpoint=path, resume=True
    )
    assert [r["valid_loss"] for r in resumed.epochs] == [r["valid_loss"] for r in record.epochs]
    for name, tensor in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    other = Subwords(V, subwords().starts, subwords().rows[::-1].copy())
    with pytest.raises(DataError, match="on other data"):
        train(
            Classifier(SPELLED, seed=1), *data, config=CONFIG, valid=valid, subwords=other, checkpoint=path,
            resume=True,
        )  # fmt: skip


def test_ids_that_are_neither_words_nor_pieces_are_named() -> None:
    """Read as somebody else's n-grams they would give a confident answer to another text."""
    model = Classifier(SPELLED, seed=1).eval()
    only_unknown = subwords(first=2 * V, words=W)
    for bad, message in ((V + 3, "neither one of the vocabulary"), (2 * V + W, "outside of the vocabulary")):
        with pytest.raises(DataError, match=message):
            predict(model, np.array([5, bad], np.int32), np.array([2]), subwords=only_unknown)
    with pytest.raises(DataError, match=f"expected 0 to {V - 1}"):
        predict(model, np.array([2 * V], np.int32), np.array([1]))
    for starts in ([0, 2, 2, 5], [1, 3, 4, 5], [0, 2, 4], []):
        with pytest.raises(DataError, match="do not divide 5 rows"):
            Subwords(V, np.array(starts, np.int64), np.arange(5, dtype=np.int32))
