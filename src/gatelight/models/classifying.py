"""Learning to classify: a classifier with labelled sequences, as the task of a training run.

Sequences, targets and weights are checked against what the model puts out. Knows ids, lengths and targets:
nothing of optimisers or of the loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gatelight.errors import DataError
from gatelight.models.batches import Sequences, plan_batches
from gatelight.models.classifier import Classifier
from gatelight.models.inference import predict
from gatelight.models.losses import Objective, class_weights, sequence_weights
from gatelight.models.process_group import process_group
from gatelight.models.subwords import Subwords
from gatelight.models.task import Outcome, Task
from gatelight.models.training_config import TrainingConfig


@dataclass(frozen=True)
class Labelled:
    """B sequences, their targets [B] or [B, C], and the weight float32 [B] of each (None: all 1)."""

    sequences: Sequences
    targets: Tensor
    weights: Tensor | None = None

    @classmethod
    def of(cls, objective: Objective, ids: ArrayLike, lengths: ArrayLike, targets: ArrayLike) -> Labelled:
        """Check and take over; raises DataError where there is none, or not one target for each sequence."""
        sequences, prepared = Sequences.of(ids, lengths), objective.prepare(targets)
        if len(sequences) != len(prepared):
            raise DataError(f"{len(sequences)} texts came with {len(prepared)} targets; expected as many")
        if not len(sequences):
            raise DataError("there are no texts; expected at least one")
        return cls(sequences, prepared)

    def chosen(self, index: NDArray[np.int64]) -> tuple[Tensor, Tensor | None]:
        """Targets and weights of the sequences number `index` int64 [b]."""
        rows = torch.from_numpy(index)
        return self.targets[rows], None if self.weights is None else self.weights[rows]

    def arrays(self) -> list[NDArray[np.int32] | NDArray[np.int64] | Tensor | None]:
        """All that says which data these are, in a fixed order."""
        return [self.sequences.ids, self.sequences.lengths, self.targets, self.weights]


Given = tuple[ArrayLike, ArrayLike, ArrayLike]  # ids [N], lengths [B], targets [B] or [B, C]


class Classifying(Task):
    """`model` and what it learns from. Batches are numbers of sequences."""

    model: Classifier

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
        outputs, multilabel = model.config.outputs, model.config.multilabel
        plain = Objective(outputs, multilabel, config.label_smoothing)
        data = Labelled.of(plain, *given)
        by_class = class_weights(config.class_weight, data.targets, plain.classes, multilabel=multilabel)
        if multilabel and by_class is not None:
            self.objective, by_class = replace(plain, positive_weight=torch.from_numpy(by_class)), None
        else:
            self.objective = plain
        self.data = replace(data, weights=sequence_weights(data.targets, sample_weight, by_class))
        if valid is None and config.patience is not None:
            raise DataError("patience needs validation data; give some, or leave patience out")
        self.valid = None if valid is None else Labelled.of(plain, *valid)
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
        return Outcome(loss, len(targets), weight, right)

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
