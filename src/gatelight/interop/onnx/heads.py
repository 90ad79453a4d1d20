"""The heads of `models.heads` as ONNX nodes.

Absent steps never count; an empty sequence is pooled to zeros.
"""

from __future__ import annotations

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


def only(nodes: Nodes, where: str, values: str, otherwise: float) -> str:
    """`values` where `where` holds, else this number."""
    return nodes.add("Where", where, values, nodes.number(otherwise, np.float32))


def logits_of(pool: str, nodes: Nodes, hidden: str, end: str, sizes: Sizes, head: dict[str, Array]) -> str:
    """The head of this pool over hidden [T, B, F] and the last layer's final h [dirs, B, H]: [B, outputs]."""
    if pool == "flatten":
        return _flatten(nodes, hidden, sizes, head)
    if pool == "attention":
        pooled = _attention(nodes, hidden, sizes, head)
    elif pool == "last":
        by_text = nodes.add("Transpose", end, perm=[1, 0, 2])
        rows = nodes.add("Reshape", by_text, nodes.number([0, -1], np.int64))
        pooled = only(nodes, sizes.there, rows, 0.0)
    else:
        parts = [{"max": _max, "mean": _mean}[part](nodes, hidden, sizes) for part in pool.split("+")]
        pooled = nodes.add("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    weight = nodes.plain("head.weight", head["weight"])
    return nodes.add("Gemm", pooled, weight, nodes.plain("head.bias", head["bias"]), transB=1)


def _max(nodes: Nodes, hidden: str, sizes: Sizes) -> str:
    real = only(nodes, sizes.mask, hidden, LOWEST)
    return only(nodes, sizes.there, nodes.add("ReduceMax", real, axes=[0], keepdims=0), 0.0)


def _mean(nodes: Nodes, hidden: str, sizes: Sizes) -> str:
    real = nodes.add("Unsqueeze", sizes.real, nodes.number([1], np.int64))
    total = _sum(nodes, only(nodes, sizes.mask, hidden, 0.0))
    return nodes.add("Div", total, nodes.add("Cast", real, to=TensorProto.FLOAT))


def _sum(nodes: Nodes, rows: str) -> str:
    return nodes.add("ReduceSum", rows, nodes.number([0], np.int64), keepdims=0)


def _attention(nodes: Nodes, hidden: str, sizes: Sizes, head: dict[str, Array]) -> str:
    scale = nodes.number(len(head["query"]) ** -0.5, np.float32)
    query = nodes.add("Mul", nodes.plain("head.query", head["query"]), scale)
    score = nodes.add("MatMul", hidden, nodes.add("Unsqueeze", query, nodes.number([1], np.int64)))
    weight = nodes.add("Softmax", only(nodes, sizes.mask, score, LOWEST), axis=0)
    return _sum(nodes, nodes.add("Mul", hidden, only(nodes, sizes.mask, weight, 0.0)))


def _flatten(nodes: Nodes, hidden: str, sizes: Sizes, head: dict[str, Array]) -> str:
    # Each step has weights of its own, [F, outputs]; those of steps after the batch's are cut off. A batch
    # of more steps than there are weights for does not fit, and the product fails.
    outputs = len(head["weight"])
    features = nodes.add("Gather", nodes.add("Shape", hidden), nodes.number([2], np.int64))
    shape = nodes.add("Concat", nodes.number([outputs, -1], np.int64), features, axis=0)
    weight = nodes.add("Reshape", nodes.plain("head.weight", head["weight"]), shape)
    by_step = nodes.add("Transpose", weight, perm=[1, 2, 0])
    steps = nodes.add("Gather", nodes.add("Shape", hidden), nodes.number([0], np.int64))
    cut = nodes.add("Slice", by_step, nodes.number([0], np.int64), steps, nodes.number([0], np.int64))
    summed = _sum(nodes, nodes.add("MatMul", only(nodes, sizes.mask, hidden, 0.0), cut))
    return nodes.add("Add", summed, nodes.plain("head.bias", head["bias"]))
