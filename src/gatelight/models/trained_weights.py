"""The weights of a model that training changes: dense parameters, and a table trained by its touched rows.

Knows parameters only: nothing of data, optimisers or the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatelight.errors import DataError


class TrainedWeights:
    """`dense` parameters by name and the `table` [V, D] of a trained `model.embedding` (None if frozen)."""

    def __init__(self, model: nn.Module) -> None:
        """Sort the parameters that want gradients and forget old gradients; DataError if there are none."""
        named = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not named:
            raise DataError("the model has no weights to train; unfreeze some")
        embedding: Any = getattr(model, "embedding", None)
        by_rows = getattr(embedding, "sparse", False) and embedding.weight.requires_grad
        self._embedding = embedding if by_rows else None
        self.table: nn.Parameter | None = embedding.weight if by_rows else None
        self.dense = {name: p for name, p in named.items() if p is not self.table}
        self._table_name = next((name for name, p in named.items() if p is self.table), "")
        for parameter in named.values():
            parameter.grad = None

    def touched(self) -> tuple[NDArray[np.int64], Tensor] | None:
        """The last batch's distinct row numbers int64 [U] and rows [U, D] with their gradient."""
        return None if self._embedding is None else self._embedding.touched

    @contextmanager
    def before_reading(self, prepare: Callable[[NDArray[np.int64]], None]) -> Iterator[None]:
        """Inside the block, have `prepare` called with the distinct rows that a training step is to read."""
        if self._embedding is None:
            yield
            return
        self._embedding.before_reading = prepare
        try:
            yield
        finally:
            self._embedding.before_reading = None

    def forget_touched(self) -> None:
        """Let go of the last batch's rows."""
        if self._embedding is not None:
            self._embedding.touched = None

    def parameters(self) -> dict[str, nn.Parameter]:
        """The weights by name, dense ones first, the table last."""
        table = {} if self.table is None else {self._table_name: self.table}
        return {**self.dense, **table}

    def tensors(self) -> dict[str, Tensor]:
        """As `parameters`: the tensors themselves, not copies."""
        return {name: parameter.detach() for name, parameter in self.parameters().items()}

    @torch.no_grad()
    def put(self, weights: Mapping[str, Tensor]) -> None:
        """Copy `weights` into the model's."""
        for name, tensor in self.tensors().items():
            tensor.copy_(weights[name])
