"""Keras's layers without recurrence: their settings in Keras's words, their weights, what they compute.

A layer is a frozen record of its settings. Masks do what they do in Keras.
Legend: B sequences, T steps, F features, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.nn.functional import elu, hardsigmoid, softplus, softsign

from gatelight.errors import DataError
from gatelight.interop.keras.architecture import Entry

Array = NDArray[np.float32]
Function = Callable[[Tensor], Tensor]
Weights = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]

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
ACTIVATIONS: dict[str, Function] = {**FUNCTIONS, "softmax": lambda x: torch.softmax(x, dim=-1)}
CHOICES: dict[str, Sequence[str | None]] = {
    "cell": ("rnn", "lstm", "gru"),
    "merge": (None, "concat", "sum", "ave", "mul"),
    "gate": tuple(FUNCTIONS),
    "state": tuple(FUNCTIONS),
    "activation": tuple(ACTIVATIONS),
    "pool": ("max", "mean"),
}
ARE_FUNCTIONS = ("gate", "state", "activation")
MOST_SIZE = 1 << 24  # of any dimension; and of what costs memory though no weight vouches for it:
MOST = {"steps": 1 << 20, "times": 1 << 16}
ABSENT = -2.0  # added to absent steps before a maximum: hidden states are above -1


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

    @property
    def row_in_steps(self) -> int:
        """F; raises DataError for ids and for single rows."""
        if not self.in_steps:
            raise DataError("takes steps of rows, but single rows come")
        return self.row

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
    """A layer that passes on what comes; a subclass says what it does instead."""

    name: str
    kind: ClassVar[str] = ""  # in a model folder
    classes: ClassVar[tuple[str, ...]] = ()  # Keras's, of which the first is written
    words: ClassVar[dict[str, tuple[str, ...]]] = {}  # Keras's for each field, of which the first is written
    arrays: ClassVar[tuple[str, ...]] = ()  # its weights in Keras's order, which has matrices as [in, out]

    @classmethod
    def of_keras(cls, of: Entry) -> Layer:
        """The layer with these settings; raises DataError for one that is not supported."""
        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.name in cls.words:
                read: Callable[..., Any] = of.function if field.name in ARE_FUNCTIONS else of.get
                default = None if field.default is MISSING else field.default
                value = read(*cls.words[field.name], default=default)
                values[field.name] = bool(value) if field.type == "bool" else value
        return cls(of.name, **values)

    def to_keras(self) -> tuple[str, dict[str, Any]]:
        """Keras's class and settings, such that Keras 2 and 3 both read them; DataError where they cannot."""
        settings = {words[0]: getattr(self, field) for field, words in self.words.items()}
        for value in settings.values():
            if isinstance(value, str) and value.startswith("hard_sigmoid"):
                raise DataError(
                    f"the layer {self.name!r} has {value}: Keras 2 and Keras 3 have different functions of "
                    "the name hard_sigmoid, so no file would mean the same to both"
                )
        return self.classes[0], settings

    def shapes(self, form: Form) -> Shapes:
        """Names and shapes of its weights for what comes in."""
        return {}

    def of_arrays(self, arrays: Sequence[Array]) -> dict[str, Array]:
        """Its weights out of Keras's arrays; raises ValueError when they cannot be its."""
        names = self.arrays[: len(arrays)]
        found = zip(names, arrays, strict=True)
        return {name: array.T if name == "weight" else array for name, array in found}

    def to_arrays(self, weights: Mapping[str, Array]) -> list[Array]:
        """Its weights in Keras's order and layout."""
        own = {name: weights[name] for name in self.arrays if name in weights}
        return [array.T if name == "weight" else array for name, array in own.items()]

    def after(self, form: Form) -> Form:
        """What goes out; raises DataError when it cannot take what comes in."""
        return form

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Compute."""
        return signal

    def told(self) -> str:
        """What it is, in a few words."""
        return self.kind

    def check(self) -> None:
        """Raise DataError, naming the layer, for the first setting that cannot be."""
        for field in fields(self):
            value, whose = getattr(self, field.name), f"the layer {self.name!r}"
            if field.name in CHOICES:
                if (value is not None and not isinstance(value, str)) or value not in CHOICES[field.name]:
                    offered = ", ".join(str(choice) for choice in CHOICES[field.name])
                    raise DataError(f"{whose} has {field.name} {value!r}; expected one of {offered}")
            elif field.type == "int":
                check_whole(whose, field.name, value)
            elif field.type == "bool" and not isinstance(value, bool):
                raise DataError(f"{whose} has {field.name} {value!r}; expected true or false")
            elif field.type == "float" and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise DataError(f"{whose} has {field.name} {value!r}; expected a number")
            elif field.type == "str" and (not isinstance(value, str) or not value):
                raise DataError(f"{whose} has {field.name} {value!r}; expected a name")


def check_whole(whose: str, name: str, value: Any) -> None:
    """Raise DataError for what is no size."""
    most = MOST.get(name, MOST_SIZE)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise DataError(f"{whose} has {name} {value!r:.40}; expected a whole number from 1 to {most:,}")


@dataclass(frozen=True)
class Embedding(Layer):
    """Ids → rows of a table [V, F]; with `masks` the id 0 does not count."""

    vocabulary: int
    features: int
    masks: bool = False
    kind = "embedding"
    classes = ("Embedding",)
    arrays = ("table",)
    words: ClassVar = {
        "vocabulary": ("input_dim",), "features": ("output_dim",), "masks": ("mask_zero",),
    }  # fmt: skip

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
    kind = "masking"
    classes = ("Masking",)
    words: ClassVar = {"value": ("mask_value",)}

    def after(self, form: Form) -> Form:
        """The same."""
        return replace(form, features=form.row_in_steps)

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
    kind = "dense"
    classes = ("Dense", "TimeDistributedDense")
    arrays = ("weight", "bias")
    words: ClassVar = {
        "units": ("units", "output_dim"), "activation": ("activation",), "bias": ("use_bias", "bias"),
    }  # fmt: skip

    def shapes(self, form: Form) -> Shapes:
        """weight [units, F], bias [units]."""
        return {"weight": (self.units, form.row), **({"bias": (self.units,)} if self.bias else {})}

    def after(self, form: Form) -> Form:
        """`units` features."""
        form.row  # noqa: B018  raises for ids
        return replace(form, features=self.units)

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Multiply."""
        product = functional.linear(signal.values, weights["weight"], weights.get("bias"))
        return Signal(ACTIVATIONS[self.activation](product), signal.mask)


@dataclass(frozen=True)
class Activation(Layer):
    """A function of each number, or of each row."""

    activation: str
    kind = "activation"
    classes = ("Activation", "ReLU", "Softmax")
    words: ClassVar = {"activation": ("activation",)}

    @classmethod
    def of_keras(cls, of: Entry) -> Layer:
        """Some functions are classes of their own."""
        return super().of_keras(of) if of.kind == "Activation" else cls(of.name, of.kind.lower())

    def after(self, form: Form) -> Form:
        """The same."""
        return replace(form, features=form.row)

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Apply."""
        return Signal(ACTIVATIONS[self.activation](signal.values), signal.mask)


@dataclass(frozen=True)
class Dropout(Layer):
    """Nothing, once a model is trained; kept for the layer table and for writing the model again."""

    rate: float = 0.0
    kind = "dropout"
    classes = ("Dropout", "SpatialDropout1D")
    words: ClassVar = {"rate": ("rate", "p")}


@dataclass(frozen=True)
class Flatten(Layer):
    """Steps of rows → one row, step after step, those that do not count too."""

    kind = "flatten"
    classes = ("Flatten",)

    def after(self, form: Form) -> Form:
        """steps × F features."""
        if not form.in_steps:
            return form
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
    kind = "pool"
    classes = ("GlobalMaxPooling1D", "GlobalAveragePooling1D")

    @classmethod
    def of_keras(cls, of: Entry) -> Layer:
        """The class says which."""
        return cls(of.name, "max" if of.kind == cls.classes[0] else "mean", of.mark is not None)

    def to_keras(self) -> tuple[str, dict[str, Any]]:
        """The class says which."""
        return self.classes[self.pool == "mean"], {}

    def after(self, form: Form) -> Form:
        """One row."""
        return Form(None, form.row_in_steps, False)

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
    kind = "repeat"
    classes = ("RepeatVector",)
    words: ClassVar = {"times": ("n",)}

    def after(self, form: Form) -> Form:
        """`times` steps."""
        if form.in_steps:
            raise DataError("takes single rows, but steps come")
        return Form(self.times, form.row)

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Repeat."""
        return Signal(signal.values.unsqueeze(1).expand(-1, self.times, -1))
