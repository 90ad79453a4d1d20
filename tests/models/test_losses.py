"""Losses, weights and accuracies equal torch's and scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional

from gatelight.errors import DataError
from gatelight.models.losses import Objective, class_weights, sequence_weights

EXACT = {"rtol": 1e-6, "atol": 1e-7}  # float32 sums in another order


def sample(outputs: int, multilabel: bool, count: int = 23, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(count, outputs, generator=generator)
    if multilabel:
        return logits, (torch.rand(count, outputs, generator=generator) > 0.6).float()
    if outputs == 1:
        return logits, (torch.rand(count, generator=generator) > 0.4).float()
    return logits, torch.randint(0, outputs, (count,), generator=generator)


def test_two_classes_are_softmax_with_a_zero_logit() -> None:
    """Label smoothing must mean the same in both forms of the same problem."""
    logits, targets = sample(1, False)
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    for smoothing in (0.0, 0.1):
        torch.testing.assert_close(
            Objective(1, label_smoothing=smoothing).loss(logits, targets),
            functional.cross_entropy(both, targets.long(), label_smoothing=smoothing),
            **EXACT,
        )


def test_class_weighted_softmax_equals_torch() -> None:
    """torch also divides by the sum of the weights; dividing by the count would scale the learning rate."""
    logits, targets = sample(4, False)
    by_class = np.array([0.5, 2.0, 1.0, 3.0], dtype=np.float32)
    weights = sequence_weights(targets, None, by_class)
    ours = Objective(4).loss(logits, targets, weights)
    torch.testing.assert_close(
        ours, functional.cross_entropy(logits, targets, torch.from_numpy(by_class)), **EXACT
    )


def test_labels_with_positive_weights_equal_torch() -> None:
    """Rare labels are weighted by their positives, as BCEWithLogitsLoss's pos_weight does."""
    logits, targets = sample(3, True)
    positive = torch.tensor([1.0, 4.0, 0.5])
    torch.testing.assert_close(
        Objective(3, True, positive_weight=positive).loss(logits, targets),
        functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=positive),
        **EXACT,
    )


@pytest.mark.parametrize(("outputs", "multilabel"), [(1, False), (4, False), (3, True), (1, True)])
def test_weights_equal_repetition(outputs: int, multilabel: bool) -> None:
    """A text of weight 3 must pull as three copies of it, in value and in gradient; of weight 0 not."""
    logits, targets = sample(outputs, multilabel)
    counts = torch.randint(0, 4, (len(logits),), generator=torch.Generator().manual_seed(1))
    objective = Objective(outputs, multilabel, label_smoothing=0.1)
    weighted = logits.clone().requires_grad_()
    loss = objective.loss(weighted, targets, counts.float())
    loss.backward()
    repeated = logits.clone().requires_grad_()
    other = objective.loss(repeated.repeat_interleave(counts, 0), targets.repeat_interleave(counts, 0))
    other.backward()
    torch.testing.assert_close(loss, other, **EXACT)
    torch.testing.assert_close(weighted.grad, repeated.grad, **EXACT)


def test_a_batch_of_zero_weights_is_zero_not_nan() -> None:
    """A batch may hold only texts that are switched off; 0 / 0 would end the run."""
    logits, targets = sample(1, False, 4)
    logits.requires_grad_()
    loss = Objective(1).loss(logits, targets, torch.zeros(4))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_softmax_and_its_gradient_equal_torch(dtype: torch.dtype, smoothing: float) -> None:
    """A factor or a sign gone wrong would still fall, and teach something else."""
    logits, targets = sample(300, False)
    ours, theirs = (logits.to(dtype).requires_grad_() for _ in range(2))
    loss = 3 * Objective(300, label_smoothing=smoothing).loss(ours, targets)
    loss.backward()
    wanted = 3 * functional.cross_entropy(theirs, targets, label_smoothing=smoothing)
    wanted.backward()
    torch.testing.assert_close(loss, wanted, **EXACT)
    torch.testing.assert_close(ours.grad, theirs.grad, **EXACT)


@pytest.mark.parametrize("outputs", [1, 3])
def test_logits_without_bounds_give_their_limits(outputs: int) -> None:
    """exp of a large logit is infinite; the loss of one that is right is not."""
    logits = torch.full((2, outputs), -1e30)
    logits[:, 0] = 1e30
    logits.requires_grad_()
    truth = Objective(outputs).prepare([outputs == 1] * 2)
    loss, right = Objective(outputs).loss_and_correct(logits, truth)
    loss.backward()
    assert (loss.item(), right) == (0.0, 2)
    assert logits.grad.abs().max() < 1e-30
    assert torch.isnan(Objective(outputs).loss(logits * torch.nan, truth))


@pytest.mark.parametrize(("outputs", "multilabel"), [(1, False), (4, False), (3, True)])
def test_scores_equal_scikit_learn(outputs: int, multilabel: bool) -> None:
    """Validation must say what an evaluation of the same probabilities says."""
    logits, targets = sample(outputs, multilabel)
    objective = Objective(outputs, multilabel)
    p = (logits.softmax(1) if objective.softmax else logits.sigmoid()).numpy()
    loss, accuracy = objective.scores(p, targets)
    truth = targets.numpy()
    if outputs == 4:
        assert loss == pytest.approx(log_loss(truth, p, labels=range(4)), rel=1e-6)
        assert accuracy == accuracy_score(truth, p.argmax(1))
    elif multilabel:
        each = [log_loss(truth[:, c], p[:, c], labels=[0, 1]) for c in range(3)]
        assert loss == pytest.approx(np.mean(each), rel=1e-6)
        assert accuracy == accuracy_score(truth, p > 0.5)
    else:
        assert loss == pytest.approx(log_loss(truth, p[:, 0], labels=[0, 1]), rel=1e-6)
        assert accuracy == accuracy_score(truth, p[:, 0] > 0.5)
    assert objective.loss_and_correct(logits, targets)[1] == round(accuracy * len(truth))


def test_scores_of_certain_mistakes_are_finite() -> None:
    """One text classified wrongly with probability 1 must not make the whole validation loss infinite."""
    loss, accuracy = Objective(1).scores(np.array([[1.0], [0.0]], np.float32), torch.tensor([0.0, 0.0]))
    assert np.isfinite(loss)
    assert accuracy == 0.5


@pytest.mark.parametrize("make", [lambda t: t, lambda t: t.float()], ids=["int", "float"])
def test_balanced_weights_equal_scikit_learn(make: Callable[[Tensor], Tensor]) -> None:
    """ "balanced" is a word of scikit-learn's and must mean the same."""
    targets = torch.tensor([0] * 9 + [1] * 2)
    wanted = compute_class_weight("balanced", classes=np.array([0, 1]), y=targets.numpy())
    np.testing.assert_allclose(class_weights("balanced", make(targets), 2), wanted, rtol=1e-6)


def test_balanced_labels_and_absent_classes_stay_finite() -> None:
    """A label that never occurs, or a class without texts, must not give an infinite weight."""
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(class_weights("balanced", labels, 2, multilabel=True), [2.0, 3.0])
    np.testing.assert_allclose(class_weights("balanced", torch.tensor([0, 0, 2]), 3), [0.75, 1.0, 1.5])


def test_class_weights_from_a_mapping() -> None:
    """Classes that are not named keep weight 1; weights of soft targets lie in between."""
    by_class = class_weights({1: 3.0}, torch.tensor([0.0, 1.0]), 2)
    np.testing.assert_allclose(by_class, [1.0, 3.0])
    weights = sequence_weights(torch.tensor([0.0, 1.0, 0.5]), [1.0, 2.0, 1.0], by_class)
    assert weights is not None
    assert weights.tolist() == [1.0, 6.0, 2.0]


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: Objective(3).prepare([0, 3]), "int64.*0 to 2"),
        (lambda: Objective(3).prepare([0.0, 1.0]), "class numbers"),
        (lambda: Objective(1).prepare([0, 2]), "0 to 1"),
        (lambda: Objective(1).prepare([0.0, np.nan]), "0 to 1"),
        (lambda: Objective(1).prepare(["pos", "neg"]), "<U3.*numbers"),
        (lambda: Objective(2, True).prepare([[0, 1, 1]]), r"\[B, 2\]"),
        (lambda: class_weights({5: 1.0}, torch.tensor([0, 1]), 2), "class 5"),
        (lambda: class_weights([1.0, -1.0], torch.tensor([0, 1]), 2), "above 0"),
        (lambda: class_weights([1.0], torch.tensor([0, 1]), 2), "2 classes"),
        (lambda: sequence_weights(torch.tensor([0, 1]), [1.0], None), "one per text"),
        (lambda: sequence_weights(torch.tensor([0, 1]), [1.0, -1.0], None), "0 or more"),
        (lambda: sequence_weights(torch.tensor([0, 1]), [0.0, 0.0], None), "not all 0"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_word(call: Callable[[], object], word: str) -> None:
    """A class number out of range would otherwise surface as an index error deep inside torch."""
    with pytest.raises(DataError, match=word):
        call()
