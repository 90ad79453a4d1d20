"""Sequences with their targets and weights, checked against what a model puts out.

Knows ids, lengths and numbers only: nothing of the loop or of texts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from gatelight.errors import DataError
from gatelight.models.batches import Sequences
from gatelight.models.classifier import Classifier
from gatelight.models.losses import Objective, class_weights, sequence_weights
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


def training_data(
    model: Classifier,
    given: Given,
    sample_weight: ArrayLike | None,
    valid: Given | None,
    config: TrainingConfig,
) -> tuple[Objective, Labelled, Labelled | None]:
    """What `model` is trained for, the data with weights as `config` has them, and the validation data.

    Raises DataError where they do not fit the model's outputs or each other.
    """
    outputs, multilabel = model.config.outputs, model.config.multilabel
    plain = Objective(outputs, multilabel, config.label_smoothing)
    data = Labelled.of(plain, *given)
    by_class = class_weights(config.class_weight, data.targets, plain.classes, multilabel=multilabel)
    positive = None if by_class is None or not multilabel else torch.from_numpy(by_class)
    weights = sequence_weights(data.targets, sample_weight, None if multilabel else by_class)
    if valid is None and config.patience is not None:
        raise DataError("patience needs validation data; give some, or leave patience out")
    return (
        Objective(outputs, multilabel, config.label_smoothing, positive),
        Labelled(data.sequences, data.targets, weights),
        None if valid is None else Labelled.of(plain, *valid),
    )
