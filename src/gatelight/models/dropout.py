"""Values and word ids dropped at random by a formula of seed and place; knows no model and keeps no mask.

Whether an element is dropped is a hash of (seed, row, column), so the backward pass asks again instead of
remembering, and the same seed drops the same elements at any thread count.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from gatelight.compiled import compiled
from gatelight.memory import buffers, threads
from gatelight.memory.linear import array_of

DROP_WORK = 4  # an element takes about as long as so many multiply-adds


@compiled(inline="always")
def _mix(x: Any) -> Any:
    # lowbias32 (C. Wellons, "Prospecting for hash functions", 2018); Numba widens, so each step is cut back.
    x = np.uint32(x ^ (x >> np.uint32(16)))
    x = np.uint32(x * np.uint32(0x7FEB352D))
    x = np.uint32(x ^ (x >> np.uint32(15)))
    x = np.uint32(x * np.uint32(0x846CA68B))
    return np.uint32(x ^ (x >> np.uint32(16)))


@compiled
def _row_key(seed: int, row: int) -> Any:
    low, high = np.uint32(seed & 0xFFFFFFFF), np.uint32((seed >> 32) & 0xFFFFFFFF)
    return _mix(np.uint32(_mix(np.uint32(_mix(np.uint32(row ^ low)) + high)) ^ np.uint32(row >> 32)))


@compiled
def drop_values(
    values: NDArray[Any], seed: int, limit: Any, scale: Any, out: NDArray[Any], begin: int, end: int
) -> None:
    """values[N, F] → rows begin to end of out[N, F]: 0 where the hash is under `limit`, else by `scale`."""
    columns = values.shape[1]
    for row in range(begin, end):
        key = _row_key(seed, row)
        source, target = values[row], out[row]
        for column in range(columns):
            draw = _mix(np.uint32(key + np.uint32(np.uint32(column) * np.uint32(0x9E3779B9))))
            target[column] = source[column] * scale if draw >= limit else source[column] * 0


@compiled
def drop_ids(ids: NDArray[np.int32], seed: int, limit: Any, unknown: int, out: NDArray[np.int32]) -> None:
    """ids[N] → out[N]: `unknown` where the hash is below `limit` (uint32), else the id."""
    for place in range(ids.shape[0]):
        out[place] = ids[place] if _row_key(seed, place) >= limit else unknown


@compiled
def spell_ids(ids: NDArray[np.int32], seed: int, limit: Any, size: int, out: NDArray[np.int32]) -> None:
    """ids[N] → out[N]: id + `size` where the hash is below `limit` (uint32) and id < `size`, else the id."""
    for place in range(ids.shape[0]):
        spelled = ids[place] < size and _row_key(seed, place) < limit
        out[place] = ids[place] + size if spelled else ids[place]


def draw_seed(generator: torch.Generator | None) -> int:
    """One seed from `generator`, or from torch's global one when that is None."""
    return int(torch.randint(0, 2**62, (1,), generator=generator).item())


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
    drop_ids(ids, draw_seed(generator), _limit(share), unknown, out)
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
    spell_ids(ids, draw_seed(generator), _limit(share), size, out)
    return out


def _limit(share: float) -> np.uint32:
    return np.uint32(round(share * 2**32))


def dropped(values: NDArray[Any], share: float, seed: int) -> NDArray[Any]:
    """`dropout` of an array by the numbers of this seed; of a gradient it gives the gradient."""
    out = buffers.empty(values.shape, values.dtype)
    limit, scale = _limit(share), out.dtype.type(1.0 / (1.0 - share))
    tasks = [partial(drop_values, values, seed, limit, scale, out, *cut) for cut in threads.cuts(len(out))]
    threads.run(tasks, out.size * DROP_WORK)
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
