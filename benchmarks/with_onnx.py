"""The flattened models by ONNX Runtime with `sequence_lens`: the fastest known peer that honours lengths."""

from __future__ import annotations

import time
from itertools import product

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.models import SIZES, Array, Shape, Texts, Weights, cores, fastest, timed

OPSET = 17


class Model:
    """A session on one thread or on all; predicts only."""

    padded = False

    def __init__(self, shape: Shape, weights: Weights) -> None:
        self.shape = shape
        model = graph(shape, weights).SerializeToString()
        self._sessions = {count: _session(model, count) for count in sorted({1, cores()})}
        self._choice = cores(), SIZES[0]

    def warm(self, texts: Texts, training: bool) -> str:
        """Choose threads and the batches' size by these texts; says what was chosen."""
        choices = list(product(self._sessions, SIZES if len(texts) > 1 else (1,)))
        fastest(choices, lambda: self.predict(texts), self._use)
        return "{} threads, batches of {}".format(*self._choice)

    def predict(self, texts: Texts) -> tuple[float, Array]:
        """Seconds, and the probability of each text; in batches in the order given."""
        threads, size = self._choice
        given = self._given(texts)
        session, began = self._sessions[threads], time.perf_counter()
        parts = [
            session.run(None, {name: array[at : at + size] for name, array in given.items()})[0]
            for at in range(0, len(texts), size)
        ]
        return time.perf_counter() - began, np.concatenate(parts).reshape(-1)

    def one(self, texts: Texts, calls: int) -> list[float]:
        """Seconds of each of so many calls for one text."""
        given, session = self._given(texts), self._sessions[self._choice[0]]
        return timed(lambda: session.run(None, given), calls)

    def _given(self, texts: Texts) -> dict[str, np.ndarray]:
        return {"ids": texts.padded(self.shape.steps), "lengths": texts.lengths.astype(np.int32)}

    def _use(self, choice: tuple[int, int]) -> None:
        self._choice = choice


def graph(shape: Shape, weights: Weights) -> onnx.ModelProto:
    """Gather, LSTM, all steps side by side, a dense layer, a sigmoid; ids int32 [B, T] → [B, 1]."""
    blocks = np.arange(4 * shape.hidden).reshape(4, -1)
    order = blocks[[0, 3, 1, 2]].reshape(-1)  # ONNX's is input, output, forget, candidate
    bias = weights["bias_l0"][order]
    constants = {
        "table": weights["table"],
        "W": weights["weight_ih_l0"][order][None],
        "R": weights["weight_hh_l0"][order][None],
        "B": np.concatenate([bias, np.zeros_like(bias)])[None],
        "dense": weights["dense"],
        "dense_bias": weights["dense_bias"],
        "shape": np.array([0, shape.steps * shape.hidden], np.int64),
    }
    nodes = [
        # Ids are turned, not their rows, which are D times as much.
        helper.make_node("Transpose", ["ids"], ["by_step"], perm=[1, 0]),
        helper.make_node("Gather", ["table", "by_step"], ["rows"]),
        helper.make_node("LSTM", ["rows", "W", "R", "B", "lengths"], ["steps"], hidden_size=shape.hidden),
        helper.make_node("Transpose", ["steps"], ["by_text"], perm=[2, 0, 1, 3]),
        helper.make_node("Reshape", ["by_text", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense", "dense_bias"], ["logits"], transB=1),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
    ]
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT32, ["B", shape.steps]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["B"]),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["B", 1])]
    held = [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()]
    made = helper.make_graph(nodes, "bench", inputs, outputs, held)
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def _session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
