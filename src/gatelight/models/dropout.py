"""Dropout of tensors and of word ids by a formula of seed and place.

Whether an element is dropped is a hash of (seed, number of its row, column), so the backward pass asks again
instead of remembering; the same seed drops the same elements at any thread count, and of a part of a batch
what it drops of the whole.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from gatelight.compiled import compiled
from gatelight.nn import threads
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.parallel import parallel_for
from gatelight.nn.linear import array_of

Ids = NDArray[np.int32]
Numbers = NDArray[np.int64]
DROP_WORK = 4  # an element takes about as long as so many multiply-adds


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


def dropout(
    values: Tensor, fraction: float, generator: torch.Generator | None, numbers: Numbers | None = None
) -> Tensor:
    """values [N, F] with `fraction` of them zero and the rest scaled up (Srivastava et al. 2014).

    `numbers` int64 [N] are those of the rows; None: from 0 on.
    """
    if fraction == 0.0:
        return values
    numbers = np.arange(len(values)) if numbers is None else numbers
    return _Dropout.apply(values, fraction, draw_seed(generator), numbers)  # type: ignore[no-any-return, no-untyped-call]


def word_dropout(
    ids: Ids,
    fraction: float,
    instead: int | Ids,
    generator: torch.Generator | None,
    numbers: Numbers | None = None,
) -> Ids:
    """ids int32 [N] with `fraction` of them replaced by `instead`, one id or int32 [N].

    `numbers` as in `dropout`.
    """
    if fraction == 0.0:
        return ids
    dropped = np.empty(len(ids), np.bool_)
    numbers = np.arange(len(ids)) if numbers is None else numbers
    _drop_rows(numbers, draw_seed(generator), _limit(fraction), dropped)
    return np.where(dropped, np.asarray(instead, np.int32), ids)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, *how: Any) -> Tensor:
        ctx.how = how
        return torch.from_numpy(_dropped(array_of(values), *how))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_values: Tensor) -> tuple[Tensor, None, None, None]:
        return torch.from_numpy(_dropped(array_of(d_values), *ctx.how)), None, None, None


# lowbias32 (C. Wellons, "Prospecting for hash functions", 2018): shifts, and the factor after each.
_GOLDEN = 0x9E3779B9


@compiled(inline="always")
def _mix(x: Any) -> Any:
    # The same for one number; Numba widens, so each step is cut back.
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@compiled
def _row_key(seed: int, row: int) -> Any:
    """The part of the hash that all of a row shares."""
    low, high = np.uint32(seed & 0xFFFFFFFF), np.uint32((seed >> 32) & 0xFFFFFFFF)
    return _mix(np.uint32(_mix(np.uint32(_mix(np.uint32(row ^ low)) + high)) ^ np.uint32(row >> 32)))


@compiled
def _drop_part(
    values: NDArray[Any], numbers: Numbers, seed: int, limit: Any, scale: Any, out: NDArray[Any], parts: int,
    k: int,
) -> None:  # fmt: skip
    """A part of the rows of values[N, F] → out[N, F]: 0 where the hash is under `limit`, else scaled."""
    for row in range(len(out) * k // parts, len(out) * (k + 1) // parts):
        key, given, result = _row_key(seed, numbers[row]), values[row], out[row]
        for j in range(len(given)):
            x = _mix(np.uint32(key + np.uint32(np.uint32(j) * np.uint32(_GOLDEN))))
            result[j] = given[j] * (scale if x >= limit else scale - scale)


@compiled
def _drop_values(
    values: NDArray[Any], numbers: Numbers, seed: int, limit: Any, scale: Any, out: NDArray[Any], pool: Any,
    helpers: int,
) -> int:  # fmt: skip
    given = values, numbers, seed, limit, scale, out, helpers + 1
    return int(parallel_for(_drop_part, given, pool, helpers, helpers + 1))


@compiled
def _drop_rows(numbers: Numbers, seed: int, limit: Any, dropped: NDArray[np.bool_]) -> None:
    """Fill dropped[N]: whether the hash of each row is below `limit` (uint32)."""
    for place in range(len(numbers)):
        dropped[place] = _row_key(seed, numbers[place]) < limit


def _limit(fraction: float) -> np.uint32:
    """The number that a hash stays under as often as `fraction` says."""
    return np.uint32(round(fraction * 2**32))


def _dropped(values: NDArray[Any], fraction: float, seed: int, numbers: Numbers) -> NDArray[Any]:
    """values [N, F] with `fraction` of them zero, the rest scaled up; of a gradient it gives the gradient."""
    out = buffers.empty(values.shape, values.dtype)
    given = values, numbers, seed, _limit(fraction), out.dtype.type(1.0 / (1.0 - fraction)), out
    threads.run_compiled(_drop_values, given, out.size * DROP_WORK)
    return out
