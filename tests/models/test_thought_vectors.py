"""Thought vectors against torch's own layers, sequence by sequence, and bit for bit against themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from gatelight.errors import DataError
from gatelight.models.batches import Sequences
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig, LanguageModelConfig
from gatelight.models.language_model import LanguageModel
from gatelight.models.network import RecurrentNetwork as Network
from gatelight.models.thought_vectors import SUMMARIES, thought_vectors

LENGTHS = np.array([3, 0, 1, 11, 2, 11, 7])
TOLERANCE = 2e-6  # float32 sums of some ten terms in another order, through at most 11 steps
VOCABULARY = 23


def sequences(seed: int = 0) -> Sequences:
    draw = np.random.default_rng(seed)
    return Sequences.of(draw.integers(2, VOCABULARY, LENGTHS.sum()), LENGTHS)


def awake(model: Network) -> Network:
    """Biases of zero would hide one that is read at the wrong place."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4, generator=generator)
    return model


def classifier(cell: str, layers: int, bidirectional: bool) -> Network:
    shape = ClassifierConfig(
        VOCABULARY, dim=6, cell=cell, hidden=5, layers=layers, bidirectional=bidirectional
    )
    return awake(Classifier(shape, seed=1))


def by_torch(model: Network, texts: Sequences, pool: str) -> np.ndarray:
    """Each sequence alone through torch.nn, with the same weights."""
    rows = []
    for k in range(len(texts)):
        ids, _ = texts.take(np.array([k]))
        first = model.memory[0]
        size = first.hidden_size * (2 if first.bidirectional else 1)
        if not len(ids):
            rows.append(np.zeros(size, np.float32))
            continue
        steps = model.embedding.weight[torch.from_numpy(ids.astype(np.int64))].detach()
        for layer in model.memory:
            kind = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}[layer.cell]
            own = kind(layer.input_size, layer.hidden_size, bidirectional=layer.bidirectional)
            own.load_state_dict(layer.state_dict())
            with torch.no_grad():
                steps, state = own(steps)
        h = state[0] if isinstance(state, tuple) else state
        found = {"last": h.flatten(), "max": steps.max(0).values, "mean": steps.mean(0)}
        if isinstance(state, tuple):
            found["cell"] = state[1].flatten()
        rows.append(found[pool].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("pool", SUMMARIES)
@pytest.mark.parametrize(
    ("cell", "layers", "both"), [("lstm", 1, False), ("lstm", 2, True), ("gru", 1, True)]
)
def test_they_are_what_torch_keeps(cell: str, layers: int, both: bool, pool: str) -> None:
    """A state of another step, another layer or the wrong half would be another text's thought."""
    if pool == "cell" and cell != "lstm":
        pytest.skip("has no cell state")
    model, texts = classifier(cell, layers, both), sequences()
    np.testing.assert_allclose(
        thought_vectors(model, texts, pool), by_torch(model, texts, pool), atol=TOLERANCE, rtol=0
    )


@pytest.mark.parametrize("pool", SUMMARIES)
def test_those_of_a_language_model_too(pool: str) -> None:
    """The output layer must not matter, nor dropout that a model in training would apply."""
    model = awake(LanguageModel(LanguageModelConfig(VOCABULARY, dim=6, hidden=5, layers=2, dropout=0.5)))
    model.train()
    texts = sequences(3)
    np.testing.assert_allclose(
        thought_vectors(model, texts, pool), by_torch(model, texts, pool), atol=TOLERANCE, rtol=0
    )
    assert model.training


@pytest.mark.parametrize("pool", SUMMARIES)
@pytest.mark.parametrize("cell", ["lstm", "peephole"])
def test_a_sequence_alone_gives_the_bits_it_gives_in_a_batch(cell: str, pool: str) -> None:
    """Vectors that depend on their company cannot be compared with those of another day."""
    model, texts = classifier(cell, 2, True), sequences(7)
    together = thought_vectors(model, texts, pool)
    in_twos = thought_vectors(model, texts, pool, batch_size=2)
    alone = [
        thought_vectors(model, Sequences.of(*texts.take(np.array([k]))), pool) for k in range(len(texts))
    ]
    assert (together == np.concatenate(alone)).all()
    assert (together == in_twos).all()
    assert (together[1] == 0).all()
    assert np.abs(np.delete(together, 1, axis=0)).min(axis=1).all()


def test_what_cannot_be_is_refused() -> None:
    """A GRU has no cell state: silently another vector would be taken for it."""
    with pytest.raises(DataError, match="'gru' has no cell state"):
        thought_vectors(classifier("gru", 1, False), sequences(), "cell")
    with pytest.raises(DataError, match="pool is 'flatten'; expected one of last, max, mean, cell"):
        thought_vectors(classifier("lstm", 1, False), sequences(), "flatten")
    none = thought_vectors(classifier("lstm", 1, True), Sequences.of(np.zeros(0, int), np.zeros(0, int)))
    assert none.shape == (0, 10)
    assert none.dtype == np.float32
