"""Keras's architecture JSON, of version 1, 2 or 3, as a list of layers.

Nothing named in the JSON is imported or run. Refused by name: layers that are not Keras's own, graphs that
branch, layers used twice, and settings that nobody asks for, unless they are harmless or switched off.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gatelight.errors import DataError, ModelFileError

MOST_BYTES = 16 << 20
MOST_LAYERS = 1000
SUPPORTED = "supported is one layer after another"
MASKS = ("NotEqual", "Any")  # what Keras 3 writes into a graph for the mask of a layer before

# They say how a model begins, is trained or is laid out in memory, none of which changes what it answers.
HARMLESS = {
    "name", "trainable", "dtype", "batch_input_shape", "batch_shape", "input_shape", "input_dim", "autocast",
    "input_length", "input_dtype", "batch_size", "seed", "noise_shape", "dropout", "recurrent_dropout",
    "dropout_W", "dropout_U", "consume_less", "implementation", "unroll", "unit_forget_bias",
    "forget_bias_init", "init", "inner_init", "sparse", "use_cudnn",
}  # fmt: skip
HARMLESS_ENDINGS = ("_initializer", "_regularizer", "_constraint", "_init")
USUAL = {"data_format": "channels_last", "axis": -1}
SAME_IN_ALL_VERSIONS = ("linear", "sigmoid", "tanh", "relu", "softmax", "softplus", "softsign", "elu")


@dataclass(frozen=True)
class Version:
    """What depends on the version of Keras that wrote a file."""

    keras_3: bool = True
    forces_zeros: bool = True  # Bidirectional gives zeros where masked


@dataclass(frozen=True)
class Entry:
    """One layer as the file tells it, in Keras's words of any version."""

    kind: str  # Keras's class name
    name: str
    config: Mapping[str, Any]
    version: Version = Version()
    mark: str | None = None  # the layer whose number per id is added to each step before this maximum
    asked: set[str] = field(default_factory=set, compare=False)  # the settings that were

    def within(self, key: str = "layer") -> Entry:
        """The layer that this one wraps."""
        self.asked.add(key)
        value = self.config.get(key)
        if (
            not isinstance(value, dict)
            or "class_name" not in value
            or not isinstance(value.get("config"), dict)
        ):
            raise DataError(f"the layer {self.name!r} wraps nothing that can be read")
        return _entry(value, self.version)

    def get(self, *names: str, default: Any = None) -> Any:
        """The value under the first of these names (versions differ) that is there."""
        self.asked.update(names)
        return next((self.config[name] for name in names if name in self.config), default)

    def function(self, *names: str, default: str = "linear") -> str:
        """The name of an activation, by our names; DataError for one that there is not."""
        value = self.get(*names, default=default)
        if isinstance(value, Mapping):
            value = value.get("config") if isinstance(value.get("config"), str) else value.get("class_name")
        if value is None:
            return "linear"
        if value == "hard_sigmoid":
            return "hard_sigmoid_sixth" if self.version.keras_3 else "hard_sigmoid_fifth"
        if value not in SAME_IN_ALL_VERSIONS:
            raise DataError(
                f"the layer {self.name!r} ({self.kind}) has the activation {value!r:.60}, which is not "
                "supported"
            )
        return str(value)

    def finish(self) -> None:
        """Raise DataError for a setting that nobody asked for and that is not switched off."""
        for name, value in self.config.items():
            known = name in self.asked or name in HARMLESS or name.endswith(HARMLESS_ENDINGS)
            if not known and value not in (None, False, 0, "", [], {}, USUAL.get(name)):
                raise DataError(
                    f"the layer {self.name!r} ({self.kind}) has the setting {name} = {value!r:.60}, which is "
                    "not supported; switch it off in the architecture if it does not matter"
                )


@dataclass(frozen=True)
class Architecture:
    """Layers in the order of computation, and the shape of one input (None: not told).

    `listed` names every layer in the order of the file, which is that of weights.
    """

    layers: tuple[Entry, ...]
    shape: tuple[int | None, ...] | None
    listed: tuple[Entry, ...]


def parsed(text: str | bytes, name: str, most: int = MOST_BYTES) -> Mapping[str, Any]:
    """JSON of untrusted origin as a mapping; ModelFileError when it is none or has more bytes."""
    if len(text) > most:
        raise ModelFileError(f"{name} has more than {most:,} bytes of JSON, which no model needs")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{name} is no readable JSON ({error!s:.100}); copy it again") from None
    if not isinstance(value, dict):
        raise ModelFileError(f"{name} holds JSON, but no mapping; expected what Keras or gatelight wrote")
    return value


def architecture(model: Mapping[str, Any], name: str, version: str | None = None) -> Architecture:
    """The layers of a model's JSON; `version` is Keras's where the file tells it elsewhere.

    Raises DataError for what is not supported, ModelFileError for what is no architecture.
    """
    told = version or model.get("keras_version")
    try:
        number = re.match(r"(\d+)\.?(\d*)", told) if isinstance(told, str) else None
        # Keras 3 does not say its version in JSON, but names modules.
        major, minor = (int(number[1]), int(number[2] or 0)) if number else (3 if "module" in model else 2, 0)
        zeros = major >= 3 or (major == 2 and (minor >= 4 or str(told).endswith("-tf")))
        written = Version(major >= 3, zeros)
        kind = model["class_name"]
        config = model["config"]
        if kind not in ("Sequential", "Model", "Functional"):
            raise DataError(
                f"{name} holds a {kind!r:.60}; expected a Sequential or Functional model of Keras"
            )
        entries = config if isinstance(config, list) else config["layers"]
        if not isinstance(entries, list) or not 0 < len(entries) <= MOST_LAYERS:
            raise ModelFileError(f"{name}: a model must have 1 to {MOST_LAYERS} layers")
        listed = tuple(_entry(entry, written) for entry in entries)
        if kind == "Sequential":
            layers, shape = _sequence(listed, config)
        else:
            layers, shape = _graph(listed, entries, config)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, RecursionError) as error:
        if isinstance(error, (DataError, ModelFileError)):
            raise
        what = f"{type(error).__name__}: {error!s:.80}"
        raise ModelFileError(f"{name} is no architecture of Keras that can be read ({what})") from None
    return Architecture(layers, shape, listed)


def _entry(entry: Mapping[str, Any], version: Version) -> Entry:
    kind, config = entry["class_name"], entry["config"]
    if not isinstance(kind, str) or not isinstance(config, dict):
        raise DataError(f"a layer has the class {kind!r:.60} and no settings that can be read")
    module, registered = entry.get("module"), entry.get("registered_name")
    foreign = isinstance(module, str) and module.split(".")[0] not in ("keras", "tf_keras", "tensorflow")
    if foreign or (isinstance(registered, str) and ">" in registered) or not kind.isidentifier():
        raise DataError(
            f"the layer {config.get('name')!r:.60} is {registered or kind!s:.60}, somebody's own class: its "
            "code is not in the file and is not run"
        )
    name = config.get("name") or entry.get("name")
    if not isinstance(name, str):
        name = kind.lower()
    return Entry(kind, name, config, version)


def _sequence(
    listed: tuple[Entry, ...], config: Any
) -> tuple[tuple[Entry, ...], tuple[int | None, ...] | None]:
    shape = next((found for entry in listed[:1] if (found := _shape(entry.config))), None)
    if shape is None and isinstance(config, dict) and isinstance(config.get("build_input_shape"), list):
        shape = _sides(config["build_input_shape"])
    layers = tuple(entry for entry in listed if entry.kind != "InputLayer")
    if shape is None and listed[0].kind not in ("InputLayer", "Embedding"):
        features = listed[0].config.get("input_dim")
        shape = (listed[0].config.get("input_length"), features) if isinstance(features, int) else None
    return layers, shape


def _graph(
    listed: tuple[Entry, ...], entries: list[Any], config: Mapping[str, Any]
) -> tuple[tuple[Entry, ...], tuple[int | None, ...] | None]:
    """Follow the one way from input to output; layers that Keras 3 adds for masks are left out."""
    by_name: dict[str, tuple[Entry, list[str]]] = {}
    for entry, raw in zip(listed, entries, strict=True):
        called = raw.get("name", entry.name)
        if called in by_name:
            raise DataError(f"two layers have the name {called!r:.60}")
        by_name[called] = entry, _comes_from(entry, raw["inbound_nodes"])
    starts = _ends(config["input_layers"])
    ends = _ends(config["output_layers"])
    if len(starts) != 1 or len(ends) != 1:
        raise DataError(
            f"the model has {len(starts)} inputs and {len(ends)} outputs; supported is one of each"
        )
    layers: list[Entry] = []
    at = ends[0]
    for _ in range(len(by_name) + 1):
        entry, before = by_name[at]
        if at == starts[0]:
            break
        if len(before) == 2 and _marks(entry, layers, *by_name[before[1]], starts[0]):
            layers[-1] = replace(layers[-1], mark=before[1])
        elif len(before) == 1:
            layers.append(entry)
        else:
            raise DataError(f"the layer {entry.name!r} joins {len(before)} others; {SUPPORTED}")
        at = before[0]
    else:
        raise DataError("the layers run in a circle")
    used = {entry.name for entry in layers} | {entry.mark for entry in layers}
    for called, (entry, before) in by_name.items():
        joins = entry.kind == "Add" and len(before) == 2 and before[1] in used
        if entry.name not in used and not joins and called != starts[0] and entry.kind not in MASKS:
            raise DataError(f"the layer {called!r} branches off; {SUPPORTED}")
    return tuple(reversed(layers)), _shape(by_name[starts[0]][0].config)


def _marks(entry: Entry, after: list[Entry], mark: Entry, before: list[str], start: str) -> bool:
    """Whether a layer adds but a number per id before a maximum, as `export` keeps absent steps out."""
    return (
        entry.kind == "Add"
        and after != []
        and after[-1].kind == "GlobalMaxPooling1D"
        and mark.kind == "Embedding"
        and mark.config.get("output_dim") == 1
        and before == [start]
    )


def _comes_from(entry: Entry, nodes: Any) -> list[str]:
    """Names of the layers whose output a layer takes."""
    if not nodes:
        return []
    if len(nodes) != 1:
        raise DataError(f"the layer {entry.name!r} is used {len(nodes)} times; supported is once")
    node = nodes[0]
    if isinstance(node, dict):  # Keras 3
        if "initial_state" in node["kwargs"] and node["kwargs"]["initial_state"] is not None:
            raise DataError(
                f"the layer {entry.name!r} begins with a state from elsewhere; supported are zeros"
            )
        args = node["args"][0]
        tensors = args if isinstance(args, list) else [args]
        return [tensor["config"]["keras_history"][0] for tensor in tensors]
    if node and isinstance(node[0], str):
        node = [node]
    for tensor in node:
        if len(tensor) > 3 and tensor[3]:
            raise DataError(f"the layer {entry.name!r} is called with {', '.join(tensor[3])!s:.60}")
    return [tensor[0] for tensor in node]


def _ends(value: Any) -> list[str]:
    return [value[0]] if isinstance(value[0], str) else [end[0] for end in value]


def _shape(config: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    for key in ("batch_input_shape", "batch_shape"):
        if isinstance(config.get(key), list):
            return _sides(config[key])
    return None


def _sides(batch: list[Any]) -> tuple[int | None, ...]:
    if not all(side is None or (isinstance(side, int) and not isinstance(side, bool)) for side in batch):
        raise DataError(f"the input has the shape {batch!r:.60}; expected whole numbers")
    return tuple(batch[1:])
