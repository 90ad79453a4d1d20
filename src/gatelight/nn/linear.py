"""A linear map of tensors whose rows do not depend on each other, with its gradient.

Knows tensors on the CPU, of one dtype, float32 or float64; the arithmetic is in kernels/gemm.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from gatelight.nn.kernels import buffers, gemm

Array = np.ndarray[Any, np.dtype[Any]]


def array_of(tensor: Tensor) -> Array:
    """Return a tensor's values as a C-contiguous array, sharing memory where they already are."""
    array: Array = tensor.numpy(force=True)
    return array if array.flags.c_contiguous else tensor.detach().contiguous().numpy()


def check_dtype(*tensors: Tensor) -> None:
    """Raise TypeError unless all tensors are of one dtype, float32 or float64."""
    dtypes = {one.dtype for one in tensors}
    if len(dtypes) > 1 or not dtypes <= {torch.float32, torch.float64}:
        raise TypeError(f"tensors came as {sorted(map(str, dtypes))}; expected all float32 or all float64")


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x @ weight.T + bias for x [M, D], weight [G, D], bias [G]; rows do not affect each other's bits.

    Differentiable once. Raises TypeError for another dtype than float32 or float64, or unequal ones.
    """
    check_dtype(*(one for one in (x, weight, bias) if one is not None))
    return _Linear.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        given = array_of(weight)
        start = buffers.nothing((len(given),), given.dtype) if bias is None else array_of(bias)
        return torch.from_numpy(gemm.rows_times(array_of(x), gemm.panels(given.T), start))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = map(array_of, ctx.saved_tensors)
        given, (need_x, need_weight, need_bias) = array_of(d_out), ctx.needs_input_grad
        found: list[Tensor | None] = [None, None, None]
        if need_x:
            zeros = buffers.nothing(weight.shape[1:], weight.dtype)
            found[0] = torch.from_numpy(gemm.rows_times(given, gemm.panels(weight), zeros))
        if need_weight or need_bias:
            d_weight, d_bias = map(torch.from_numpy, gemm.transposed_times(given, x))
            found[1:] = d_weight if need_weight else None, d_bias if need_bias else None
        return tuple(found)
