"""Virtual adversarial training: answers that stay as they are near every text, also where no label is known.

The loss of a batch is that of its labelled texts, plus KL(p(x) ‖ p(x + r)) of all its texts, plus ENTROPY
times the entropy of the answers for the unlabelled ones. r is the perturbation of a text's word vectors, of a
given norm, that changes the answer most; one gradient from a random direction finds it. After Miyato, Maeda,
Koyama & Ishii 2019 (arXiv:1704.03976) and, for texts, Miyato, Dai & Goodfellow 2017 (arXiv:1605.07725) and
Sachan, Zaheer & Salakhutdinov 2019 (arXiv:2009.04007).

Legend: n sequences of a batch, N its packed rows, D embedding size, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from gatelight.models.batches import Sequences
from gatelight.models.classifier import Classifier
from gatelight.models.classifying import Classifying, Given
from gatelight.models.dropout import dropout
from gatelight.models.subwords import Subwords
from gatelight.models.task import Outcome
from gatelight.models.training_config import TrainingConfig
from gatelight.nn import Packing

UNLABELLED = 1.5  # unlabelled texts in a batch for each labelled one, where there are any
ENTROPY = (
    0.3  # weight of the entropy; at 1 the first guesses of a model that saw few labels become its answers
)
FIRST = 0.1  # norm of the random perturbation at which the gradient is taken
TINY = 1e-20  # norm below which a gradient has no direction


class VirtualAdversarial(Classifying):
    """A classifier that learns from labelled sequences and, where given, from unlabelled ones.

    Perturbations are of norm `config.virtual_adversarial`, in units of the root mean square of the numbers in
    the text's word vectors: were it absolute, training could evade it by larger vectors. Batches have
    `config.batch_size` labelled sequences; an epoch reads these once.
    """

    def __init__(
        self,
        model: Classifier,
        given: Given,
        sample_weight: ArrayLike | None,
        valid: Given | None,
        config: TrainingConfig,
        subwords: Subwords | None = None,
        unlabelled: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        """`unlabelled` are ids [N] and lengths [B]; raises DataError where they do not fit each other."""
        super().__init__(model, given, sample_weight, valid, config, subwords)
        own = self.data.sequences
        self.labelled, self.all = len(own), own
        if unlabelled is not None:
            others = Sequences.of(*unlabelled)
            self.all = Sequences.of(
                np.concatenate([own.ids, others.ids]), np.concatenate([own.lengths, others.lengths])
            )

    def plan(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of labelled sequences, each with unlabelled ones of about its length."""
        batches, lengths = super().plan(epoch), self.all.lengths
        others = len(self.all) - self.labelled
        if not others:
            return batches
        random = np.random.default_rng([self.config.seed, epoch, 1])
        wanted = [round(UNLABELLED * len(batch)) for batch in batches]
        rounds = [random.permutation(others) for _ in range(-(-sum(wanted) // others))]
        drawn = self.labelled + np.concatenate(rounds)[: sum(wanted)]
        drawn = drawn[np.argsort(lengths[drawn], kind="stable")]
        at = 0
        for place in np.argsort([lengths[batch].mean() for batch in batches], kind="stable"):
            batches[place] = np.concatenate([batches[place], drawn[at : at + wanted[place]]])
            at += wanted[place]
        return batches

    def outcome(self, index: NDArray[np.int64], generator: torch.Generator) -> Outcome:
        """Classify the sequences numbered `index` as they are, and beside their worst perturbations."""
        model = self.model
        ids, packing = self.all.packed(index, self.group.part)
        own = index[packing.order]
        labelled = torch.from_numpy(own < self.labelled)
        rows, number = model.inputs(ids, packing, generator, self.subwords)
        token = torch.from_numpy(number)
        drawn = generator.get_state()  # all passes of a step drop the same units

        def logits(rows: Tensor, token: Tensor | None = None) -> Tensor:
            generator.set_state(drawn)
            hidden, _ = model.recurrent(rows, packing, token, None, generator)
            return model.logits(hidden, packing, generator)

        plain = logits(rows, token)
        known = plain.detach()
        p = torch.softmax(known, 1) if self.objective.softmax else torch.sigmoid(known)
        vectors = functional.embedding(token, rows)

        def divergence(r: Tensor, vectors: Tensor = vectors) -> Tensor:
            return (self._cross_entropy(logits(vectors + r), p) - self._cross_entropy(known, p)).sum()

        worst = self._worst(lambda r: divergence(r, vectors.detach()), vectors, packing, generator)
        targets, weights = self.data.chosen(own[labelled.numpy()])
        loss, right = self.objective.loss_and_correct(plain[labelled], targets, weights)
        weight = len(targets) if weights is None else float(weights.sum())
        # Means over the whole batch, of which other processes may have other parts.
        first = index[index < self.labelled]
        every = self.data.chosen(first)[1]
        total, others = len(first) if every is None else float(every.sum()), len(index) - len(first)
        summed = divergence(worst) + loss * (weight * len(index) / total if total else 0.0)
        if others:
            free = plain[~labelled]
            q = torch.softmax(free, 1) if self.objective.softmax else torch.sigmoid(free)
            summed = summed + ENTROPY * self._cross_entropy(free, q).sum() * (len(index) / others)
        return Outcome(summed / max(len(own), 1), len(targets), float(len(own)), right)

    def arrays(self) -> list[NDArray[Any] | Tensor | None]:
        """As those of the labelled sequences, and the unlabelled ones."""
        return [*super().arrays(), self.all.ids, self.all.lengths]

    def _cross_entropy(self, logits: Tensor, p: Tensor) -> Tensor:
        """−Σ p·log q [n] of the answers q of logits [n, O]; of several labels the mean of theirs."""
        if self.objective.softmax:
            return -(p * torch.log_softmax(logits, 1)).sum(1)
        return functional.binary_cross_entropy_with_logits(logits, p, reduction="none").mean(1)

    def _worst(
        self,
        divergence: Callable[[Tensor], Tensor],
        vectors: Tensor,
        packing: Packing,
        generator: torch.Generator,
    ) -> Tensor:
        """The perturbation [N, D], of the norm asked for in each sequence, that the answers mind most."""
        # ±1 by the number of the row, so that each process draws for its part what one would for the whole.
        signs = dropout(torch.ones_like(vectors), 0.5, generator, packing.row_numbers) - 1
        sequence = torch.from_numpy(np.arange(packing.rows) - np.repeat(packing.first, packing.alive))

        def sums(of: Tensor) -> Tensor:
            return of.new_zeros(packing.sequences).index_add_(0, sequence, of)

        size = (sums(vectors.detach().square().mean(1)) / sums(torch.ones_like(vectors[:, 0]))).sqrt()

        def of_norm(direction: Tensor, norm: float) -> Tensor:
            length = sums(direction.square().sum(1)).sqrt().clamp_min(TINY)
            return direction * (norm * size / length)[sequence][:, None]

        first = of_norm(signs, FIRST).requires_grad_()
        (gradient,) = torch.autograd.grad(divergence(first), first)
        return of_norm(gradient, self.config.virtual_adversarial)
