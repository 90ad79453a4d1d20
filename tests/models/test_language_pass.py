"""A language model's training step past autograd against autograd through the same model, bit for bit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gatelight.models.language_model import LanguageModel, LanguageModelConfig, State
from gatelight.models.language_pass import LanguagePass
from gatelight.models.loss_kernels import of_next_ids
from gatelight.nn import Packing, pack
from gatelight.nn.threads import using

V, B = 21, 12
CONFIG = LanguageModelConfig(
    vocabulary_size=V, dim=9, hidden=17, dropout=0.3, layer_dropout=0.2, embedding_dropout=0.4
)
VARIANTS: dict[str, dict[str, Any]] = {
    **{f"cell {cell}": {"cell": cell} for cell in ("rnn", "lstm", "peephole", "gru")},
    "three layers": {"layers": 3},
    "two layers": {"layers": 2, "cell": "gru"},
    "tied": {"tied": True, "dim": 17},
    "no dropout": {"dropout": 0.0, "layer_dropout": 0.0, "embedding_dropout": 0.0},
    "tied, no dropout": {
        "tied": True, "dim": 17, "dropout": 0.0, "layer_dropout": 0.0, "embedding_dropout": 0.0,
    },
}  # fmt: skip


def random_model(**changes: Any) -> LanguageModel:
    model = LanguageModel(replace(CONFIG, **changes), seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4, generator=generator)
    return model.train()


def a_batch(ragged: bool) -> tuple[Packing, np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    packing = pack(random.integers(0, 31, B) if ragged else np.full(B, 30))
    ids, targets = random.integers(1, V, (2, packing.rows)).astype(np.int32)
    return packing, ids, targets


def some_state(model: LanguageModel) -> State:
    generator = torch.Generator().manual_seed(7)
    return [tuple(torch.randn(t.shape, generator=generator) for t in layer) for layer in model.initial(B)]


def gradients(model: LanguageModel) -> dict[str, Tensor]:
    """Those of the parameters, and of the table's rows that were read; and forget them."""
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    touched = getattr(model.embedding, "touched", None)
    if touched is not None:
        found["rows"] = touched[1].grad
    model.zero_grad()
    return found


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("carried", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_all_has_autograds_bits(variant: str, carried: bool, threads: int) -> None:
    """A gradient left out, or a state that is not carried on, would train something else than is said."""
    model = random_model(**VARIANTS[variant])
    packing, ids, targets = a_batch(ragged=not carried)
    state = some_state(model) if carried else None
    with using(threads):
        hidden, end = model.hidden(ids, packing, state, torch.Generator().manual_seed(6))
        scores = model.scores(hidden)
        d_scores = scores.detach().numpy().copy()
        loss, right = of_next_ids(d_scores, targets)
        scores.backward(torch.from_numpy(d_scores))  # type: ignore[no-untyped-call]
        wanted = gradients(model)
        found = LanguagePass(model).foretell(ids, targets, packing, state, torch.Generator().manual_seed(6))
        found.backward()
    assert (found.loss, found.right) == (loss, right)
    for one, other in zip(found.state, end, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    again = gradients(model)
    assert set(again) == set(wanted)
    trained = [p for p in model.parameters() if p.requires_grad]
    assert len(wanted) == len(trained)  # the table's are those of its rows
    for name, gradient in wanted.items():
        assert torch.equal(again[name], gradient), name
        assert gradient.abs().max() > 0, name


def test_an_adaptive_output_learns_by_autograd() -> None:
    """It has a loss of its own, which the short way does not know."""
    model = random_model(output="adaptive", vocabulary_size=60)
    packing, ids, targets = a_batch(ragged=True)
    found = LanguagePass(model).foretell(ids, targets, packing, None, torch.Generator().manual_seed(6))
    found.backward()
    assert all(torch.isfinite(gradient).all() for gradient in gradients(model).values())
    generator = torch.Generator().manual_seed(6)
    hidden, _ = model.hidden(ids, packing, None, generator)
    loss, _ = model.loss(hidden, torch.from_numpy(targets.astype(np.int64)), generator)
    assert found.loss == loss.item()
    assert found.right is None  # an accuracy of nought would be said


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("tied", [True, False])
def test_a_sampled_output_has_autograds_loss_and_gradients(tied: bool, threads: int) -> None:
    """Samples that are the target, or come twice, must count as autograd counts them."""
    model = random_model(output="sampled", samples=40, tied=tied, dim=17)
    packing, ids, targets = a_batch(ragged=True)
    generator = torch.Generator().manual_seed(6)
    hidden, _ = model.hidden(ids, packing, None, generator)
    loss, _ = model.loss(hidden, torch.from_numpy(targets.astype(np.int64)), generator)
    loss.backward()  # type: ignore[no-untyped-call]
    wanted = gradients(model)
    with using(threads):
        found = LanguagePass(model).foretell(ids, targets, packing, None, torch.Generator().manual_seed(6))
        found.backward()
    assert found.loss == pytest.approx(loss.item(), rel=1e-6)
    assert found.right is None
    again = gradients(model)
    assert set(again) == set(wanted)
    for name, gradient in wanted.items():
        torch.testing.assert_close(again[name], gradient, rtol=1e-4, atol=1e-6, msg=name)
        assert gradient.abs().max() > 0, name


def test_a_hook_is_called() -> None:
    """Who watches a layer would see nothing on a way past torch's modules."""
    model, seen = random_model(), []
    model.memory[0].weight_hh_l0.register_hook(lambda gradient: seen.append(gradient.shape))  # type: ignore[union-attr, operator]
    packing, ids, targets = a_batch(ragged=True)
    LanguagePass(model).foretell(ids, targets, packing, None, torch.Generator()).backward()
    assert seen == [(68, 17)]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("rows", "size"), [(1, 1), (40, 2), (300, 75), (6, 5001)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loss_and_gradient_are_torchs(dtype: type, rows: int, size: int, threads: int) -> None:
    """Another loss than is said would be made small."""
    random = np.random.default_rng(0)
    scores = (random.standard_normal((rows, size)) * 6).astype(dtype)
    targets = random.integers(0, size, rows).astype(np.int32)
    targets[: rows // 2] = scores[: rows // 2].argmax(1)
    given = torch.from_numpy(scores.astype(np.float64)).requires_grad_()
    expected = functional.cross_entropy(given, torch.from_numpy(targets.astype(np.int64)))
    expected.backward()  # type: ignore[no-untyped-call]
    assert given.grad is not None
    with using(threads):
        loss, right = of_next_ids(d_scores := scores.copy(), targets)
    bound = 2e-6 if dtype is np.float32 else 1e-14
    assert loss == pytest.approx(expected.item(), rel=bound, abs=bound)
    assert right == int((scores.argmax(1) == targets).sum())
    np.testing.assert_allclose(d_scores * rows, given.grad.numpy() * rows, atol=bound)


def test_scores_at_their_limits() -> None:
    """Equal scores are a hit for the first only; a lost model must say so by its loss."""
    targets = np.array([0, 1, 2], np.int32)
    assert of_next_ids(np.zeros((3, 5), np.float32), targets) == (pytest.approx(np.log(5)), 1)
    far = np.full((3, 5), -3e38, np.float32)
    far[:, 0] = 3e38
    loss, right = of_next_ids(far, targets)
    assert (loss, right) == (np.inf, 1) or loss > 1e38
    assert np.isfinite(far).all()
    for wrong in (np.nan, np.inf):
        lost = np.zeros((3, 5), np.float32)
        lost[1, 3] = wrong
        assert not np.isfinite(of_next_ids(lost, targets)[0])
