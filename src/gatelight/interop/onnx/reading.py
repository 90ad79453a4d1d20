"""ONNX files read: what `writing` wrote becomes again what it was, other graphs a `Graph`. Runs nothing.

Knows no training. Whatever a file says of sizes, nothing larger than the file itself is allocated.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from safetensors.numpy import save_file

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators import folder
from gatelight.estimators.classifier import TextClassifier
from gatelight.interop.onnx.functions import FUNCTIONS, OF_WEIGHTS
from gatelight.interop.onnx.graph import Graph, Step
from gatelight.interop.onnx.nodes import SCALE
from gatelight.interop.onnx.operators import OPERATORS, layer_weights
from gatelight.interop.onnx.recurrent import Recurrent
from gatelight.interop.onnx.writing import KEY
from gatelight.models.classifier import Classifier
from gatelight.models.classifier_config import ClassifierConfig
from gatelight.nn import CELLS
from gatelight.nn.layers import Layer
from gatelight.text.vocabulary import FILE_NAME as VOCABULARY_FILE

MOST_BYTES = 1 << 31  # protobuf's own limit
OLDEST_OPSET = 7
PARAMETERS = {"LSTM": (1, 2, 3, 7), "GRU": (1, 2, 3), "RNN": (1, 2, 3)}  # places of W, R, B and P
STATES = {"LSTM": (0, 4, 5, 6), "GRU": (0, 4, 5), "RNN": (0, 4, 5)}  # of x, lengths and states
NAMES = {1: "W", 2: "R", 3: "B", 7: "P"}

Array = NDArray[Any]
Arrays = dict[str, Array]


def load(path: Path) -> TextClassifier | Classifier | Layer | Graph:
    """As `gatelight.interop.onnx.load`."""
    model = _parsed(path)
    readers: dict[str, Callable[[Mapping[str, str], Arrays], Any]] = {
        folder.CONFIG_FILE: _text_classifier, "classifier": _classifier, "layer": _layer,
    }  # fmt: skip
    try:
        notes = {entry.key: entry.value for entry in model.metadata_props}
        ours = {key.removeprefix(KEY): text for key, text in notes.items() if key.startswith(KEY)}
        arrays = _arrays(model)
        for kind, read in readers.items():
            if kind in ours:
                return read(ours, _floats(arrays))  # type: ignore[no-any-return]
        return _graph(model, arrays)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (DataError, KeyError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        # Names that are no Unicode come out of protobuf as bytes.
        reason = " ".join(str(error).split())
        raise ModelFileError(
            f"{path} does not fit together ({type(error).__name__}: {reason:.200})"
        ) from None


def _parsed(path: Path) -> onnx.ModelProto:
    if not path.is_file():
        raise ModelFileError(f"there is no file {path}; name an ONNX file")
    if path.stat().st_size >= MOST_BYTES:
        raise ModelFileError(f"{path} has {path.stat().st_size} bytes; an ONNX file holds 2 GB at most")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(
            f"{path} is no whole ONNX file ({reason:.200}); copy or export it again"
        ) from None
    return model


def _arrays(model: onnx.ModelProto) -> Arrays:
    if model.graph.sparse_initializer:
        raise ModelFileError("sparse weights are not offered; export dense ones")
    return {weight.name: _array(weight) for weight in model.graph.initializer}


def _array(weight: onnx.TensorProto) -> Array:
    if weight.data_location == onnx.TensorProto.EXTERNAL:
        raise ModelFileError(f"the weights {weight.name!r} are in another file; export all into one file")
    array = np.array(numpy_helper.to_array(weight))  # a copy: what came may be read-only
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ModelFileError(f"the weights {weight.name!r} hold infinite or undefined numbers")
    return array


# --- files of ours ----------------------------------------------------------------------------------------


def _floats(arrays: Arrays) -> Arrays:
    """Weights as float32: int8 ones times their scales."""
    return {
        name: array.astype(np.float32) * arrays[name + SCALE] if name + SCALE in arrays else array
        for name, array in arrays.items()
        if not name.endswith(SCALE)
    }


def _text_classifier(notes: Mapping[str, str], arrays: Arrays) -> TextClassifier:
    config = json.loads(notes[folder.CONFIG_FILE])
    state = _state(ClassifierConfig.from_dict(config["model"]), arrays)
    with tempfile.TemporaryDirectory() as aside:
        place = Path(aside)
        (place / folder.CONFIG_FILE).write_text(json.dumps(config), encoding="ascii")
        (place / VOCABULARY_FILE).write_text(notes[VOCABULARY_FILE], encoding="ascii")
        save_file(state, place / folder.MODEL_FILE)
        try:
            return folder.load(place)
        except ModelFileError as error:
            raise ModelFileError(str(error).replace(f"{place}/", "").replace(str(place), "it")) from None


def _classifier(notes: Mapping[str, str], arrays: Arrays) -> Classifier:
    config = ClassifierConfig.from_dict(json.loads(notes["classifier"]))
    state = _state(config, arrays)
    _fit(state, Classifier(config, device="meta"))
    model = Classifier(config)
    model.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return model.eval()


def _layer(notes: Mapping[str, str], arrays: Arrays) -> Layer:
    settings = json.loads(notes["layer"])
    cell = settings.pop("cell")
    if settings["num_layers"] > len(arrays):
        raise ModelFileError(f"{settings['num_layers']} layers are told of, but not there")
    suffixes = ("", "_reverse") if settings["bidirectional"] else ("",)
    state: Arrays = {}
    for number in range(settings["num_layers"]):
        state |= layer_weights(cell, _of_operator(arrays, f"{number}.", cell), number, suffixes)
    _fit(state, CELLS[cell](**settings, device="meta"))
    layer = CELLS[cell](**settings)
    layer.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    return layer


def _state(config: ClassifierConfig, arrays: Arrays) -> Arrays:
    """The classifier's weights by their own names."""
    if config.layers > len(arrays):
        raise ModelFileError(f"{config.layers} layers are told of, but not there")
    suffixes = ("", "_reverse") if config.bidirectional else ("",)
    state = {name: array for name, array in arrays.items() if name.startswith(("embedding.", "head."))}
    for number in range(config.layers):
        prefix = f"memory.{number}."
        found = layer_weights(config.cell, _of_operator(arrays, f"{prefix}0.", config.cell), 0, suffixes)
        state |= {prefix + name: array for name, array in found.items()}
    return state


def _of_operator(arrays: Arrays, prefix: str, cell: str) -> Arrays:
    found = {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
    if ("P" in found) != (cell == "peephole"):
        raise ModelFileError(f"peepholes and the cell {cell!r} do not go together")
    return found


def _fit(state: Arrays, expected: torch.nn.Module) -> None:
    wanted = {name: tuple(tensor.shape) for name, tensor in expected.state_dict().items()}
    found = {name: array.shape for name, array in state.items()}
    for name in {**wanted, **found}:
        if wanted.get(name) != found.get(name):
            raise ModelFileError(f"{name} has the shape {found.get(name)}, expected {wanted.get(name)}")


# --- files of other makers --------------------------------------------------------------------------------


def _graph(model: onnx.ModelProto, arrays: Arrays) -> Graph:
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset < OLDEST_OPSET:
        raise ModelFileError(f"opset {opset} is not read; convert the file to opset {OLDEST_OPSET} or newer")
    constants = dict(arrays)
    steps: list[Step] = []
    recurrent: list[Recurrent] = []
    for number, node in enumerate(model.graph.node):
        name = node.name or f"{node.op_type} {number}"
        attributes = {entry.name: _attribute(name, entry) for entry in node.attribute}
        if node.domain not in ("", "ai.onnx"):
            raise ModelFileError(
                f"the node {name!r} has an operator of {node.domain}; only ONNX's own are run"
            )
        if node.op_type == "Constant":
            constants[node.output[0]] = _constant(name, attributes)
        elif node.op_type in OPERATORS.values():
            step, layer = _recurrent(name, node, attributes, constants, len(recurrent))
            steps.append(step)
            recurrent.append(layer)
        elif node.op_type in OF_WEIGHTS and all(source in constants for source in node.input):
            constants[node.output[0]] = _folded(name, node, attributes, constants, opset)
        elif node.op_type in FUNCTIONS:
            attributes["outputs"] = len(node.output)
            steps.append(Step(name, node.op_type, tuple(node.input), tuple(node.output), attributes))
        else:
            raise ModelFileError(
                f"the node {name!r} has the operator {node.op_type}, which is not run here; there are "
                f"{', '.join(sorted({*FUNCTIONS, *OPERATORS.values()}))}"
            )
    read = {name for step in steps for name in step.inputs} | {value.name for value in model.graph.output}
    return Graph(
        [value.name for value in model.graph.input if value.name not in arrays],
        [value.name for value in model.graph.output],
        steps,
        {name: torch.from_numpy(array) for name, array in constants.items() if name in read},
        recurrent,
        opset,
    )


def _folded(
    name: str, node: onnx.NodeProto, attributes: Mapping[str, Any], constants: Arrays, opset: int
) -> Array:
    given = [constants[source] for source in node.input]
    if node.op_type == "Mul":
        # The one of them whose result may be far larger than what the file holds.
        size = math.prod(np.broadcast_shapes(*(array.shape for array in given)))
        if size > sum(array.size for array in given):
            raise ModelFileError(f"the node {name!r} makes {size} weights out of fewer")
    made = FUNCTIONS[node.op_type]([torch.from_numpy(array) for array in given], attributes, opset)
    assert isinstance(made, torch.Tensor)
    return np.array(made.numpy())


def _recurrent(
    name: str, node: onnx.NodeProto, attributes: Mapping[str, Any], constants: Arrays, number: int
) -> tuple[Step, Recurrent]:
    given = dict(enumerate(node.input))
    inputs: Arrays = {}
    for place in PARAMETERS[node.op_type]:
        source = given.get(place, "")
        if source and source not in constants:
            raise ModelFileError(f"the node {name!r} computes its {NAMES[place]}; expected fixed weights")
        if source:
            inputs[NAMES[place]] = constants[source]
    try:
        layer = Recurrent(node.op_type, attributes, inputs)
    except (ModelFileError, DataError, KeyError) as error:
        raise ModelFileError(f"the node {name!r} ({node.op_type}): {error}") from None
    read = tuple(given.get(place, "") for place in STATES[node.op_type])
    return Step(name, node.op_type, read, tuple(node.output), attributes, number), layer


def _attribute(name: str, entry: onnx.AttributeProto) -> Any:
    if entry.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        raise ModelFileError(
            f"the node {name!r} holds a graph of its own (a loop or a branch); unroll it first"
        )
    value = helper.get_attribute_value(entry)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return [item.decode() if isinstance(item, bytes) else item for item in value]
    return value


def _constant(name: str, attributes: Mapping[str, Any]) -> Array:
    for key, value in attributes.items():
        if key == "value":
            return _array(value)
        if key in ("value_float", "value_floats"):
            return np.array(value, np.float32)
        if key in ("value_int", "value_ints"):
            return np.array(value, np.int64)
    raise ModelFileError(f"the node {name!r} is a constant of another kind than numbers")
