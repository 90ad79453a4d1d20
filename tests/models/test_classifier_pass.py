"""A training step's own way forward and back against autograd through the same classifier, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gatelight.models.batches import Sequences
from gatelight.models.classifier import Classifier
from gatelight.models.classifier_config import ClassifierConfig
from gatelight.models.classifier_pass import ClassifierPass
from gatelight.models.losses import Objective
from gatelight.models.pieces import Pieces
from gatelight.models.pools import POOLS
from gatelight.nn.threads import using

V, B = 40, 20
CONFIG = ClassifierConfig(
    vocabulary_size=V, dim=6, hidden=17, max_length=30, outputs=3, dropout=0.3, layer_dropout=0.2,
    embedding_dropout=0.4, word_dropout=0.1,
)  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    **{f"cell {cell}": {"cell": cell} for cell in ("rnn", "lstm", "peephole", "gru")},
    **{f"pool {pool}": {"pool": pool, "bidirectional": pool != "flatten"} for pool in POOLS},
    "flatten, both directions": {"pool": "flatten", "bidirectional": True},
    "flatten, two layers": {"pool": "flatten", "layers": 2, "cell": "gru"},
    "flatten, shared steps": {"pool": "flatten", "hidden": 192},
    "two layers": {"layers": 2, "bidirectional": True, "cell": "gru"},
    "three layers": {"layers": 3, "cell": "peephole"},
    "frozen words": {"train_embedding": False, "embedding_dropout": 0.0, "word_dropout": 0.0},
    "no dropout": {"dropout": 0.0, "layer_dropout": 0.0, "embedding_dropout": 0.0, "word_dropout": 0.0},
    "pieces": {"buckets": 11, "bidirectional": True},
}


def sequences() -> Sequences:
    random = np.random.default_rng(1)
    lengths = random.integers(0, 31, B)
    return Sequences.of(random.integers(1, V, lengths.sum()), lengths)


def some_pieces() -> Pieces:
    random = np.random.default_rng(2)
    starts = np.concatenate([[0], np.cumsum(random.integers(1, 5, V))])
    return Pieces(V, starts, random.integers(0, 11, starts[-1]).astype(np.int32))


def random_classifier(config: ClassifierConfig) -> Classifier:
    model = Classifier(config, seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(0, 0.4, generator=generator)
        model.embedding.weight[0] = 0
    return model.train()


def gradients(model: Classifier) -> dict[str, Tensor]:
    """Those of the parameters, and of the embedding's rows that were read; and forget them."""
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    if model.embedding.touched is not None:
        rows = model.embedding.touched[1].grad
        assert rows is not None
        found["rows"] = rows
    model.zero_grad()
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_and_gradients_have_autograds_bits(variant: str, threads: int) -> None:
    """A gradient left out, doubled or given to another weight would train something else than is said."""
    with using(threads):
        compare(variant)


def compare(variant: str) -> None:
    """Assert that both ways give the same."""
    model = random_classifier(replace(CONFIG, **VARIANTS[variant]))
    pieces = some_pieces() if model.config.buckets else None
    passes = ClassifierPass(model)
    batch = passes.ahead(sequences()).take(np.arange(B))
    d_logits = np.random.default_rng(5).standard_normal((B, 3)).astype(np.float32)
    logits = model.logits(
        model.hidden_rows(batch.ids, batch.packing, generator := torch.Generator().manual_seed(6), pieces),
        batch.packing,
        generator,
    )
    logits.backward(torch.from_numpy(d_logits))
    wanted = gradients(model)
    assert ClassifierPass.serves(model)
    again, back = passes.forward(batch, torch.Generator().manual_seed(6), pieces)
    assert np.array_equal(again, logits.detach().numpy())
    back(d_logits)
    found = gradients(model)
    trained = {
        name for name, p in model.named_parameters() if p.requires_grad and p is not model.embedding.weight
    }
    assert trained <= set(found)
    assert set(found) == set(wanted)
    for name, gradient in wanted.items():
        assert torch.equal(found[name], gradient), name
        assert gradient.abs().max() > 0, name


@pytest.mark.parametrize("frozen", ["memory.0", "memory.1", "head", "embedding"])
def test_what_is_frozen_gets_no_gradient(frozen: str) -> None:
    """The optimiser moves whatever has a gradient, also what is to be thawed later."""
    model = random_classifier(replace(CONFIG, layers=2))
    for name, parameter in model.named_parameters():
        if name.startswith(frozen):
            parameter.requires_grad_(False)
    passes = ClassifierPass(model)
    batch = passes.ahead(sequences()).take(np.arange(B))
    _, back = passes.forward(batch, torch.Generator().manual_seed(6))
    back(np.ones((B, 3), np.float32))
    for name, parameter in model.named_parameters():
        expected = parameter.requires_grad and name != "embedding.weight"
        assert (parameter.grad is not None) == expected, name


def test_another_path_than_the_kernels_is_left_to_autograd() -> None:
    """The readable equations are asked for by who wants to check the kernels against them."""
    assert not ClassifierPass.serves(Classifier(CONFIG, backend="reference"))
    assert not ClassifierPass.serves(Classifier(CONFIG).bfloat16())
    watched = Classifier(CONFIG)
    assert ClassifierPass.serves(watched)
    watched.head["weight"].register_hook(lambda gradient: gradient)
    assert not ClassifierPass.serves(watched)
    watched = Classifier(CONFIG)
    watched.memory[0].register_forward_hook(lambda *_: None)
    assert not ClassifierPass.serves(watched)


OBJECTIVES = {
    "two classes": Objective(1),
    "two classes, smoothed": Objective(1, label_smoothing=0.1),
    "classes": Objective(3),
    "classes, smoothed": Objective(3, label_smoothing=0.2),
    "labels": Objective(3, multilabel=True),
    "labels, weighted": Objective(3, True, 0.1, torch.tensor([0.5, 2.0, 7.0])),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_by_formula_are_torchs(name: str, weighted: bool) -> None:
    """A factor or a sign gone wrong would still fall, and teach something else."""
    objective, random = OBJECTIVES[name], np.random.default_rng(7)
    logits = random.standard_normal((B, objective.outputs)) * 8
    given = (
        random.integers(0, 2, (B, 3)) if objective.multilabel else random.integers(0, objective.classes, B)
    )
    targets = objective.prepare(given)
    weights = random.uniform(0, 3, B) if weighted else None
    leaf = torch.from_numpy(logits).requires_grad_()
    theirs = objective.loss(leaf, targets, None if weights is None else torch.from_numpy(weights))
    theirs.backward()
    loss, d_logits, right = objective.loss_and_gradient(logits, targets.numpy(), weights)
    assert right == objective.correct(logits, targets.numpy())
    assert loss == pytest.approx(theirs.item(), rel=1e-6)
    np.testing.assert_allclose(d_logits, leaf.grad.numpy(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("outputs", [1, 3])
def test_logits_beyond_all_bounds_give_their_limits(outputs: int) -> None:
    """exp of a large logit is infinite; the loss of one that is right is not."""
    logits = np.full((2, outputs), -1e30, np.float32)
    logits[:, 0] = 1e30
    truth = Objective(outputs).prepare([outputs == 1] * 2).numpy()
    loss, d_logits, right = Objective(outputs).loss_and_gradient(logits, truth)
    assert (loss, right) == (0.0, 2)
    assert not d_logits.any()
    assert np.isnan(Objective(outputs).loss_and_gradient(logits * np.float32(np.nan), truth)[0])
