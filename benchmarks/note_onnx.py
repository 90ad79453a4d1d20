"""A model of the note in ONNX Runtime, with `sequence_lens`: the fastest known peer that honours lengths."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.note_torch import chosen_threads, fastest_threads
from benchmarks.note_weights import Array, NoteWeights
from benchmarks.reviews import Reviews
from gatelight.nn.threads import available

OPSET = 17


class OnnxNote:
    """Sessions on one thread and on all; ids int32 [B, T] and lengths int32 [B] → probabilities [B]."""

    def __init__(self, weights: NoteWeights) -> None:
        self.steps, self.threads = weights.steps, available()
        model = graph(weights).SerializeToString()
        self._sessions = {count: _session(model, count) for count in sorted({1, available()})}

    def probabilities(self, ids: np.ndarray, lengths: np.ndarray) -> Array:
        """One call for one batch."""
        given = {"ids": ids, "lengths": lengths}
        return self._sessions[self.threads].run(None, given)[0].reshape(-1)

    def predict(self, reviews: Reviews, batch_size: int) -> Array:
        """Batch after batch, in the order given."""
        ids, lengths = reviews.padded(self.steps), reviews.lengths.astype(np.int32)
        return np.concatenate(
            [
                self.probabilities(ids[start : start + batch_size], lengths[start : start + batch_size])
                for start in range(0, len(ids), batch_size)
            ]
        )

    def warm(self, work: Callable[[], object]) -> None:
        """Choose the threads by this work."""
        self.threads = fastest_threads(work, self._use)

    def _use(self, threads: int) -> None:
        self.threads = threads

    def setting(self) -> str:
        """What `warm` chose."""
        return chosen_threads(self.threads)


def graph(weights: NoteWeights) -> onnx.ModelProto:
    """Gather, LSTM, all steps side by side, a dense layer, a sigmoid."""
    order = np.concatenate(
        [np.arange(gate * weights.hidden, (gate + 1) * weights.hidden) for gate in (0, 3, 1, 2)]
    )
    bias = np.concatenate([weights.bias[order], np.zeros_like(weights.bias)])
    constants = {
        "table": weights.table,
        "W": weights.weight_ih[order][None],  # ONNX's order is input, output, forget, cell
        "R": weights.weight_hh[order][None],
        "B": bias[None],
        "dense": weights.dense[None],
        "dense_bias": weights.dense_bias,
        "shape": np.array([0, weights.steps * weights.hidden], np.int64),
    }
    nodes = [
        # Ids are turned, not their rows, which are D times as much.
        helper.make_node("Transpose", ["ids"], ["ids_by_step"], perm=[1, 0]),
        helper.make_node("Gather", ["table", "ids_by_step"], ["by_step"]),
        helper.make_node(
            "LSTM", ["by_step", "W", "R", "B", "lengths"], ["steps"], hidden_size=weights.hidden
        ),
        helper.make_node("Transpose", ["steps"], ["by_text"], perm=[2, 0, 1, 3]),
        helper.make_node("Reshape", ["by_text", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "dense", "dense_bias"], ["logits"], transB=1),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
    ]
    inputs = [
        helper.make_tensor_value_info("ids", TensorProto.INT32, ["B", weights.steps]),
        helper.make_tensor_value_info("lengths", TensorProto.INT32, ["B"]),
    ]
    outputs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["B", 1])]
    made = helper.make_graph(
        nodes, "note", inputs, outputs,
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)


def _session(model: bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
