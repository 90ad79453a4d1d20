"""Cross entropy of two classes, many classes and many labels, with smoothing, sample and class weights.

Knows logits and targets only: nothing of models, ids or texts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from gatelight.errors import DataError
from gatelight.models.training_config import ClassWeight

CERTAINTY = float(np.finfo(np.float32).eps)  # float32 probabilities nearer to 0 or 1 than this count as this


@dataclass(frozen=True)
class Objective:
    """What a model with `outputs` logits is trained for: 1 = two classes by sigmoid, C = softmax or C labels.

    Targets: float [B] in 0..1 (two classes), int64 [B] (softmax), float [B, C] in 0..1 (labels).
    `label_smoothing` s mixes the targets with the uniform distribution: (1 − s)·target + s / classes.
    `positive_weight` [C] multiplies the positive term of each label (labels only).
    """

    outputs: int
    multilabel: bool = False
    label_smoothing: float = 0.0
    positive_weight: Tensor | None = None

    @property
    def softmax(self) -> bool:
        """Whether the outputs exclude each other."""
        return self.outputs > 1 and not self.multilabel

    @property
    def classes(self) -> int:
        """How many classes (or labels) the targets tell apart."""
        return 2 if self.outputs == 1 and not self.multilabel else self.outputs

    def prepare(self, targets: ArrayLike) -> Tensor:
        """Targets as the tensor that `loss` takes; raises DataError where they do not fit the outputs."""
        array, most = np.asarray(targets), self.outputs - 1 if self.softmax else 1
        fits = array.dtype.kind in ("biu" if self.softmax else "biuf") and array.ndim == 1 + self.multilabel
        fits = fits and array.shape[1:] == ((self.outputs,) if self.multilabel else ())
        if not (fits and ((array >= 0) & (array <= most)).all()):  # NaN fails this too
            what = f"[B, {self.outputs}] of numbers" if self.multilabel else "[B] of class numbers"
            shown = f"{array.dtype} of shape {array.shape}"
            raise DataError(f"targets came as {shown}; expected {what} from 0 to {most}")
        return torch.from_numpy(np.ascontiguousarray(array, np.int64 if self.softmax else np.float32))

    def loss(self, logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mean cross entropy of logits [B, outputs]: sum(weight·loss) / sum(weight) over the batch.

        `weights` [B] or None. A sequence of weight 2 counts as two. With labels, a sequence's loss is
        the mean over its labels. A batch whose weights are all zero has loss 0.
        """
        return self.loss_and_correct(logits, targets, weights)[0]

    def loss_and_correct(
        self, logits: Tensor, targets: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, int]:
        """As `loss`, and how many of the B sequences are classified right; with labels, if every label is."""
        if self.softmax:
            losses, right = softmax_losses(logits, targets, self.label_smoothing)
        else:
            x, truth = logits.double(), targets.reshape(logits.shape)
            smooth = truth.double() * (1 - self.label_smoothing) + 0.5 * self.label_smoothing
            losses = functional.binary_cross_entropy_with_logits(
                x, smooth, pos_weight=self.positive_weight, reduction="none"
            ).mean(1)
            right = int(((x > 0) == (truth > 0.5)).all(1).sum())
        weights = torch.ones(len(logits)) if weights is None else weights
        # A batch whose weights are all zero divides by something all the same.
        tiny = torch.finfo(torch.float64).tiny
        mean = (losses.double() * weights).sum() / weights.double().sum().clamp_min(tiny)
        return mean.to(logits.dtype), right

    def scores(self, probabilities: NDArray[np.floating], targets: Tensor) -> tuple[float, float]:
        """Mean cross entropy and accuracy of probabilities [B, outputs], unweighted, unsmoothed, in float64.

        Probabilities nearer than CERTAINTY to 0 or 1 count as that near, so that one overconfident
        mistake does not make the whole infinite (as scikit-learn's log_loss does).
        """
        p = np.asarray(probabilities, dtype=np.float64)
        truth = targets.numpy()
        if self.softmax:
            likelihood = np.clip(p[np.arange(len(p)), truth], CERTAINTY, 1.0)
            return float(-np.log(likelihood).mean()), float((p.argmax(axis=1) == truth).mean())
        p = p if self.multilabel else p[:, 0]
        right = (p > 0.5) == (truth > 0.5)
        p = np.clip(p, CERTAINTY, 1.0 - CERTAINTY)
        loss = -(truth * np.log(p) + (1.0 - truth) * np.log1p(-p))
        return float(loss.mean()), float((right.all(axis=1) if self.multilabel else right).mean())


def softmax_losses(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> tuple[Tensor, int]:
    """The cross entropy [N] of logits [N, C] and class numbers [N], and how often the target is likeliest."""
    losses: Tensor = _SoftmaxLosses.apply(logits, targets, smoothing)  # type: ignore[no-untyped-call]
    return losses, int((logits.detach().argmax(1) == targets).sum())


class _SoftmaxLosses(torch.autograd.Function):
    """torch's cross_entropy with one array of the logits' size instead of three; C may be a vocabulary's."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        log_p = torch.log_softmax(logits, 1)
        ctx.log_p, ctx.targets, ctx.smoothing = log_p, targets, smoothing
        losses = -log_p.gather(1, targets[:, None])[:, 0]
        return (1 - smoothing) * losses - smoothing * log_p.mean(1) if smoothing else losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_losses: Tensor) -> tuple[Tensor, None, None]:
        given, log_p, ctx.log_p = d_losses[:, None], ctx.log_p, None  # which is overwritten
        d_logits = log_p.exp_().mul_(given)
        if ctx.smoothing:
            d_logits -= given * (ctx.smoothing / d_logits.shape[1])
        return d_logits.scatter_add_(1, ctx.targets[:, None], given * (ctx.smoothing - 1)), None, None


def class_weights(
    wanted: ClassWeight, targets: Tensor, classes: int, *, multilabel: bool = False
) -> NDArray[np.float32] | None:
    """The weight of each class [classes], or with `multilabel` of each label's positives.

    "balanced" is n / (classes · count) as in scikit-learn, so that every class weighs the same in
    all; with labels it is negatives / positives (torch's advice for pos_weight). A mapping may leave out
    classes, which then weigh 1. Raises DataError for unknown classes and weights that are not positive.
    """
    if wanted is None:
        return None
    if isinstance(wanted, str):
        if wanted != "balanced":
            raise DataError(
                f"class_weight came as {wanted!r}; expected 'balanced', weights by class, or none"
            )
        if multilabel:
            positives = targets.sum(dim=0).numpy().astype(np.float64)
            ratio = (len(targets) - positives).clip(1.0) / positives.clip(1.0)
            return np.asarray(ratio, dtype=np.float32)
        if targets.dtype.is_floating_point:
            ones = float(targets.to(torch.float64).sum())
            counts = np.array([len(targets) - ones, ones])
        else:
            counts = np.bincount(targets.numpy(), minlength=classes).astype(np.float64)
        present = counts > 0
        weights = np.ones(classes)
        weights[present] = counts.sum() / (present.sum() * counts[present])
        return weights.astype(np.float32)
    if isinstance(wanted, Mapping):
        pairs = {int(number): float(weight) for number, weight in wanted.items()}
        unknown = sorted(number for number in pairs if not 0 <= number < classes)
        if unknown:
            raise DataError(f"class_weight names class {unknown[0]}; there are classes 0 to {classes - 1}")
        weights = np.array([pairs.get(number, 1.0) for number in range(classes)])
    else:
        weights = np.asarray(wanted, dtype=np.float64)
        if weights.shape != (classes,):
            raise DataError(f"class_weight has {weights.size} weights; there are {classes} classes")
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise DataError("class_weight must hold finite weights above 0")
    return weights.astype(np.float32)


def sequence_weights(
    targets: Tensor, sample_weight: ArrayLike | None, by_class: NDArray[np.float32] | None
) -> Tensor | None:
    """The weight float32 [B] of each sequence: its sample weight times its class's; None where all are 1.

    A target between the two classes is weighted in between. Raises DataError for weights that are
    negative, not finite, of the wrong number or all zero.
    """
    weights: NDArray[np.float64] | None = None
    if sample_weight is not None:
        weights = np.asarray(sample_weight, dtype=np.float64)
        if weights.shape != (len(targets),):
            raise DataError(
                f"sample_weight has shape {weights.shape}; expected one per text, [{len(targets)}]"
            )
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
            raise DataError("sample_weight must be finite, 0 or more, and not all 0")
    if by_class is not None:
        if targets.dtype.is_floating_point:
            t = targets.numpy().astype(np.float64)
            factor = (1.0 - t) * by_class[0] + t * by_class[1]
        else:
            factor = by_class[targets.numpy()].astype(np.float64)
        weights = factor if weights is None else weights * factor
    return None if weights is None else torch.from_numpy(weights.astype(np.float32))
