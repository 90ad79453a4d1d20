"""A chain of layers with fixed weights: what a model that was trained elsewhere becomes here.

Knows ids, rows of numbers and lengths; no file format and no text. Computes what Keras computes, to rounding,
masks included. Legend: B sequences, T steps, F features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.interop.keras.feedforward import (
    ACTIVATIONS,
    FUNCTIONS,
    Activation,
    Convolution,
    Dense,
    Dropout,
    Embedding,
    Flatten,
    Form,
    Layer,
    Masking,
    Pool,
    Repeat,
    Shapes,
    Signal,
    WindowPool,
)
from gatelight.interop.keras.recurrent import MERGES, Memory
from gatelight.models.summary import Row, Summary

KINDS: dict[str, type[Layer]] = {
    layer.kind: layer
    for layer in (
        Embedding, Masking, Memory, Dense, Activation, Dropout, Flatten, Pool, Repeat, Convolution,
        WindowPool,
    )
}  # fmt: skip
CHOICES: dict[str, Sequence[str | None]] = {
    "cell": ("rnn", "lstm", "gru"),
    "merge": (None, *MERGES),
    "gate": tuple(FUNCTIONS),
    "state": tuple(FUNCTIONS),
    "activation": tuple(ACTIVATIONS),
    "padding": ("valid", "same", "causal"),
    "pool": ("max", "mean"),
}
BATCH_ROWS = 1 << 15  # steps of a batch: what bounds its memory, a single longer sequence aside
MOST_SIZE = 1 << 24  # of any dimension; and of what costs memory though no weight vouches for it:
MOST = {"steps": 1 << 20, "times": 1 << 16, "width": 1 << 16, "stride": 1 << 16, "dilation": 1 << 12}
TOLD = {"rnn": "RNN", "lstm": "LSTM", "gru": "GRU"}

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Blueprint:
    """The layers of a chain and what comes in; raises DataError, naming the layer, for what cannot be."""

    input: Form
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise DataError("the model has no layers")
        for layer in self.layers:
            check(layer)
        names = [layer.name for layer in self.layers]
        twice = [name for number, name in enumerate(names) if name in names[:number]]
        if twice:
            raise DataError(f"two layers have the name {twice[0]!r}")
        if self.output.features is None:
            raise DataError("the model gives ids, not numbers")

    def forms(self) -> Iterator[tuple[Layer, Form, Form]]:
        """Each layer with what comes in and what goes out."""
        form = self.input
        for layer in self.layers:
            try:
                after = layer.after(form)
            except DataError as error:
                raise DataError(f"the layer {layer.name!r} {error}") from None
            yield layer, form, after
            form = after

    @property
    def output(self) -> Form:
        """What the last layer gives."""
        return [after for _, _, after in self.forms()][-1]

    def shapes(self) -> Shapes:
        """Every weight, "number of the layer"."name", and its shape."""
        return {
            f"{number}.{name}": shape
            for number, (layer, form, _) in enumerate(self.forms())
            for name, shape in layer.shapes(form).items()
        }

    def to_dict(self) -> dict[str, Any]:
        """The blueprint as JSON-able values."""
        layers = [{"kind": layer.kind, **asdict(layer)} for layer in self.layers]
        return {"input": asdict(self.input), "layers": layers}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Blueprint:
        """What `to_dict` gave; raises DataError, KeyError or TypeError for what cannot be."""
        made = []
        for entry in values["layers"]:
            settings = dict(entry)
            kind = settings.pop("kind")
            if kind not in KINDS:
                raise DataError(f"there is no layer {kind!r}; there are {', '.join(KINDS)}")
            made.append(KINDS[kind](**settings))
        form = Form(**values["input"])
        for name, value in (("steps", form.steps), ("features", form.features)):
            if value is not None:
                _whole("the input", name, value)
        return cls(form, tuple(made))


class Chain:
    """A blueprint with its weights, float32."""

    def __init__(self, blueprint: Blueprint, weights: Mapping[str, Array]) -> None:
        """Take weights by the names and shapes of `blueprint.shapes()`; DataError when they do not fit."""
        expected = blueprint.shapes()
        found = {name: tuple(array.shape) for name, array in weights.items()}
        for name in {**expected, **found}:
            if expected.get(name) != found.get(name):
                number, _, weight = name.partition(".")
                whose = blueprint.layers[int(number)].name if number.isdigit() else name
                raise DataError(
                    f"the weights {weight} of the layer {whose!r} have the shape {found.get(name)}; its "
                    f"settings ask for {expected.get(name)}"
                )
        self.blueprint = blueprint
        self.weights = {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}

    def of_layer(self, number: int) -> dict[str, torch.Tensor]:
        """The weights of one layer, sharing memory."""
        prefix = f"{number}."
        return {
            name.removeprefix(prefix): torch.from_numpy(array)
            for name, array in self.weights.items()
            if name.startswith(prefix)
        }

    def run(self, batch: NDArray[Any]) -> Array:
        """Ids int64 [B, T], rows float32 [B, T, F] or [B, F] → the last layer's output, float32 [B, …].

        Raises DataError when the batch does not fit the model's input, an id is outside of the table or a
        window finds too few steps.
        """
        self.check(batch)
        layers = [(layer, self.of_layer(number)) for number, layer in enumerate(self.blueprint.layers)]
        at_once = max(1, BATCH_ROWS // max(batch.shape[1] if batch.ndim > 1 else 1, 1))
        parts = []
        with torch.no_grad():
            for start in range(0, max(len(batch), 1), at_once):
                signal = Signal(torch.from_numpy(np.ascontiguousarray(batch[start : start + at_once])))
                for layer, weights in layers:
                    signal = layer.run(signal, weights)
                parts.append(signal.values.numpy())
        return np.ascontiguousarray(np.concatenate(parts), np.float32)

    def check(self, batch: NDArray[Any]) -> None:
        """Raise DataError when a batch is none that `run` can take."""
        form = self.blueprint.input
        shape = (*((form.steps,) if form.in_steps else ()), *((form.features,) if form.features else ()))
        fits = batch.ndim == 1 + len(shape) and all(
            want in (None, came) for want, came in zip(shape, batch.shape[1:], strict=True)
        )
        if not fits or (form.in_steps and not batch.shape[1]):
            told = "[sequences, " + ", ".join(map(str, form.shape())) + "]"
            raise DataError(
                f"the input has the shape {list(batch.shape)}; the model takes {told}, T from 1 on"
            )
        # Also finds windows that lack steps, which a blueprint of any length cannot know.
        Blueprint(Form(batch.shape[1], form.features) if form.in_steps else form, self.blueprint.layers)
        first = self.blueprint.layers[0]
        if (
            isinstance(first, Embedding)
            and batch.size
            and not 0 <= batch.min() <= batch.max() < first.vocabulary
        ):
            wrong = batch.min() if batch.min() < 0 else batch.max()
            raise DataError(f"the id {wrong} is outside of the table; expected 0 to {first.vocabulary - 1}")

    def summary(self) -> Summary:
        """The layer table; what is counted are the weights of the file."""
        rows = []
        for layer, form, after in self.blueprint.forms():
            rows.append(Row(f"{layer.name} ({told(layer)})", after.shape(), _counted(layer, form)))
        return Summary(tuple(rows))

    def paths(self) -> list[tuple[str, str, str]]:
        """For each memory its name, who computes it ("kernels" or "equations") and why."""
        return [(layer.name, *layer.path()) for layer in self.blueprint.layers if isinstance(layer, Memory)]


def told(layer: Layer) -> str:
    """What a layer is, in a few words."""
    if isinstance(layer, Memory):
        what = TOLD[layer.cell]
        return what if layer.merge is None else f"{what}, both directions, {layer.merge}"
    if isinstance(layer, Pool):
        return f"{layer.pool} over the steps"
    if isinstance(layer, Dropout):
        return f"dropout {layer.rate:g}"
    return TOLD.get(layer.kind, layer.kind)


def _counted(layer: Layer, form: Form) -> int:
    shapes = layer.shapes(form)
    # Two bias vectors that are only ever added together are one.
    if isinstance(layer, Memory) and not (layer.cell == "gru" and layer.reset_after):
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith("bias_hh")}
    return sum(prod(shape) for shape in shapes.values())


def check(layer: Layer) -> None:
    """Raise DataError, naming the layer, for the first setting that cannot be."""
    for field in fields(layer):
        value, whose = getattr(layer, field.name), f"the layer {layer.name!r}"
        if field.name in CHOICES:
            if (value is not None and not isinstance(value, str)) or value not in CHOICES[field.name]:
                offered = ", ".join(str(choice) for choice in CHOICES[field.name])
                raise DataError(f"{whose} has {field.name} {value!r}; expected one of {offered}")
        elif field.type == "int":
            _whole(whose, field.name, value)
        elif field.type == "bool" and not isinstance(value, bool):
            raise DataError(f"{whose} has {field.name} {value!r}; expected true or false")
        elif field.type == "float" and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise DataError(f"{whose} has {field.name} {value!r}; expected a number")
        elif field.type == "str" and (not isinstance(value, str) or not value):
            raise DataError(f"{whose} has {field.name} {value!r}; expected a name")


def _whole(whose: str, name: str, value: Any) -> None:
    most = MOST.get(name, MOST_SIZE)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise DataError(f"{whose} has {name} {value!r:.40}; expected a whole number from 1 to {most:,}")
