"""An ONNX graph in the making: nodes, numbers and weights, each with a name of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17  # of 2022: old enough for the runtimes in use
IR_VERSION = 8  # that opset's

Array = NDArray[Any]
Dimensions = Sequence[int | str]


class Nodes:
    """Collects a graph; every method returns the name of what it makes."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, Array] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def add(self, operator: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Append a node with one output; "" among the inputs is one left out."""
        return self.several(operator, inputs, [name or self._fresh(operator)], **attributes)[0]

    def several(
        self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any
    ) -> list[str]:
        """Append a node with several outputs of these names."""
        self._nodes.append(helper.make_node(operator, list(inputs), list(outputs), **attributes))
        return list(outputs)

    def number(self, value: float | Sequence[int], kind: Any) -> str:
        """A constant of this NumPy type."""
        array = np.array(value, kind)
        name = f"{array.dtype}{array.tolist()}".replace(" ", "")
        self._weights[name] = array
        return name

    def plain(self, name: str, array: Array) -> str:
        """Weights as they are."""
        self._weights[name] = np.ascontiguousarray(array)
        return name

    def takes(self, name: str, kind: int, shape: Dimensions) -> str:
        """An input."""
        self._inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def gives(self, name: str, shape: Dimensions) -> None:
        """An output of floats that a node was named after."""
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def bytes(self) -> int:
        """What the weights take."""
        return sum(array.nbytes for array in self._weights.values())

    def model(self, name: str, told: str, metadata: dict[str, str], version: str) -> onnx.ModelProto:
        """The whole as a model."""
        weights = [numpy_helper.from_array(array, key) for key, array in self._weights.items()]
        graph = helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, initializer=weights, doc_string=told
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
            producer_name="gatelight", producer_version=version,
        )  # fmt: skip
        helper.set_model_props(model, metadata)
        return model

    def _fresh(self, operator: str) -> str:
        return f"{operator}_{len(self._nodes)}"
