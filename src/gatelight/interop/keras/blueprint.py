"""The layers of a model that Keras trained, one after another, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from gatelight.errors import DataError
from gatelight.interop.keras.layers import (
    Activation,
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
    check_whole,
)
from gatelight.interop.keras.recurrent import Recurrent
from gatelight.models.summary import Row, Summary

KINDS: dict[str, type[Layer]] = {
    layer.kind: layer
    for layer in (Embedding, Masking, Recurrent, Dense, Activation, Dropout, Flatten, Pool, Repeat)
}


@dataclass(frozen=True)
class Blueprint:
    """The layers and what comes in; raises DataError, naming the layer, for what cannot be."""

    input: Form
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not self.layers:
            raise DataError("the model has no layers")
        names = [layer.name for layer in self.layers]
        for number, layer in enumerate(self.layers):
            layer.check()
            if layer.name in names[:number]:
                raise DataError(f"two layers have the name {layer.name!r}")
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

    def summary(self) -> Summary:
        """The layer table; what is counted are the weights of the file."""
        return Summary(
            tuple(
                Row(f"{layer.name} ({layer.told()})", after.shape(), _counted(layer, form))
                for layer, form, after in self.forms()
            )
        )

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
            settings.pop("whole_features", None)  # of dropout in older folders
            if kind not in KINDS:
                raise DataError(f"there is no layer {kind!r}; there are {', '.join(KINDS)}")
            made.append(KINDS[kind](**settings))
        form = Form(**values["input"])
        for name, value in (("steps", form.steps), ("features", form.features)):
            if value is not None:
                check_whole("the input", name, value)
        return cls(form, tuple(made))


def _counted(layer: Layer, form: Form) -> int:
    shapes = layer.shapes(form)
    # Two bias vectors that are only ever added together are one.
    if isinstance(layer, Recurrent) and not (layer.cell == "gru" and layer.reset_after):
        shapes = {name: shape for name, shape in shapes.items() if not name.startswith("bias_hh")}
    return sum(prod(shape) for shape in shapes.values())
