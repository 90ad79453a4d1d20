"""ONNX operators without weights as PyTorch functions, by name; knows no graph and no recurrent layer.

Each takes its inputs (None: left out), its attributes and the opset of the graph, and gives one tensor or
several. A new operator is one function and one line in `FUNCTIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor
from torch.nn import functional

Attributes = Mapping[str, Any]
Inputs = list[Tensor | None]
Function = Callable[[Inputs, Attributes, int], Tensor | tuple[Tensor, ...]]

TYPES = {
    TensorProto.FLOAT: torch.float32,
    TensorProto.DOUBLE: torch.float64,
    TensorProto.INT8: torch.int8,
    TensorProto.UINT8: torch.uint8,
    TensorProto.INT32: torch.int32,
    TensorProto.INT64: torch.int64,
    TensorProto.BOOL: torch.bool,
}


OF_WEIGHTS = frozenset({
    "Cast", "Concat", "DequantizeLinear", "Identity", "Mul", "Reshape", "Slice", "Squeeze", "Transpose",
    "Unsqueeze",
})  # fmt: skip
"""What is done to weights on their way into an operator; done once, when a file is read."""


def whole(tensor: Tensor | None) -> list[int]:
    """A tensor of whole numbers as a list."""
    return [] if tensor is None else [int(value) for value in tensor.reshape(-1).tolist()]


def _plain(function: Callable[..., Tensor]) -> Function:
    return lambda given, attributes, opset: function(*[tensor for tensor in given if tensor is not None])


def _first(function: Callable[[Tensor, Attributes], Tensor]) -> Function:
    def run(given: Inputs, attributes: Attributes, opset: int) -> Tensor:
        assert given[0] is not None
        return function(given[0], attributes)

    return run


def _axes(given: Inputs, attributes: Attributes) -> list[int]:
    """What axes a node names: as its second input, or as an attribute in older opsets."""
    if len(given) > 1 and given[1] is not None:
        return whole(given[1])
    return [int(axis) for axis in attributes.get("axes", [])]


def _reduced(function: Callable[..., Tensor]) -> Function:
    def run(given: Inputs, attributes: Attributes, opset: int) -> Tensor:
        x, axes = given[0], _axes(given, attributes)
        assert x is not None
        if not axes and attributes.get("noop_with_empty_axes", 0):
            return x
        return function(x, dim=axes or list(range(x.dim())), keepdim=bool(attributes.get("keepdims", 1)))

    return run


def _squeeze(given: Inputs, attributes: Attributes, opset: int) -> Tensor:
    x, axes = given[0], _axes(given, attributes)
    assert x is not None
    return x.squeeze(tuple(axes)) if axes else x.squeeze()


def _unsqueeze(given: Inputs, attributes: Attributes, opset: int) -> Tensor:
    x, axes = given[0], _axes(given, attributes)
    assert x is not None
    rank = x.dim() + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _reshape(given: Inputs, attributes: Attributes, opset: int) -> Tensor:
    x, shape = given[0], whole(given[1])
    assert x is not None
    if not attributes.get("allowzero", 0):
        shape = [x.shape[place] if size == 0 else size for place, size in enumerate(shape)]
    return x.reshape(shape)


def _flatten(x: Tensor, attributes: Attributes) -> Tensor:
    axis = attributes.get("axis", 1)
    axis += x.dim() if axis < 0 else 0
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


def _gather(given: Inputs, attributes: Attributes, opset: int) -> Tensor:
    x, places = given[0], given[1]
    assert x is not None
    assert places is not None
    axis = attributes.get("axis", 0) % x.dim()
    places = places.long()
    chosen = x.index_select(axis, torch.where(places < 0, places + x.shape[axis], places).reshape(-1))
    return chosen.reshape([*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]])


def _slice(given: Inputs, attributes: Attributes, opset: int) -> Tensor:
    x = given[0]
    assert x is not None
    starts, ends, *rest = (
        [whole(part) for part in given[1:]]
        if len(given) > 1
        else [list(attributes["starts"]), list(attributes["ends"]), list(attributes.get("axes", []))]
    )
    axes = rest[0] if rest and rest[0] else list(range(len(starts)))
    steps = rest[1] if len(rest) > 1 and rest[1] else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        rows = range(x.shape[axis])[slice(start, None if step < 0 and end < -x.shape[axis] else end, step)]
        x = x.index_select(axis, torch.tensor(rows, dtype=torch.int64))
    return x


def _split(given: Inputs, attributes: Attributes, opset: int) -> tuple[Tensor, ...]:
    x = given[0]
    assert x is not None
    axis = attributes.get("axis", 0)
    sizes = whole(given[1]) if len(given) > 1 else [int(size) for size in attributes.get("split", [])]
    if sizes:
        return torch.functional.split(x, sizes, axis)
    count = attributes.get("num_outputs", attributes["outputs"])
    return torch.chunk(x, count, axis)


def _concat(given: Inputs, attributes: Attributes, opset: int) -> Tensor:
    return torch.cat([part for part in given if part is not None], dim=attributes["axis"])


def _expand(given: Inputs, attributes: Attributes, opset: int) -> Tensor:
    x, shape = given[0], whole(given[1])
    assert x is not None
    return x.expand(torch.broadcast_shapes(x.shape, torch.Size(shape)))  # type: ignore[no-untyped-call]


def _filled(x: Tensor, attributes: Attributes) -> Tensor:
    value = attributes.get("value")
    number = torch.zeros(1) if value is None else torch.from_numpy(numpy_helper.to_array(value).copy())
    return number.reshape(1).expand(whole(x)).clone()


def _gemm(given: Inputs, attributes: Attributes, opset: int) -> Tensor:
    a, b, *c = given
    assert a is not None
    assert b is not None
    product = (a.T if attributes.get("transA", 0) else a) @ (b.T if attributes.get("transB", 0) else b)
    product = product * float(attributes.get("alpha", 1.0))
    return product if not c or c[0] is None else product + c[0] * float(attributes.get("beta", 1.0))


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode="trunc")


def _softmax(function: Callable[[Tensor, int], Tensor]) -> Function:
    def run(given: Inputs, attributes: Attributes, opset: int) -> Tensor:
        x = given[0]
        assert x is not None
        if opset >= 13:
            return function(x, int(attributes.get("axis", -1)))
        flat = _flatten(x, {"axis": attributes.get("axis", 1)})  # the older meaning
        return function(flat, 1).reshape(x.shape)

    return run


def _dequantized(given: Inputs, attributes: Attributes, opset: int) -> Tensor:
    x, scale, *rest = given
    assert x is not None
    assert scale is not None
    shape = [1] * x.dim()
    if scale.dim() == 1:
        shape[attributes.get("axis", 1)] = -1
    zero = rest[0].reshape(shape).to(scale) if rest and rest[0] is not None else 0
    return (x.to(scale) - zero) * scale.reshape(shape)


def _argmax(x: Tensor, attributes: Attributes) -> Tensor:
    return x.argmax(dim=attributes.get("axis", 0), keepdim=bool(attributes.get("keepdims", 1)))


def _hard_sigmoid(x: Tensor, attributes: Attributes) -> Tensor:
    return (x * float(attributes.get("alpha", 0.2)) + float(attributes.get("beta", 0.5))).clamp(0, 1)


FUNCTIONS: dict[str, Function] = {
    "Add": _plain(torch.add),
    "And": _plain(torch.logical_and),
    "ArgMax": _first(_argmax),
    "Cast": _first(lambda x, attributes: x.to(TYPES[attributes["to"]])),
    "Concat": _concat,
    "ConstantOfShape": _first(_filled),
    "DequantizeLinear": _dequantized,
    "Div": _plain(_divide),
    "Dropout": _first(lambda x, attributes: x),
    "Elu": _first(lambda x, attributes: functional.elu(x, attributes.get("alpha", 1.0))),
    "Equal": _plain(torch.eq),
    "Expand": _expand,
    "Flatten": _first(_flatten),
    "Gather": _gather,
    "Gemm": _gemm,
    "Greater": _plain(torch.gt),
    "HardSigmoid": _first(_hard_sigmoid),
    "Identity": _first(lambda x, attributes: x),
    "LeakyRelu": _first(lambda x, attributes: functional.leaky_relu(x, attributes.get("alpha", 0.01))),
    "Less": _plain(torch.lt),
    "LogSoftmax": _softmax(torch.log_softmax),
    "MatMul": _plain(torch.matmul),
    "Max": _plain(torch.maximum),
    "Min": _plain(torch.minimum),
    "Mul": _plain(torch.mul),
    "Neg": _plain(torch.neg),
    "Not": _plain(torch.logical_not),
    "Range": _plain(lambda start, stop, step: torch.arange(start.item(), stop.item(), step.item()).to(start)),
    "ReduceMax": _reduced(torch.amax),
    "ReduceMean": _reduced(torch.mean),
    "ReduceSum": _reduced(torch.sum),
    "Relu": _plain(torch.relu),
    "Reshape": _reshape,
    "Shape": _first(lambda x, attributes: torch.tensor(x.shape)),
    "Sigmoid": _plain(torch.sigmoid),
    "Slice": _slice,
    "Softmax": _softmax(torch.softmax),
    "Softplus": _plain(functional.softplus),
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _plain(torch.sub),
    "Tanh": _plain(torch.tanh),
    "Transpose": _first(lambda x, attributes: x.permute(*attributes.get("perm", range(x.dim() - 1, -1, -1)))),
    "Unsqueeze": _unsqueeze,
    "Where": _plain(torch.where),
}
