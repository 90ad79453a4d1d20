"""Exponential moving average of weights, with the rows of a table averaged only when they change.

Knows parameters only: nothing of optimisers, models or schedules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatelight.models.optimiser_kernels import average_rows, catch_up_rows


class WeightAverage:
    """Polyak-like averaging: mean ← d·mean + (1 − d)·w after each step, exact for every row of the table.

    At step t (from 1) d = min(decay, (1 + t) / (10 + t)), so that short runs are not held at their start
    (TensorFlow's ExponentialMovingAverage with `num_updates`). A row that does not change needs no work:
    its distance from its mean falls by the product of the decays, which is made good when it is next touched.
    """

    def __init__(
        self, decay: float, parameters: Mapping[str, nn.Parameter], table: nn.Parameter | None = None
    ) -> None:
        self.decay = decay
        self.steps = 0
        self._names = list(parameters)
        self._dense = [parameter.detach() for parameter in parameters.values()]
        self._means = [weights.clone() for weights in self._dense]
        self._table = None if table is None else table.detach()
        self._table_mean = None if table is None else table.detach().clone()
        self._seen = torch.zeros(0 if table is None else len(table), dtype=torch.float64)
        self._total = torch.zeros(1, dtype=torch.float64)  # sum of the logarithms of all decays so far

    def before_step(self, rows: NDArray[np.int64] | None) -> None:
        """Call with the row numbers int64 [U] that the optimiser is about to change."""
        if rows is not None and self._table is not None and self._table_mean is not None:
            table, mean = self._table.numpy(), self._table_mean.numpy()
            catch_up_rows(table, mean, self._seen.numpy(), rows, float(self._total))

    @torch.no_grad()
    def after_step(self, rows: NDArray[np.int64] | None) -> None:
        """Call with the same rows once the optimiser has changed them."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self._total += math.log(decay)
        for mean, weights in zip(self._means, self._dense, strict=True):
            mean.lerp_(weights, 1.0 - decay)
        if rows is not None and self._table is not None and self._table_mean is not None:
            table, mean_table = self._table.numpy(), self._table_mean.numpy()
            rest: Any = table.dtype.type(1.0 - decay)
            average_rows(table, mean_table, self._seen.numpy(), rows, rest, float(self._total))

    def weights(self) -> list[Tensor]:
        """The averages up to now, as new tensors: the dense parameters' in order, then the table's."""
        found = [mean.clone() for mean in self._means]
        if self._table is not None and self._table_mean is not None:
            left = torch.exp(self._total - self._seen).to(self._table.dtype)[:, None]
            found.append(self._table + left * (self._table_mean - self._table))
        return found

    def state(self) -> dict[str, Tensor]:
        """Every tensor that the next step depends on, by name; views, not copies."""
        state = {f"mean/{name}": mean for name, mean in zip(self._names, self._means, strict=True)}
        if self._table_mean is not None:
            state |= {"mean/rows": self._table_mean, "seen/rows": self._seen}
        return {**state, "total": self._total}
