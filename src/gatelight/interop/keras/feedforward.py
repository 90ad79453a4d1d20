"""Layers without a memory of models that come from elsewhere, each by its own equation, with Keras's masks.

A layer is a frozen record of its settings; it says which weights it needs, what it makes of a form, and runs
on a signal. Knows no file format and no text. Legend: B sequences, T steps, F features, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import elu, hardsigmoid, softplus, softsign

from gatelight.errors import DataError

Function = Callable[[Tensor], Tensor]

FUNCTIONS: dict[str, Function] = {
    "linear": lambda x: x,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "relu": torch.relu,
    # Two functions bear the name hard_sigmoid: slope 1/5 in Keras 1, 2 and ONNX, 1/6 in Keras 3 and torch.
    "hard_sigmoid_fifth": lambda x: (0.2 * x + 0.5).clamp(0, 1),
    "hard_sigmoid_sixth": hardsigmoid,
    "softplus": softplus,
    "softsign": softsign,
    "elu": elu,
}
Weights = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]

MOST_REACH = 1 << 20  # steps that a window may span

ACTIVATIONS: dict[str, Function] = {**FUNCTIONS, "softmax": lambda x: torch.softmax(x, dim=-1)}


@dataclass(frozen=True)
class Form:
    """What flows between two layers: ids [B, T], steps of rows [B, T, F] or single rows [B, F].

    `steps` None: any number. `features` None: ids. `in_steps` False: single rows.
    """

    steps: int | None = None
    features: int | None = None
    in_steps: bool = True

    @property
    def row(self) -> int:
        """F; raises DataError for ids."""
        if self.features is None:
            raise DataError("takes rows of numbers, but ids come; an embedding must stand before it")
        return self.features

    def shape(self) -> tuple[int | str, ...]:
        """One sequence's shape for people: "T" stands for any number of steps."""
        steps: tuple[int | str, ...] = (self.steps or "T",) if self.in_steps else ()
        return steps if self.features is None else (*steps, self.features)


@dataclass(frozen=True)
class Signal:
    """Values int64 [B, T], float32 [B, T, F] or [B, F], and which steps count, bool [B, T] (None: all)."""

    values: Tensor
    mask: Tensor | None = None


@dataclass(frozen=True)
class Layer:
    """One link of a chain; a subclass says what it does."""

    name: str
    kind: ClassVar[str] = ""

    def shapes(self, form: Form) -> Shapes:
        """Names and shapes of its weights for what comes in."""
        return {}

    def after(self, form: Form) -> Form:
        """What goes out; raises DataError when it cannot take what comes in."""
        return form

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Compute."""
        return signal

    def steps_needed(self, form: Form) -> None:
        """Raise DataError unless steps of rows come in."""
        if not form.in_steps or form.features is None:
            raise DataError(f"takes steps of rows, but {'single rows' if form.features else 'ids'} come")


@dataclass(frozen=True)
class Embedding(Layer):
    """Ids → rows of a table [V, F]; with `masks` the id 0 does not count."""

    vocabulary: int
    features: int
    masks: bool = False
    kind: ClassVar[str] = "embedding"

    def shapes(self, form: Form) -> Shapes:
        """The table."""
        return {"table": (self.vocabulary, self.features)}

    def after(self, form: Form) -> Form:
        """Steps of rows."""
        if form.features is not None:
            raise DataError("takes ids, but rows of numbers come; it must be the first layer")
        return Form(form.steps, self.features)

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Look up."""
        rows = functional.embedding(signal.values, weights["table"])
        return Signal(rows, signal.values != 0 if self.masks else None)


@dataclass(frozen=True)
class Masking(Layer):
    """Steps whose features all equal `value` do not count and become zeros."""

    value: float = 0.0
    kind: ClassVar[str] = "masking"

    def after(self, form: Form) -> Form:
        """The same."""
        self.steps_needed(form)
        return form

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Compare."""
        mask = (signal.values != self.value).any(dim=-1)
        return Signal(signal.values * mask.unsqueeze(-1), mask)


@dataclass(frozen=True)
class Dense(Layer):
    """Rows → rows: activation(x weightᵀ + bias), on every step where steps come."""

    units: int
    activation: str = "linear"
    bias: bool = True
    kind: ClassVar[str] = "dense"

    def shapes(self, form: Form) -> Shapes:
        """weight [units, F], bias [units]."""
        return {"weight": (self.units, form.row), **({"bias": (self.units,)} if self.bias else {})}

    def after(self, form: Form) -> Form:
        """`units` features."""
        form.row  # noqa: B018  raises for ids
        return Form(form.steps, self.units, form.in_steps)

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Multiply."""
        product = functional.linear(signal.values, weights["weight"], weights.get("bias"))
        return Signal(ACTIVATIONS[self.activation](product), signal.mask)


@dataclass(frozen=True)
class Activation(Layer):
    """A function of each number, or of each row."""

    activation: str
    kind: ClassVar[str] = "activation"

    def after(self, form: Form) -> Form:
        """The same."""
        form.row  # noqa: B018  raises for ids
        return form

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Apply."""
        return Signal(ACTIVATIONS[self.activation](signal.values), signal.mask)


@dataclass(frozen=True)
class Dropout(Layer):
    """Nothing, once a model is trained; kept for the layer table and for writing the model again."""

    rate: float
    whole_features: bool = False  # SpatialDropout1D
    kind: ClassVar[str] = "dropout"


@dataclass(frozen=True)
class Flatten(Layer):
    """Steps of rows → one row, step after step, those that do not count too."""

    kind: ClassVar[str] = "flatten"

    def after(self, form: Form) -> Form:
        """steps × F features."""
        if not form.in_steps:
            return form
        self.steps_needed(form)
        if form.steps is None:
            raise DataError("puts all steps into one row, but the number of steps is not said")
        return Form(None, form.steps * form.row, False)

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Reshape."""
        return Signal(signal.values.flatten(1))


@dataclass(frozen=True)
class Pool(Layer):
    """All steps → one row: the largest value of each feature ("max") or its mean over the steps that count.

    As in Keras, "max" also looks at steps that do not count, unless `masked`.
    """

    pool: str
    masked: bool = False
    kind: ClassVar[str] = "pool"

    def after(self, form: Form) -> Form:
        """One row."""
        self.steps_needed(form)
        return Form(None, form.features, False)

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Reduce; a sequence of no steps that count becomes zeros."""
        values, mask = signal.values, signal.mask
        if mask is None or (self.pool == "max" and not self.masked):
            return Signal(values.amax(1) if self.pool == "max" else values.mean(1))
        counts = mask.unsqueeze(-1)
        if self.pool == "mean":
            return Signal((values * counts).sum(1) / counts.sum(1).clamp(min=1))
        largest = values.masked_fill(~counts, -torch.inf).amax(1)
        return Signal(torch.where(counts.any(1), largest, 0))


@dataclass(frozen=True)
class Repeat(Layer):
    """One row → `times` steps of it."""

    times: int
    kind: ClassVar[str] = "repeat"

    def after(self, form: Form) -> Form:
        """`times` steps."""
        if form.in_steps:
            raise DataError("takes single rows, but steps come")
        return Form(self.times, form.row)

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Repeat."""
        return Signal(signal.values.unsqueeze(1).expand(-1, self.times, -1))


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
