"""An autograd step that computes nothing: what a pass through torch costs whoever computes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from benchmarks.note_weights import Array

PASSES = 15


class _Nothing(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, output: Array, gradients: Sequence[Array], *inputs: Tensor) -> Tensor:
        ctx.save_for_backward(*inputs)
        ctx.gradients = gradients
        return torch.from_numpy(output)

    @staticmethod
    def backward(ctx: Any, *d_output: Tensor) -> tuple[Tensor | None, ...]:
        assert ctx.saved_tensors  # as every layer must read them
        return None, None, *map(torch.from_numpy, ctx.gradients)


def empty_step(
    output: Array, gradients: Sequence[Array], inputs: Sequence[Tensor], d_output: Tensor
) -> Callable[[], None]:
    """Return a step from `inputs` to an output and back to gradients, all of which are there already."""

    def step() -> None:
        for tensor in inputs:
            tensor.grad = None
        _Nothing.apply(output, gradients, *inputs).backward(d_output)  # type: ignore[no-untyped-call]

    return step


def seconds_after(work: Callable[[], object], step: Callable[[], None]) -> float:
    """Seconds of `step` after `work`, which has used the caches for other things: the median of some."""
    took = []
    for _ in range(PASSES):
        work()
        began = time.perf_counter()
        step()
        took.append(time.perf_counter() - began)
    return statistics.median(took)
