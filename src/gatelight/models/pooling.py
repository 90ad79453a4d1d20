"""Heads that turn the packed rows of a batch into one row per sequence; knows no tokens, cells or losses.

Nothing of shape [B, T, F] is ever built. Results come in packed order (longest sequence first); an empty
sequence gives zeros and takes no gradient. Legend: B sequences, T steps, N packed rows, F features of a row
(directions × H), O outputs. A new head is one function here and one line in `POOLS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from gatelight.errors import DataError
from gatelight.memory import buffers, threads
from gatelight.memory.linear import array_of
from gatelight.memory.packing import Packing
from gatelight.models import pooling_kernels as kernels
from gatelight.models.dropout import draw_seed, limit_of

Weights = Mapping[str, Tensor]
FLATTEN_WORK = 4  # reading a row takes longer than multiplying it


def last(hidden: Tensor, packing: Packing, weights: Weights, directions: int = 1) -> Tensor:
    """hidden [N, F] → [B, F]: the forward half of each last step, the backward half of each first (h_n)."""
    present = int(packing.alive[0]) if len(packing.alive) else 0
    ends = packing.first[packing.lengths[:present] - 1] + np.arange(present)
    state = hidden.index_select(0, torch.from_numpy(ends))
    if directions == 2:
        half = hidden.shape[1] // 2
        state = torch.cat([state[:, :half], hidden[:present, half:]], dim=1)
    if present == len(packing.lengths):
        return state
    return torch.cat([state, hidden.new_zeros(len(packing.lengths) - present, hidden.shape[1])])


def maximum(hidden: Tensor, packing: Packing, weights: Weights, directions: int = 1) -> Tensor:
    """hidden [N, F] → [B, F]: the largest value of each feature over the sequence's steps."""
    return _apply(_Max, hidden, packing)


def mean(hidden: Tensor, packing: Packing, weights: Weights, directions: int = 1) -> Tensor:
    """hidden [N, F] → [B, F]: the mean of each feature over the sequence's own steps."""
    return _apply(_Mean, hidden, packing)


def maximum_and_mean(hidden: Tensor, packing: Packing, weights: Weights, directions: int = 1) -> Tensor:
    """hidden [N, F] → [B, 2F]: maxima, then means."""
    return _apply(_MaxMean, hidden, packing)


def attention(hidden: Tensor, packing: Packing, weights: Weights, directions: int = 1) -> Tensor:
    """hidden [N, F] → [B, F]: rows weighted by softmax(hidden · query / √F) over the sequence's own steps.

    One learned query [F] stands for "what is telling?" (Yang et al. 2016, eq. 6, with scaled dot products for
    scores); at zero it is the mean.
    """
    query = weights["query"] * hidden.shape[1] ** -0.5
    return _apply(_Attention, hidden, packing, query)


def flatten(
    hidden: Tensor,
    packing: Packing,
    weights: Weights,
    directions: int = 1,
    share: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """hidden [N, F] → logits [B, O]: a dense layer on all steps side by side, absent steps counting as zeros.

    Of hidden, `share` is dropped first, as by `dropout`.

    weights: "weight" [O, max_length · F], columns step after step, and "bias" [O]. The same numbers as
    flattening a zero-padded [B, max_length, F] array, which is never built. Raises DataError for a sequence
    longer than max_length.
    """
    weight = weights["weight"]
    if packing.steps * hidden.shape[1] > weight.shape[1]:
        raise DataError(
            f"a sequence has {packing.steps} steps and the dense layer has weights for "
            f"{weight.shape[1] // hidden.shape[1]}; cut the sequences to that length"
        )
    seed = draw_seed(generator) if share else 0
    return _apply(_Flatten, hidden, packing, weight, weights["bias"], share, seed)


@dataclass(frozen=True)
class Pool:
    """What the classifier must know of a head: its function, and width and weights for F features."""

    function: Callable[..., Tensor]
    width: Callable[[int], int]
    weights: Callable[[int], dict[str, tuple[int, ...]]] = lambda features: {}
    holds_dense: bool = False  # the head already gives logits, and drops a share of the rows itself


POOLS: dict[str, Pool] = {
    "last": Pool(last, lambda features: features),
    "max": Pool(maximum, lambda features: features),
    "mean": Pool(mean, lambda features: features),
    "max+mean": Pool(maximum_and_mean, lambda features: 2 * features),
    "attention": Pool(attention, lambda features: features, lambda features: {"query": (features,)}),
    "flatten": Pool(flatten, lambda features: features, holds_dense=True),
}


def _apply(
    function: type[torch.autograd.Function], hidden: Tensor, packing: Packing, *weights: Tensor | float
) -> Tensor:
    if not torch.is_grad_enabled():  # torch's way to a function and back takes longer than a short text
        return function.forward(_Nothing(), hidden, packing, *weights)  # type: ignore[no-any-return]
    return function.apply(hidden, packing, *weights)  # type: ignore[no-any-return, no-untyped-call]


class _Nothing:
    """Stands where a gradient's context would, and keeps nothing long."""

    def save_for_backward(self, *tensors: Tensor) -> None:
        pass


def _empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.from_numpy(buffers.empty(shape, array_of(like).dtype))


class _Max(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, packing: Packing) -> Tensor:
        pooled, where = _max(hidden, packing)
        ctx.where, ctx.shape = where, hidden.shape
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_pooled: Tensor) -> tuple[Tensor, None]:
        d_hidden = torch.from_numpy(buffers.zeros(ctx.shape, array_of(d_pooled).dtype))
        kernels.max_backward(array_of(d_pooled), ctx.where, d_hidden.numpy())
        return d_hidden, None


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, packing: Packing) -> Tensor:
        ctx.packing, ctx.shape = packing, hidden.shape
        return _mean(hidden, packing)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_pooled: Tensor) -> tuple[Tensor, None]:
        return _mean_backward(d_pooled, ctx.packing, ctx.shape), None


class _MaxMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, packing: Packing) -> Tensor:
        pooled, where = _max(hidden, packing)
        ctx.packing, ctx.where, ctx.shape = packing, where, hidden.shape
        return torch.cat([pooled, _mean(hidden, packing)], dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_pooled: Tensor) -> tuple[Tensor, None]:
        features = ctx.shape[1]
        d_hidden = _mean_backward(d_pooled[:, features:], ctx.packing, ctx.shape)
        kernels.max_backward(array_of(d_pooled[:, :features]), ctx.where, d_hidden.numpy())
        return d_hidden, None


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, packing: Packing, query: Tensor) -> Tensor:
        pooled = hidden.new_empty(len(packing.lengths), hidden.shape[1])
        share = np.empty(len(hidden), pooled.numpy().dtype)
        kernels.attention_forward(
            array_of(hidden), packing.first, packing.alive, array_of(query), pooled.numpy(), share
        )
        ctx.save_for_backward(hidden, query)
        ctx.packing, ctx.share = packing, share
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_pooled: Tensor) -> tuple[Tensor, None, Tensor]:
        hidden, query = ctx.saved_tensors
        d_hidden, d_query = _empty(hidden.shape, hidden), torch.empty_like(query)
        kernels.attention_backward(
            array_of(d_pooled),
            array_of(hidden),
            ctx.packing.first,
            ctx.packing.alive,
            array_of(query),
            ctx.share,
            d_hidden.numpy(),
            d_query.numpy(),
        )
        return d_hidden, None, d_query


class _Flatten(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, packing: Packing, weight: Tensor, bias: Tensor, share: float, seed: int
    ) -> Tensor:
        ctx.dropped = seed, limit_of(share), array_of(weight).dtype.type(1.0 / (1.0 - share))
        logits = hidden.new_empty(len(packing.lengths), len(bias))
        arrays = (
            array_of(hidden),
            packing.first,
            packing.alive,
            array_of(weight),
            array_of(bias),
            *ctx.dropped,
            logits.numpy(),
        )
        parts = _parts(np.cumsum(packing.lengths), packing.sequences)
        tasks = [partial(kernels.flatten_forward, *arrays, *part) for part in parts]
        threads.run(tasks, hidden.numel() * len(bias) * FLATTEN_WORK)
        ctx.save_for_backward(hidden, weight)
        ctx.packing = packing
        return logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_logits: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight = ctx.saved_tensors
        d_hidden = _empty(hidden.shape, hidden)
        d_weight, d_out = weight.new_empty(weight.shape), array_of(d_logits)
        packing = ctx.packing
        arrays = d_out, array_of(hidden), packing.first, packing.alive, array_of(weight)
        outputs = d_hidden.numpy(), d_weight.numpy()
        # The last part also clears the weights of steps that no sequence has.
        parts = _parts(packing.first + packing.alive, weight.shape[1] // hidden.shape[1])
        tasks = [partial(kernels.flatten_backward, *arrays, *ctx.dropped, *outputs, *part) for part in parts]
        threads.run(tasks, hidden.numel() * len(weight) * FLATTEN_WORK)
        d_bias = torch.from_numpy(d_out.sum(0))
        return d_hidden, None, d_weight, d_bias, None, None


def _parts(rows: NDArray[np.int64], end: int) -> list[tuple[int, int]]:
    """Cut 0 … end - 1 into parts with about as many rows each; `rows`: how many there are up to each."""
    total = int(rows[-1]) if len(rows) else 0
    inner = [int(np.searchsorted(rows, begin)) for begin, _ in threads.cuts(total)[1:]]
    return list(pairwise([0, *inner, end]))


def _max(hidden: Tensor, packing: Packing) -> tuple[Tensor, Any]:
    pooled = hidden.new_empty(len(packing.lengths), hidden.shape[1])
    where = np.empty(pooled.shape, np.int32)
    kernels.max_forward(array_of(hidden), packing.first, packing.alive, pooled.numpy(), where)
    return pooled, where


def _mean(hidden: Tensor, packing: Packing) -> Tensor:
    pooled = hidden.new_empty(len(packing.lengths), hidden.shape[1])
    kernels.mean_forward(array_of(hidden), packing.first, packing.alive, packing.lengths, pooled.numpy())
    return pooled


def _mean_backward(d_pooled: Tensor, packing: Packing, shape: Any) -> Tensor:
    d_hidden = _empty(shape, d_pooled)
    kernels.mean_backward(array_of(d_pooled), packing.first, packing.alive, packing.lengths, d_hidden.numpy())
    return d_hidden
