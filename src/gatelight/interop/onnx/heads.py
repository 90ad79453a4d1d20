"""The pooling heads of `models.pooling` as ONNX nodes; knows no recurrent layer.

A head takes hidden [T, B, F], the last layer's final h [dirs, B, H], the lengths and its weights by name, and
gives logits [B, outputs]. Absent steps never count; an empty sequence is pooled to zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from gatelight.interop.onnx.nodes import Nodes

LOWEST = float(np.finfo(np.float32).min)

Array = NDArray[Any]


@dataclass(frozen=True)
class Sizes:
    """What the parts of the graph share: names of the lengths as they are needed."""

    lengths: str  # int32 [B]
    real: str  # the same, but at least 1: the operators know no sequence without a step
    there: str  # bool [B, 1], whether there is a step at all
    mask: str  # bool [T, B, 1], which steps are real

    @classmethod
    def of(cls, nodes: Nodes, x: str) -> Sizes:
        """Ask for the lengths of the rows x [T, B, ·]."""
        lengths = nodes.takes("lengths", TensorProto.INT32, ["batch"])
        zero, one = nodes.number(0, np.int32), nodes.number(1, np.int32)
        steps = nodes.add(
            "Cast",
            nodes.add("Gather", nodes.add("Shape", x), nodes.number(0, np.int64)),
            to=TensorProto.INT32,
        )
        step = nodes.add("Unsqueeze", nodes.add("Range", zero, steps, one), nodes.number([1, 2], np.int64))
        return cls(
            lengths=lengths,
            real=nodes.add("Max", lengths, one),
            there=nodes.add("Unsqueeze", nodes.add("Greater", lengths, zero), nodes.number([1], np.int64)),
            mask=nodes.add("Less", step, nodes.add("Unsqueeze", lengths, nodes.number([0, 2], np.int64))),
        )


Pool = Callable[[Nodes, str, str, Sizes, dict[str, Array]], str]


def only(nodes: Nodes, where: str, values: str, otherwise: float) -> str:
    """`values` where `where` holds, else this number."""
    return nodes.add("Where", where, values, nodes.number(otherwise, np.float32))


def _dense(nodes: Nodes, pooled: str, head: dict[str, Array]) -> str:
    weight = nodes.matrix("head.weight", head["weight"])
    return nodes.add("Gemm", pooled, weight, nodes.plain("head.bias", head["bias"]), transB=1)


def _last(nodes: Nodes, hidden: str, end: str, sizes: Sizes, head: dict[str, Array]) -> str:
    rows = nodes.add("Reshape", nodes.add("Transpose", end, perm=[1, 0, 2]), nodes.number([0, -1], np.int64))
    return _dense(nodes, only(nodes, sizes.there, rows, 0.0), head)


def _largest(nodes: Nodes, hidden: str, sizes: Sizes) -> str:
    real = only(nodes, sizes.mask, hidden, LOWEST)
    return only(nodes, sizes.there, nodes.add("ReduceMax", real, axes=[0], keepdims=0), 0.0)


def _average(nodes: Nodes, hidden: str, sizes: Sizes) -> str:
    count = nodes.add(
        "Cast", nodes.add("Unsqueeze", sizes.real, nodes.number([1], np.int64)), to=TensorProto.FLOAT
    )
    return nodes.add("Div", _sum(nodes, only(nodes, sizes.mask, hidden, 0.0)), count)


def _sum(nodes: Nodes, rows: str) -> str:
    return nodes.add("ReduceSum", rows, nodes.number([0], np.int64), keepdims=0)


def _max(nodes: Nodes, hidden: str, end: str, sizes: Sizes, head: dict[str, Array]) -> str:
    return _dense(nodes, _largest(nodes, hidden, sizes), head)


def _mean(nodes: Nodes, hidden: str, end: str, sizes: Sizes, head: dict[str, Array]) -> str:
    return _dense(nodes, _average(nodes, hidden, sizes), head)


def _max_and_mean(nodes: Nodes, hidden: str, end: str, sizes: Sizes, head: dict[str, Array]) -> str:
    parts = _largest(nodes, hidden, sizes), _average(nodes, hidden, sizes)
    return _dense(nodes, nodes.add("Concat", *parts, axis=1), head)


def _attention(nodes: Nodes, hidden: str, end: str, sizes: Sizes, head: dict[str, Array]) -> str:
    query = nodes.add(
        "Mul", nodes.plain("head.query", head["query"]), nodes.number(len(head["query"]) ** -0.5, np.float32)
    )
    score = nodes.add("MatMul", hidden, nodes.add("Unsqueeze", query, nodes.number([1], np.int64)))
    share = nodes.add("Softmax", only(nodes, sizes.mask, score, LOWEST), axis=0)
    return _dense(nodes, _sum(nodes, nodes.add("Mul", hidden, only(nodes, sizes.mask, share, 0.0))), head)


def _flatten(nodes: Nodes, hidden: str, end: str, sizes: Sizes, head: dict[str, Array]) -> str:
    # Each step has weights of its own, [F, outputs]; those of steps beyond the batch's are cut off. A batch
    # of more steps than there are weights for does not fit, and the product fails.
    outputs = len(head["weight"])
    features = nodes.add("Gather", nodes.add("Shape", hidden), nodes.number([2], np.int64))
    shape = nodes.add("Concat", nodes.number([outputs, -1], np.int64), features, axis=0)
    weight = nodes.add("Reshape", nodes.matrix("head.weight", head["weight"]), shape)
    by_step = nodes.add("Transpose", weight, perm=[1, 2, 0])
    steps = nodes.add("Gather", nodes.add("Shape", hidden), nodes.number([0], np.int64))
    cut = nodes.add("Slice", by_step, nodes.number([0], np.int64), steps, nodes.number([0], np.int64))
    summed = _sum(nodes, nodes.add("MatMul", only(nodes, sizes.mask, hidden, 0.0), cut))
    return nodes.add("Add", summed, nodes.plain("head.bias", head["bias"]))


POOLS: dict[str, Pool] = {
    "last": _last,
    "max": _max,
    "mean": _mean,
    "max+mean": _max_and_mean,
    "attention": _attention,
    "flatten": _flatten,
}
