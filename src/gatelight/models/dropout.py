"""Dropout of tensors and of word ids, by seeds that a generator draws; knows no model."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from gatelight.models.dropping import drop_ids, dropped, limit_of, spell_ids
from gatelight.nn.linear import array_of


class _Drawn(threading.local):
    def __init__(self) -> None:
        self.tensor = torch.empty(1, dtype=torch.int64, device="cpu")
        self.array = self.tensor.numpy()


_drawn = _Drawn()


def draw_seed(generator: torch.Generator | None) -> int:
    """One seed from `generator`, or from torch's global one when that is None."""
    # Between two kernels a tensor of its own would take twice as long as the number.
    _drawn.tensor.random_(0, 2**62, generator=generator)
    return int(_drawn.array[0])


def dropout(values: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    """values [N, F] with `share` of them zero and the rest scaled up (Srivastava et al. 2014)."""
    if share == 0.0:
        return values
    return _Dropout.apply(values, share, draw_seed(generator))  # type: ignore[no-any-return, no-untyped-call]


def word_dropout(
    ids: NDArray[np.int32], share: float, unknown: int, generator: torch.Generator | None
) -> NDArray[np.int32]:
    """ids int32 [N] with `share` of them turned into `unknown`."""
    if share == 0.0:
        return ids
    out = np.empty_like(ids)
    drop_ids(ids, draw_seed(generator), limit_of(share), unknown, out)
    return out


def word_spelling(
    ids: NDArray[np.int32], share: float, size: int, generator: torch.Generator | None
) -> NDArray[np.int32]:
    """ids int32 [N] with `share` of those below `size` turned into id + `size`, where a word is spelled out.

    The places are those that `word_dropout` would take with the same generator.
    """
    if share == 0.0:
        return ids
    out = np.empty_like(ids)
    spell_ids(ids, draw_seed(generator), limit_of(share), size, out)
    return out


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, share: float, seed: int) -> Tensor:
        ctx.share, ctx.seed = share, seed
        return torch.from_numpy(dropped(array_of(values), share, seed))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_values: Tensor) -> tuple[Tensor, None, None]:
        return torch.from_numpy(dropped(array_of(d_values), ctx.share, ctx.seed)), None, None
