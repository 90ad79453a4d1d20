"""Text classifiers that `writing` wrote as ONNX files become the same again. Runs nothing.

Whatever a file says of sizes, nothing larger than the file itself is allocated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
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
from gatelight.models.config import ClassifierConfig
from gatelight.nn.equations import EQUATIONS

MOST_BYTES = 1 << 31  # protobuf's own limit

Array = NDArray[Any]
Arrays = dict[str, Array]


def load(path: str | Path) -> TextClassifier:
    """Read the text classifier that `save` wrote as an ONNX file. Nothing in the file is executed.

    Raises ModelFileError for a file that is damaged, of another maker or of a network alone.
    """
    model = _parsed(Path(path))
    try:
        notes = {entry.key: entry.value for entry in model.metadata_props}
        if KEY + saving.CONFIG_FILE in notes:
            config = json.loads(notes[KEY + saving.CONFIG_FILE])
            state = _state(ClassifierConfig.from_dict(config["model"]), _floats(_arrays(model)))
            return from_parts(config, notes[KEY + saving.VOCABULARY_FILE], state)
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (DataError, KeyError, TypeError, ValueError, RuntimeError, RecursionError) as error:
        # Names that are no Unicode come out of protobuf as bytes.
        reason = " ".join(str(error).split())
        raise ModelFileError(
            f"{path} does not fit together ({type(error).__name__}: {reason:.200})"
        ) from None
    raise ModelFileError(
        f"{path} holds no text classifier that gatelight wrote, and no other file is read back; run it by "
        "ONNX Runtime"
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


def _state(config: ClassifierConfig, arrays: Arrays) -> Arrays:
    """The classifier's weights by their own names: for each layer those of its operator's inputs."""
    if config.layers > len(arrays):
        raise ModelFileError(f"{config.layers} layers are told of, but not there")
    state = {name: array for name, array in arrays.items() if name.startswith(("embedding.", "head."))}
    cell, theirs = EQUATIONS[config.cell], ONNX[config.cell]
    for number in range(config.layers):
        prefix = f"memory.{number}."
        own = {key: arrays[name] for key in "WRBP" if (name := f"{prefix}0.{key}") in arrays}
        if ("P" in own) != bool(cell.peepholes):
            raise ModelFileError(f"peepholes and the cell {config.cell!r} do not go together")
        for place, end in enumerate(("", "_reverse") if config.bidirectional else ("",)):
            parts = {"weight_ih": own["W"][place], "weight_hh": own["R"][place]}
            parts["bias_ih"], parts["bias_hh"] = np.split(own["B"][place], 2)
            named = {name: in_order(rows, theirs, cell.gates) for name, rows in parts.items()}
            if "P" in own:
                row = in_order(own["P"][place], ONNX_PEEPHOLES, cell.peepholes)
                named["weight_peephole"] = row.reshape(len(ONNX_PEEPHOLES), -1)
            state |= {f"{prefix}{name}_l0{end}": array for name, array in named.items()}
    return state
