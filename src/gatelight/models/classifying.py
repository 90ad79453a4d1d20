"""Learning to classify: a classifier with labelled sequences, as the task of a training run.

Knows ids, lengths and targets: nothing of optimisers or of the loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gatelight.models.batches import plan_batches
from gatelight.models.classifier import Classifier
from gatelight.models.inference import predict
from gatelight.models.labelled import Given, training_data
from gatelight.models.process_group import process_group
from gatelight.models.subwords import Subwords
from gatelight.models.task import Outcome, outcome_of
from gatelight.models.training_config import TrainingConfig


class Classifying:
    """`model` and what it learns from; a `Task`. Batches are numbers of sequences."""

    def __init__(
        self,
        model: Classifier,
        given: Given,
        sample_weight: ArrayLike | None,
        valid: Given | None,
        config: TrainingConfig,
        subwords: Subwords | None = None,
    ) -> None:
        """Raises DataError where data, targets and config do not fit each other."""
        self.model, self.config, self.subwords = model, config, subwords
        self.group = process_group()
        self.objective, self.data, self.valid = training_data(model, given, sample_weight, valid, config)
        self.steps_per_epoch = -(-len(self.data.targets) // config.batch_size)
        self.validates = self.valid is not None

    def settings(self) -> dict[str, Any]:
        """The model's configuration."""
        return self.model.config.to_dict()

    def plan(self, epoch: int) -> list[NDArray[np.int64]]:
        """The batches of an epoch."""
        config = self.config
        return plan_batches(
            self.data.sequences.lengths,
            config.batch_size,
            seed=config.seed,
            epoch=epoch,
            bucket=config.bucket,
        )

    def outcome(self, index: NDArray[np.int64], generator: torch.Generator) -> Outcome:
        """Classify the sequences numbered `index`."""
        ids, packing = self.data.sequences.packed(index, self.group.part)
        targets, weights = self.data.chosen(index[packing.order])
        weight = len(targets) if weights is None else float(weights.sum())
        hidden, _ = self.model.hidden(ids, packing, None, generator, self.subwords)
        logits = self.model.logits(hidden, packing, generator)
        loss, right = self.objective.loss_and_correct(logits, targets, weights)
        return outcome_of(loss, len(targets), weight, right)

    def after_step(self) -> None:
        """No batch leaves anything to the next one."""

    def state(self) -> dict[str, Tensor]:
        """Nothing."""
        return {}

    def validate(self) -> tuple[float, float]:
        """Loss and accuracy on the validation sequences."""
        assert self.valid is not None
        sequences = self.valid.sequences
        ids, lengths = sequences.take(np.arange(self.group.rank, len(sequences), self.group.size))
        probabilities = self.group.joined(predict(self.model, ids, lengths, subwords=self.subwords))
        return self.objective.scores(probabilities, self.valid.targets)

    def arrays(self) -> list[NDArray[Any] | Tensor | None]:
        """Training and validation data, and what the ids beyond the vocabulary are made of."""
        valid: list[Any] = [None] if self.valid is None else self.valid.arrays()
        ngrams = [] if self.subwords is None else [self.subwords.starts, self.subwords.rows]
        return [*self.data.arrays(), *valid, *ngrams]
