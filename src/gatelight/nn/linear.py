"""`gatelight::linear`, a PyTorch operator whose rows do not depend on each other, with its gradient.

Knows tensors; the arithmetic is in kernels/gemm.py. Tensors are on the CPU, of one dtype, float32 or float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatelight.nn.kernels import buffers, gemm
from gatelight.nn.registry import operator

Array = np.ndarray[Any, np.dtype[Any]]


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return x @ weight.T + bias for x [M, D], weight [G, D], bias [G]; rows do not affect each other's bits.

    Raises TypeError for another dtype than float32 or float64, or unequal ones.
    """
    check_dtype(x, weight, bias)
    return _linear(x, weight, bias)  # type: ignore[no-any-return]


def check_dtype(first: Tensor, *others: Tensor | None) -> None:
    """Raise TypeError unless all tensors are of one dtype, float32 or float64."""
    dtype = first.dtype
    fits = dtype is torch.float32 or dtype is torch.float64
    for one in others:
        fits = fits and (one is None or one.dtype is dtype)
    if not fits:
        dtypes = {t.dtype for t in (first, *others) if t is not None}
        raise TypeError(f"tensors came as {sorted(map(str, dtypes))}; expected all float32 or all float64")


def array_of(tensor: Tensor) -> Array:
    """Return a tensor's values as a C-contiguous array, sharing memory where they already are."""
    array: Array = tensor.numpy(force=True)
    return array if array.flags.c_contiguous else tensor.detach().contiguous().numpy()


def _linear_compute(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    given, rows = array_of(weight), array_of(x)
    start = buffers.nothing((len(given),), given.dtype) if bias is None else array_of(bias)
    return torch.from_numpy(gemm.rows_times_turned(rows, [given], start))


def _linear_fake(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty(x.shape[0], weight.shape[0])


def _linear_backward_compute(
    d_out: Tensor, x: Tensor, weight: Tensor, need_x: bool, need_weight: bool, need_bias: bool
) -> tuple[Tensor, Tensor, Tensor]:
    arrays = gemm.linear_back(
        array_of(d_out), array_of(x), [array_of(weight)], need_x, need_weight, need_bias
    )
    return tuple(torch.from_numpy(a) for a in arrays)  # type: ignore[return-value]


def _linear_backward_fake(
    d_out: Tensor, x: Tensor, weight: Tensor, need_x: bool, need_weight: bool, need_bias: bool
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        x.new_empty(x.shape if need_x else (0, 0)),
        x.new_empty(weight.shape if need_weight else (0, 0)),
        x.new_empty(d_out.shape[1] if need_bias else 0),
    )


def _linear_setup(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias = inputs
    ctx.save_for_backward(x, weight)
    ctx.has_bias = bias is not None


def _linear_gradient(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
    need = ctx.needs_input_grad
    gradients = _linear_backward(d_out, *ctx.saved_tensors, need[0], need[1], ctx.has_bias and need[2])
    return tuple(gradient if needed else None for gradient, needed in zip(gradients, need, strict=True))


_linear_backward = operator("linear_backward", _linear_backward_compute, _linear_backward_fake)
_linear = operator("linear", _linear_compute, _linear_fake, _linear_gradient, _linear_setup)
