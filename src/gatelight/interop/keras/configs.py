"""A chain's layers in Keras's words, such that Keras 2 and Keras 3 both read them; knows no file format.

Settings that all versions have the same default for are left out, so that none meets a word unknown to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gatelight.errors import DataError
from gatelight.interop.keras.feedforward import (
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
    WindowPool,
)
from gatelight.interop.keras.recurrent import Memory
from gatelight.interop.keras.sequential import Blueprint, Chain
from gatelight.interop.keras.weights import ABSENT, Array, keras_order

CELLS = {"rnn": "SimpleRNN", "lstm": "LSTM", "gru": "GRU"}
INPUT, MARK, MARKED = "input", "absent_steps", "without_absent_steps"


@dataclass(frozen=True)
class Written:
    """One layer for Keras: its class, settings, arrays in Keras's order and the layers it takes."""

    kind: str
    name: str
    config: dict[str, Any]
    arrays: tuple[Array, ...] = ()
    inputs: tuple[str, ...] = ()

    def entry(self) -> dict[str, Any]:
        """As JSON; `module` is for Keras 3."""
        return _entry(self.kind, {"name": self.name, **self.config})


def layers(chain: Chain) -> list[Written]:
    """Every layer for Keras, the input first; DataError, naming it, for one that Keras has not."""
    plan = chain.blueprint
    out = [Written("InputLayer", INPUT, _input(plan))]
    for number, layer in enumerate(plan.layers):
        weights = {name: tensor.numpy() for name, tensor in chain.of_layer(number).items()}
        before = out[-1].name
        if isinstance(layer, Pool) and layer.masked:
            out += _marks(plan, before)
            before = MARKED
        kind, config = _config(layer)
        out.append(Written(kind, layer.name, config, tuple(_arrays(layer, weights)), (before,)))
    names = [layer.name for layer in out]
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise DataError(f"the layer {twice!r} has a name that is needed for another; rename it")
    return out


def model(written: list[Written]) -> dict[str, Any]:
    """The architecture JSON: Sequential, or a graph where absent steps are marked."""
    if all(layer.kind != "Add" for layer in written):
        config: dict[str, Any] = {"name": "gatelight", "layers": [layer.entry() for layer in written]}
        return {**_entry("Sequential", config), "module": "keras"}
    graph = [
        {
            **layer.entry(),
            "name": layer.name,
            "inbound_nodes": [[[name, 0, 0, {}] for name in layer.inputs]] if layer.inputs else [],
        }
        for layer in written
    ]
    ends = {"input_layers": [[INPUT, 0, 0]], "output_layers": [[written[-1].name, 0, 0]]}
    return {**_entry("Model", {"name": "gatelight", "layers": graph, **ends}), "module": "keras"}


def _entry(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": kind, "config": dict(config), "registered_name": None}


def _input(plan: Blueprint) -> dict[str, Any]:
    form: Form = plan.input
    shape = [None, *((form.steps,) if form.in_steps else ()), *((form.features,) if form.features else ())]
    return {"batch_input_shape": shape, "dtype": "float32" if form.features else "int32"}


def _marks(plan: Blueprint, before: str) -> Iterator[Written]:
    """A table that lowers steps which do not count, so that the maximum over all steps passes them over."""
    first = plan.layers[0]
    assert isinstance(first, Embedding)
    table = np.zeros((first.vocabulary, 1), np.float32)
    table[0] = ABSENT
    config = {"input_dim": first.vocabulary, "output_dim": 1, "trainable": False}
    yield Written("Embedding", MARK, config, (table,), (INPUT,))
    yield Written("Add", MARKED, {}, (), (before, MARK))


def _config(layer: Layer) -> tuple[str, dict[str, Any]]:
    match layer:
        case Embedding():
            size = {"input_dim": layer.vocabulary, "output_dim": layer.features}
            return "Embedding", {**size, "mask_zero": layer.masks}
        case Masking():
            return "Masking", {"mask_value": layer.value}
        case Memory():
            return _memory(layer)
        case Dense():
            activation = _function(layer, layer.activation)
            return "Dense", {"units": layer.units, "activation": activation, "use_bias": layer.bias}
        case Activation():
            return "Activation", {"activation": _function(layer, layer.activation)}
        case Dropout():
            return "SpatialDropout1D" if layer.whole_features else "Dropout", {"rate": layer.rate}
        case Flatten():
            return "Flatten", {}
        case Pool():
            return "GlobalMaxPooling1D" if layer.pool == "max" else "GlobalAveragePooling1D", {}
        case Repeat():
            return "RepeatVector", {"n": layer.times}
        case Convolution():
            return "Conv1D", {
                "filters": layer.filters,
                "kernel_size": [layer.width],
                "strides": [layer.stride],
                "dilation_rate": [layer.dilation],
                "padding": layer.padding,
                "activation": _function(layer, layer.activation),
                "use_bias": layer.bias,
            }
        case WindowPool():
            sizes = {"pool_size": [layer.width], "strides": [layer.stride]}
            return "MaxPooling1D", {**sizes, "padding": layer.padding}
    raise DataError(f"the layer {layer.name!r} ({layer.kind}) has no counterpart in Keras")


def _memory(layer: Memory) -> tuple[str, dict[str, Any]]:
    kind = CELLS[layer.cell]
    config: dict[str, Any] = {
        "units": layer.hidden,
        "activation": _function(layer, layer.state),
        "return_sequences": layer.all_steps,
        "go_backwards": layer.backwards,
    }
    if layer.cell != "rnn":
        config["recurrent_activation"] = _function(layer, layer.gate)
    if layer.cell == "gru":
        config["reset_after"] = layer.reset_after
    if layer.merge is not None:
        # Both layers, as Keras writes them: told only of one, Keras 3 copies it for the way backwards, and
        # remembers what it copies by its address, which another object may have by then.
        forward = _entry(kind, {**config, "name": f"forward_{layer.name}", "go_backwards": layer.backwards})
        backward = _entry(
            kind, {**config, "name": f"backward_{layer.name}", "go_backwards": not layer.backwards}
        )
        return "Bidirectional", {"layer": forward, "backward_layer": backward, "merge_mode": layer.merge}
    if layer.zeros_where_masked:
        config["zero_output_for_mask"] = True
    return kind, config


def _function(layer: Layer, name: str) -> str:
    if name.startswith("hard_sigmoid"):
        raise DataError(
            f"the layer {layer.name!r} has {name}: Keras 2 and Keras 3 have different functions of the name "
            "hard_sigmoid, so no file would mean the same to both"
        )
    return name


def _arrays(layer: Layer, weights: Mapping[str, Array]) -> Iterator[Array]:
    """Arrays in Keras's order and layout."""
    if isinstance(layer, Memory):
        for suffix in layer.suffixes:
            own = {
                name.removesuffix("_reverse"): keras_order(weights[name + suffix], layer.cell)
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            }
            yield own["weight_ih"].T
            yield own["weight_hh"].T
            apart = layer.cell == "gru" and layer.reset_after
            first, second = own["bias_ih"], own["bias_hh"]
            yield np.stack([first, second]) if apart else first + second
        return
    if "table" in weights:
        yield weights["table"]
    if "weight" in weights:
        yield weights["weight"].T if isinstance(layer, Dense) else weights["weight"].transpose(2, 1, 0)
    if "bias" in weights:
        yield weights["bias"]
