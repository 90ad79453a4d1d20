"""Heads that turn the packed rows of a batch into one row per sequence, and back; knows arrays, and no torch.

Nothing of shape [B, T, F] is ever built. Results come in packed order (longest sequence first); an empty
sequence gives zeros and takes no gradient. Legend: B sequences, T steps, N packed rows, F features of a row
(directions × H), O outputs. A new head is one class here and one line in `POOLS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.models import pooling_kernels as kernels
from gatelight.models import pooling_parts
from gatelight.models.dropping import Drop
from gatelight.nn import threads
from gatelight.nn.kernels import buffers
from gatelight.nn.packing import Packing

Floats = NDArray[Any]
Weights = Mapping[str, Floats]
Gradients = tuple[Floats, dict[str, Floats]]
"""Of the hidden states, [N, F], and of the head's own weights by name."""

FLATTEN_WORK = 4  # reading a row takes longer than multiplying it


class Pool:
    """A head: hidden [N, F] → [B, width], and its gradient from that of the result."""

    holds_dense: ClassVar[bool] = False  # the head already gives logits

    @staticmethod
    def width(features: int) -> int:
        """The width of what is pooled of rows of F features."""
        return features

    @staticmethod
    def shapes(features: int) -> dict[str, tuple[int, ...]]:
        """The shapes of the weights that the head learns itself, the dense layer's aside."""
        return {}

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Return what is pooled [B, width], and what `backward` wants to know of it."""
        raise NotImplementedError

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """Return the gradients of hidden and weights; arrays as `forward` had and left them."""
        raise NotImplementedError


class Last(Pool):
    """The forward half of each last step, the backward half of each first: h_n."""

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Rows of the last steps."""
        present, ends, half = _ends(hidden, packing, directions)
        pooled = np.zeros((packing.sequences, hidden.shape[1]), hidden.dtype)
        pooled[:present, :half] = hidden[ends, :half]
        pooled[:present, half:] = hidden[:present, half:]
        return pooled, None

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """Zeros everywhere else."""
        present, ends, half = _ends(hidden, packing, directions)
        d_hidden = buffers.zeros(hidden.shape, hidden.dtype)
        d_hidden[ends, :half] = d_pooled[:present, :half]
        d_hidden[:present, half:] = d_pooled[:present, half:]
        return d_hidden, {}


class Maximum(Pool):
    """The largest value of each feature over the sequence's steps."""

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Keeps the rows of the maxima [B, F]."""
        pooled = np.empty((packing.sequences, hidden.shape[1]), hidden.dtype)
        where = np.empty(pooled.shape, np.int32)
        arrays = hidden, packing.first, packing.alive, packing.lengths, pooled, where
        threads.share(pooling_parts.all_max_forward, arrays, hidden.size)
        return pooled, where

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """Each maximum's row takes all."""
        d_hidden = buffers.empty(hidden.shape, hidden.dtype)
        threads.share(pooling_parts.all_max_backward, (d_pooled, kept, d_hidden, True), hidden.size)
        return d_hidden, {}


class Mean(Pool):
    """The mean of each feature over the sequence's own steps."""

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Keeps nothing."""
        pooled = np.empty((packing.sequences, hidden.shape[1]), hidden.dtype)
        kernels.mean_forward(hidden, packing.first, packing.alive, packing.lengths, pooled)
        return pooled, None

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """Every row takes as much."""
        d_hidden = buffers.empty(hidden.shape, hidden.dtype)
        kernels.mean_backward(d_pooled, packing.first, packing.alive, packing.lengths, d_hidden)
        return d_hidden, {}


class MaximumAndMean(Pool):
    """Maxima, then means: [B, 2F]."""

    @staticmethod
    def width(features: int) -> int:
        """Both."""
        return 2 * features

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Keeps what the maximum does."""
        highest, where = Maximum.forward(hidden, packing, weights, directions)
        return np.concatenate([highest, Mean.forward(hidden, packing, weights, directions)[0]], axis=1), where

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """The sum of both."""
        features = hidden.shape[1]
        highest, mean = (np.ascontiguousarray(d) for d in (d_pooled[:, :features], d_pooled[:, features:]))
        d_hidden, _ = Mean.backward(mean, hidden, packing, weights, directions, None)
        threads.share(pooling_parts.all_max_backward, (highest, kept, d_hidden, False), hidden.size)
        return d_hidden, {}


class Attention(Pool):
    """Rows weighted by softmax(hidden · query / √F) over the sequence's own steps.

    One learned query [F] stands for "what is telling?" (Yang et al. 2016, eq. 6, with scaled dot products for
    scores); at zero it is the mean.
    """

    @staticmethod
    def shapes(features: int) -> dict[str, tuple[int, ...]]:
        """The query."""
        return {"query": (features,)}

    @staticmethod
    def forward(hidden: Floats, packing: Packing, weights: Weights, directions: int) -> tuple[Floats, Any]:
        """Keeps each row's weight [N]."""
        pooled = np.empty((packing.sequences, hidden.shape[1]), hidden.dtype)
        share = np.empty(len(hidden), hidden.dtype)
        query = weights["query"] * _scale(hidden)
        kernels.attention_forward(hidden, packing.first, packing.alive, query, pooled, share)
        return pooled, share

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """The query's too."""
        d_hidden, query = buffers.empty(hidden.shape, hidden.dtype), weights["query"] * _scale(hidden)
        d_query = np.empty_like(query)
        kernels.attention_backward(
            d_pooled, hidden, packing.first, packing.alive, query, kept, d_hidden, d_query
        )
        return d_hidden, {"query": d_query * _scale(hidden)}


class Flatten(Pool):
    """Logits [B, O]: a dense layer on all steps side by side, absent steps counting as zeros.

    weights: "weight" [O, max_length · F], columns step after step, and "bias" [O]. The same numbers as
    flattening a zero-padded [B, max_length, F] array, which is never built.
    """

    holds_dense = True

    @staticmethod
    def forward(
        hidden: Floats, packing: Packing, weights: Weights, directions: int, drop: Drop | None = None
    ) -> tuple[Floats, Any]:
        """With `drop` of the hidden states. Raises DataError for a sequence longer than max_length."""
        weight, bias = weights["weight"], weights["bias"]
        check_steps(packing.steps, hidden.shape[1], weight)
        logits = np.empty((packing.sequences, len(bias)), hidden.dtype)
        arrays = hidden, packing.first, packing.alive, packing.lengths, weight, bias, logits
        drop = drop or Drop.nothing(hidden.dtype)
        work = hidden.size * len(bias) * FLATTEN_WORK
        threads.share(pooling_parts.all_flatten_forward, (*arrays, *drop), work)
        return logits, drop

    @staticmethod
    def backward(
        d_pooled: Floats, hidden: Floats, packing: Packing, weights: Weights, directions: int, kept: Any
    ) -> Gradients:
        """Those of the dense layer too."""
        weight = weights["weight"]
        d_hidden, d_weight = buffers.empty(hidden.shape, hidden.dtype), np.empty(weight.shape, weight.dtype)
        arrays = d_pooled, hidden, packing.first, packing.alive, weight, d_hidden, d_weight
        work = hidden.size * len(weight) * FLATTEN_WORK
        threads.share(pooling_parts.all_flatten_backward, (*arrays, *kept), work)
        return d_hidden, {"weight": d_weight, "bias": d_pooled.sum(0)}


POOLS: dict[str, type[Pool]] = {
    "last": Last,
    "max": Maximum,
    "mean": Mean,
    "max+mean": MaximumAndMean,
    "attention": Attention,
    "flatten": Flatten,
}


def check_steps(steps: int, features: int, weight: Floats) -> None:
    """Raise DataError where a flattened layer has no weights [O, max_length · F] for so many steps."""
    if steps * features > weight.shape[1]:
        raise DataError(
            f"a sequence has {steps} steps and the dense layer has weights for "
            f"{weight.shape[1] // features}; cut the sequences to that length"
        )


def _ends(hidden: Floats, packing: Packing, directions: int) -> tuple[int, NDArray[np.int64], int]:
    """How many sequences are not empty, the row of each one's last step, the width of the forward half."""
    present = int(packing.alive[0]) if len(packing.alive) else 0
    ends = packing.first[packing.lengths[:present] - 1] + np.arange(present)
    return present, ends, hidden.shape[1] // directions


def _scale(hidden: Floats) -> float:
    return float(hidden.shape[1] ** -0.5)
