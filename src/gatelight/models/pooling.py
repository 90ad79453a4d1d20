"""The heads of `heads` on tensors, with their gradients; tensors are on the CPU, float32 or float64."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gatelight.models.heads import HEADS, Head, Rows
from gatelight.nn.linear import array_of
from gatelight.nn.packing import Packing

Weights = Mapping[str, Tensor]


def pooled(name: str, hidden: Tensor, packing: Packing, weights: Weights, directions: int = 1) -> Tensor:
    """hidden [N, F] → what the head of this name makes of it: [B, width], or logits [B, O].

    `weights` are those of the head by name; what it does not use may be among them. Raises DataError for a
    sequence that it has no weights for.
    """
    head = HEADS[name]
    names = (*head.shapes(hidden.shape[1]), *(("weight", "bias") if head.gives_logits else ()))
    used = [weights[name] for name in names]
    return _Pooled.apply(head, packing, directions, names, hidden, *used)  # type: ignore[no-any-return, no-untyped-call]


class _Pooled(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, head: Head, packing: Packing, directions: int, names: tuple[str, ...], hidden: Tensor,
        *weights: Tensor,
    ) -> Tensor:  # fmt: skip
        arrays = dict(zip(names, map(array_of, weights), strict=True))
        result, ctx.kept = head.forward(Rows(array_of(hidden), packing, arrays, directions))
        ctx.head, ctx.packing, ctx.directions, ctx.names = head, packing, directions, names
        ctx.save_for_backward(hidden, *weights)
        return torch.from_numpy(result)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_pooled: Tensor) -> tuple[Tensor | None, ...]:
        hidden, *weights = map(array_of, ctx.saved_tensors)
        rows = Rows(hidden, ctx.packing, dict(zip(ctx.names, weights, strict=True)), ctx.directions)
        d_hidden, d_weights = ctx.head.backward(array_of(d_pooled), rows, ctx.kept)
        found = (torch.from_numpy(d_weights[name]) for name in ctx.names)
        return None, None, None, None, torch.from_numpy(d_hidden), *found
