"""ONNX files that `writing` wrote become again what they were. Runs nothing.

Whatever a file says of sizes, nothing larger than the file itself is allocated.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import numpy_helper

from gatelight.errors import DataError, ModelFileError
from gatelight.estimators import saving
from gatelight.estimators.classifier import TextClassifier
from gatelight.interop.gate_orders import ONNX, ONNX_PEEPHOLES, in_order
from gatelight.interop.onnx.nodes import SCALE
from gatelight.interop.onnx.writing import KEY
from gatelight.interop.text_classifier import from_parts
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.nn import CELLS
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.layers import Layer

MOST_BYTES = 1 << 31  # protobuf's own limit

Array = NDArray[Any]
Arrays = dict[str, Array]
Module = TypeVar("Module", bound=torch.nn.Module)


def load(path: str | Path) -> TextClassifier | Classifier | Layer:
    """Read an ONNX file that `save` wrote; it becomes what it was. Nothing in the file is executed.

    Raises ModelFileError for a file that is damaged or of another maker.
    """
    model = _parsed(Path(path))
    readers: dict[str, Callable[[Mapping[str, str], Arrays], Any]] = {
        saving.CONFIG_FILE: _text_classifier, "classifier": _classifier, "layer": _layer,
    }  # fmt: skip
    try:
        notes = {entry.key: entry.value for entry in model.metadata_props}
        ours = {key.removeprefix(KEY): text for key, text in notes.items() if key.startswith(KEY)}
        for kind, read in readers.items():
            if kind in ours:
                return read(ours, _floats(_arrays(model)))  # type: ignore[no-any-return]
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (DataError, KeyError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        # Names that are no Unicode come out of protobuf as bytes.
        reason = " ".join(str(error).split())
        raise ModelFileError(
            f"{path} does not fit together ({type(error).__name__}: {reason:.200})"
        ) from None
    raise ModelFileError(
        f"{path} was not written by gatelight, which reads back only its own exports; run it by ONNX Runtime"
    )


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


def _floats(arrays: Arrays) -> Arrays:
    """Weights as float32: int8 ones times their scales."""
    return {
        name: array.astype(np.float32) * arrays[name + SCALE] if name + SCALE in arrays else array
        for name, array in arrays.items()
        if not name.endswith(SCALE)
    }


def _text_classifier(notes: Mapping[str, str], arrays: Arrays) -> TextClassifier:
    config = json.loads(notes[saving.CONFIG_FILE])
    state = _state(ClassifierConfig.from_dict(config["model"]), arrays)
    return from_parts(config, notes[saving.VOCABULARY_FILE], state)


def _classifier(notes: Mapping[str, str], arrays: Arrays) -> Classifier:
    config = ClassifierConfig.from_dict(json.loads(notes["classifier"]))
    state = _state(config, arrays)  # first: the weights vouch for the number of layers
    return _filled(Classifier(config, device="meta"), state).eval()


def _layer(notes: Mapping[str, str], arrays: Arrays) -> Layer:
    settings = json.loads(notes["layer"])
    cell, layers = settings.pop("cell"), settings["num_layers"]
    state = _weights(arrays, "", cell, layers, settings["bidirectional"])
    return _filled(CELLS[cell](**settings, device="meta"), state)


def _state(config: ClassifierConfig, arrays: Arrays) -> Arrays:
    """The classifier's weights by their own names."""
    if config.layers > len(arrays):
        raise ModelFileError(f"{config.layers} layers are told of, but not there")
    state = {name: array for name, array in arrays.items() if name.startswith(("embedding.", "head."))}
    for number in range(config.layers):
        prefix = f"memory.{number}."
        found = _weights(arrays, prefix, config.cell, 1, config.bidirectional)
        state |= {prefix + name: array for name, array in found.items()}
    return state


def _weights(arrays: Arrays, prefix: str, cell: str, layers: int, bidirectional: bool) -> Arrays:
    """The inputs of the operators below a prefix → weights by torch's names."""
    if layers > len(arrays):
        raise ModelFileError(f"{layers} layers are told of, but not there")
    equation, theirs = EQUATIONS[cell], ONNX[cell]
    weights: Arrays = {}
    for layer in range(layers):
        own = {key: arrays[name] for key in "WRBP" if (name := f"{prefix}{layer}.{key}") in arrays}
        if ("P" in own) != bool(equation.peepholes):
            raise ModelFileError(f"peepholes and the cell {cell!r} do not go together")
        for place, end in enumerate(("", "_reverse") if bidirectional else ("",)):
            parts = {"weight_ih": own["W"][place], "weight_hh": own["R"][place]}
            if "B" in own:
                parts["bias_ih"], parts["bias_hh"] = np.split(own["B"][place], 2)
            name = f"_l{layer}{end}"
            weights |= {part + name: in_order(rows, theirs, equation.gates) for part, rows in parts.items()}
            if "P" in own:
                row = in_order(own["P"][place], ONNX_PEEPHOLES, equation.peepholes)
                weights["weight_peephole" + name] = row.reshape(len(ONNX_PEEPHOLES), -1)
    return weights


def _filled(module: Module, state: Arrays) -> Module:
    """A module without memory of its own, whose shapes the weights must have."""
    module.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()}, assign=True)
    return module
