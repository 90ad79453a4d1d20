"""Layers of a chain that look at some neighbouring steps at once: convolution and pooling of windows.

Knows no file format and no text. Steps that do not count are forgotten here, as in Keras.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch.nn import functional

from gatelight.errors import DataError
from gatelight.models.chain_layers import ACTIVATIONS, Form, Layer, Shapes, Signal, Weights

MOST_REACH = 1 << 20


@dataclass(frozen=True)
class Convolution(Layer):
    """Steps → steps: each of `filters` sees `width` neighbouring steps."""

    filters: int
    width: int
    stride: int = 1
    dilation: int = 1
    padding: str = "valid"  # or "same", "causal"
    activation: str = "linear"
    bias: bool = True
    kind: ClassVar[str] = "convolution"

    def shapes(self, form: Form) -> Shapes:
        """weight [filters, F, width], bias [filters]."""
        return {
            "weight": (self.filters, form.row, self.width),
            **({"bias": (self.filters,)} if self.bias else {}),
        }

    def after(self, form: Form) -> Form:
        """Fewer steps, `filters` features."""
        self.steps_needed(form)
        reach = (self.width - 1) * self.dilation + 1
        if reach > MOST_REACH:
            raise DataError(f"looks at {reach:,} steps at once; expected at most {MOST_REACH:,}")
        return Form(_windows(form.steps, reach, self.stride, self.padding), self.filters)

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Convolve."""
        values = signal.values.transpose(1, 2)
        reach = (self.width - 1) * self.dilation + 1
        values = functional.pad(values, _margins(values.shape[2], reach, self.stride, self.padding))
        out = functional.conv1d(
            values, weights["weight"], weights.get("bias"), stride=self.stride, dilation=self.dilation
        )
        return Signal(ACTIVATIONS[self.activation](out.transpose(1, 2)))


@dataclass(frozen=True)
class WindowPool(Layer):
    """Steps → fewer steps: the largest value of each feature in windows of `width` steps."""

    width: int
    stride: int
    padding: str = "valid"
    kind: ClassVar[str] = "window pool"

    def after(self, form: Form) -> Form:
        """Fewer steps."""
        self.steps_needed(form)
        return Form(_windows(form.steps, self.width, self.stride, self.padding), form.features)

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Reduce."""
        values = signal.values.transpose(1, 2)
        margins = _margins(values.shape[2], self.width, self.stride, self.padding)
        values = functional.pad(values, margins, value=-torch.inf)
        return Signal(functional.max_pool1d(values, self.width, self.stride).transpose(1, 2))


def _windows(steps: int | None, reach: int, stride: int, padding: str) -> int | None:
    """How many windows fit; DataError when none does."""
    if steps is None:
        return None
    windows = -(-steps // stride) if padding != "valid" else (steps - reach) // stride + 1
    if windows < 1:
        raise DataError(f"looks at {reach} steps at once, but only {steps} come")
    return windows


def _margins(steps: int, reach: int, stride: int, padding: str) -> tuple[int, int]:
    """Steps to add at the beginning and at the end, as TensorFlow counts them."""
    if padding == "valid":
        return 0, 0
    if padding == "causal":
        return reach - 1, 0
    missing = max((-(-steps // stride) - 1) * stride + reach - steps, 0)
    return missing // 2, missing - missing // 2
