"""Virtual adversarial training: the loss by its formula, the worst perturbation, texts without labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from training_cases import CONFIG, TRAIN, VALID, Data, assert_same, build, corpus, run, stop_at

from gatelight.models.classifier import Classifier
from gatelight.models.inference import predict
from gatelight.models.training import Interrupted, TrainingConfig, train
from gatelight.models.virtual_adversarial import ENTROPY, VirtualAdversarial

STILL = {"dropout": 0.0, "embedding_dropout": 0.0, "word_dropout": 0.0}
PLAIN = replace(CONFIG, class_weight=None, virtual_adversarial=1e-6, average=None)
UNLABELLED = corpus(50, 2)[:2]


def task(model: Classifier, data: Data, config: TrainingConfig = PLAIN) -> VirtualAdversarial:
    return VirtualAdversarial(model, data, None, None, config, None, UNLABELLED)


@pytest.mark.parametrize(("outputs", "multilabel"), [(1, False), (3, False), (3, True)])
def test_without_a_perturbation_it_is_cross_entropy_and_entropy(outputs: int, multilabel: bool) -> None:
    """By torch's functions; red when means are of the wrong texts, or the divergence of nothing is not 0."""
    model = build(outputs=outputs, multilabel=multilabel, **STILL).double().train()
    ids, lengths, targets = corpus(60, 0, 3 if outputs == 3 else 2)
    if multilabel:
        targets = np.eye(3)[targets]
    learner = task(model, (ids, lengths, targets))
    index = np.array([3, 60, 5, 71, 72, 9, 100])
    found = learner.outcome(index, torch.Generator().manual_seed(0))

    ends = np.r_[0, np.cumsum(learner.all.lengths)]
    parts = [learner.all.ids[ends[k] : ends[k + 1]] for k in index]
    logits = model(np.concatenate(parts), np.array(list(map(len, parts))))
    own = index < 60
    truth = torch.from_numpy(np.asarray(targets)[index[own]])
    if outputs == 3 and not multilabel:
        loss = functional.cross_entropy(logits[own], truth)
        entropy = torch.distributions.Categorical(logits=logits[~own]).entropy().mean()
    else:
        loss = functional.binary_cross_entropy_with_logits(logits[own], truth.reshape(3, -1).double())
        entropy = torch.distributions.Bernoulli(logits=logits[~own]).entropy().mean()
    torch.testing.assert_close(found.loss, loss + ENTROPY * entropy, rtol=0, atol=1e-6)
    assert (found.count, found.weight) == (3, 7)


def test_the_perturbation_found_matters_more_than_any_drawn() -> None:
    """Of the same norm, for nearly every text: red when the gradient is of something else."""
    config = replace(CONFIG, virtual_adversarial=1.0, epochs=12)
    model, _ = run(config, build(**STILL), unlabelled=UNLABELLED)
    learner = task(model.train(), TRAIN, config)
    index = np.flatnonzero(learner.all.lengths[:60] > 2)
    ids, packing = learner.all.packed(index)
    rows, number = model.inputs(ids, packing)
    vectors = rows[torch.from_numpy(number).long()].detach()

    def divergences(r: torch.Tensor) -> torch.Tensor:
        plain, other = (
            model.logits(model.recurrent(x, packing)[0], packing).flatten() for x in (vectors, vectors + r)
        )
        of = [torch.distributions.Bernoulli(logits=logits) for logits in (plain, other)]
        return torch.distributions.kl_divergence(*of).detach()

    generator = torch.Generator().manual_seed(1)
    worst = learner._worst(
        lambda r: functional.binary_cross_entropy_with_logits(
            model.logits(model.recurrent(vectors + r, packing)[0], packing),
            torch.sigmoid(model.logits(model.recurrent(vectors, packing)[0], packing)).detach(),
            reduction="sum",
        ),
        vectors, packing, generator,
    )  # fmt: skip
    position = np.arange(packing.rows) - np.repeat(packing.first, packing.alive)
    counts = np.bincount(position)
    size = np.sqrt(np.bincount(position, vectors.square().mean(1).numpy()) / counts)
    np.testing.assert_allclose(np.sqrt(np.bincount(position, worst.square().sum(1).numpy())), size, rtol=1e-4)
    drawn = []
    for _ in range(20):
        r = torch.randn(vectors.shape, generator=generator)
        scale = size / np.sqrt(np.bincount(position, r.square().sum(1).numpy()))
        drawn.append(divergences(r * torch.from_numpy(scale[position])[:, None].float()))
    assert (divergences(worst) > torch.stack(drawn).amax(0)).float().mean() > 0.9


def test_texts_without_labels_teach() -> None:
    """Two topics of 19 words each; twelve labelled texts show three words each."""
    rng = np.random.default_rng(1)
    topics = np.r_[np.arange(12) % 2, rng.integers(0, 2, 600)]
    ids = np.concatenate([2 + 19 * topic + rng.integers(0, 19, 3) for topic in topics]).astype(np.int32)
    lengths = np.full(612, 3)
    others = ids[36:], lengths[12:]

    def accuracy(norm: float) -> float:
        model = build(**STILL)
        config = TrainingConfig(epochs=60, batch_size=12, learning_rate=1e-2, virtual_adversarial=norm)
        train(model, ids[:36], lengths[:12], topics[:12], config=config, unlabelled=others)
        return float(((predict(model, *others)[:, 0] > 0.5) == topics[12:]).mean())

    assert accuracy(2.0) > accuracy(0.0) + 0.02


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With other unlabelled texts it does not."""
    monkeypatch.setattr("gatelight.models.training.PROGRESS_EVERY", 0.0)
    config, path = replace(CONFIG, virtual_adversarial=1.0), tmp_path / "run.checkpoint"
    whole = run(config, unlabelled=UNLABELLED)
    with pytest.raises(Interrupted):
        run(config, unlabelled=UNLABELLED, checkpoint=path, on_progress=stop_at(5))
    with pytest.raises(Exception, match="on other data"):
        run(config, unlabelled=VALID[:2], checkpoint=path, resume=True)
    assert_same(whole, run(config, build(seed=9), unlabelled=UNLABELLED, checkpoint=path, resume=True))
