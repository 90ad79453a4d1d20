"""The heads of `heads` on tensors, with their gradients; knows no tokens, cells or losses.

Tensors are on the CPU, float32 or float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gatelight.models.heads import POOLS, Pool
from gatelight.nn.linear import array_of
from gatelight.nn.packing import Packing

Weights = Mapping[str, Tensor]


def pooled(name: str, hidden: Tensor, packing: Packing, weights: Weights, directions: int = 1) -> Tensor:
    """hidden [N, F] → what the head of this name makes of it: [B, width], or logits [B, O].

    `weights` are those of the head by name; what it does not use may be among them. Raises DataError for a
    sequence that it has no weights for.
    """
    pool = POOLS[name]
    names = (*pool.shapes(hidden.shape[1]), *(("weight", "bias") if pool.holds_dense else ()))
    used = [weights[name] for name in names]
    if not torch.is_grad_enabled():  # torch's way to a function and back takes longer than a short text
        arrays = {name: array_of(weight) for name, weight in zip(names, used, strict=True)}
        return torch.from_numpy(pool.forward(array_of(hidden), packing, arrays, directions)[0])
    return _Pooled.apply(pool, packing, directions, names, hidden, *used)  # type: ignore[no-any-return, no-untyped-call]


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        pool: type[Pool],
        packing: Packing,
        directions: int,
        names: tuple[str, ...],
        hidden: Tensor,
        *weights: Tensor,
    ) -> Tensor:
        arrays = {name: array_of(weight) for name, weight in zip(names, weights, strict=True)}
        result, kept = pool.forward(array_of(hidden), packing, arrays, directions)
        ctx.pool, ctx.packing, ctx.directions, ctx.names, ctx.kept = pool, packing, directions, names, kept
        ctx.save_for_backward(hidden, *weights)
        return torch.from_numpy(result)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_pooled: Tensor) -> tuple[Tensor | None, ...]:
        hidden, *weights = map(array_of, ctx.saved_tensors)
        d_hidden, d_weights = ctx.pool.backward(
            array_of(d_pooled),
            hidden,
            ctx.packing,
            dict(zip(ctx.names, weights, strict=True)),
            ctx.directions,
            ctx.kept,
        )
        found = (torch.from_numpy(d_weights[name]) for name in ctx.names)
        return None, None, None, None, torch.from_numpy(d_hidden), *found
