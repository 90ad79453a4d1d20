"""Gradual unfreezing: which weights of a classifier are trained from which epoch on.

Howard & Ruder 2018 (arXiv:1801.06146), section 3.3: what was learned before is not destroyed by the first
gradients of a head that knows nothing yet.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn


class Unfreezing:
    """Group after group begins to train: the head, the memory's layers from the last down, the embedding.

    A group more each epoch; where there are fewer epochs than groups several at once, so that the last epoch
    trains all.
    """

    def __init__(self, model: Any, epochs: int) -> None:
        """`model` is a classifier; what it does not train stays frozen."""
        parts: Iterable[nn.Module] = [model.head, *reversed(list(model.memory)), model.embedding]
        trained = [[p for p in part.parameters() if p.requires_grad] for part in parts]
        self._groups = [group for group in trained if group]
        self._epochs = epochs

    def begin(self, epoch: int) -> None:
        """Let train what epoch number `epoch`, from 0, trains."""
        groups = len(self._groups)
        unfrozen = max(epoch + 1, -(-groups * (epoch + 1) // self._epochs))
        for place, group in enumerate(self._groups):
            for parameter in group:
                parameter.requires_grad_(place < unfrozen)

    def end(self) -> None:
        """Leave all as it was found."""
        self.begin(len(self._groups))
