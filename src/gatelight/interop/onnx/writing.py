"""Our models as ONNX graphs: embedding, recurrent layers, head.

Legend: B sequences, T steps, D input size, H hidden size, F = directions × H. Inside of the graph rows are
[T, B, ·], as ONNX's recurrent operators want them. Steps after a length never count.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from gatelight import __version__
from gatelight.errors import DataError
from gatelight.estimators import saving
from gatelight.estimators.classifier import TextClassifier
from gatelight.files import file_written_aside
from gatelight.interop.gate_orders import ONNX, ONNX_PEEPHOLES, in_order
from gatelight.interop.onnx.heads import Sizes, logits_of
from gatelight.interop.onnx.nodes import Nodes
from gatelight.models.classifier import Classifier
from gatelight.nn.equations import EQUATIONS

MOST_BYTES = (1 << 31) - (1 << 24)  # protobuf's limit, with room for the rest of the graph
KEY = "gatelight."
OPERATORS = {"rnn": "RNN", "lstm": "LSTM", "peephole": "LSTM", "gru": "GRU"}

Array = NDArray[Any]


def to_onnx(model: TextClassifier | Classifier, out: Path) -> list[Path]:
    """Write OUT.onnx, a fitted estimator or its network alone; returns it.

    What goes in and comes out is said in the docs and in the file itself. Raises DataError for what ONNX
    cannot hold.
    """
    nodes = Nodes()
    metadata: dict[str, str] = {}
    if isinstance(model, TextClassifier):
        model.check_without_wide("ONNX")
        metadata = _parts(model)
        told = _classifier(nodes, model.model_, both_classes=True)
    elif isinstance(model, Classifier):
        told = _classifier(nodes, model, both_classes=False)
    else:
        raise DataError(
            f"a {type(model).__name__} cannot be written as ONNX; expected a TextClassifier or its network"
        )
    if nodes.bytes() > MOST_BYTES:
        raise DataError(
            f"the weights take {nodes.bytes() / 1e9:.1f} GB and one ONNX file holds 2 GB at most: train with "
            "fewer words"
        )
    whole = nodes.model("gatelight", told, {KEY + name: text for name, text in metadata.items()}, __version__)
    onnx.checker.check_model(whole, full_check=True)
    path = out.with_name(out.name.removesuffix(".onnx") + ".onnx")
    with file_written_aside(path) as aside:
        aside.write_bytes(whole.SerializeToString())
    return [path]


def _parts(model: TextClassifier) -> dict[str, str]:
    """What a runtime needs to read texts and name classes: configuration, vocabulary and classes."""
    with tempfile.TemporaryDirectory() as aside:
        model.vocabulary_.save(Path(aside))
        vocabulary = Path(aside, saving.VOCABULARY_FILE).read_text(encoding="ascii")
    start = {"kind": saving.CLASSIFIER, "format": saving.FORMAT}
    config = {**start, **model.saved_config(), "baseline": False}
    return {
        saving.CONFIG_FILE: json.dumps(config),
        saving.VOCABULARY_FILE: vocabulary,
        "classes": json.dumps(config["classes"]),
    }


def _classifier(nodes: Nodes, model: Classifier, both_classes: bool) -> str:
    """The graph of a classifier; returns what goes in and comes out, in words."""
    config = model.config
    weights = _arrays(model)
    if config.buckets:
        raise DataError(
            'this model makes vectors of words out of their letters (unknown="subword" or "ngrams"), which '
            'a graph over word numbers cannot: train with unknown="unk"'
        )
    ids = nodes.takes("ids", TensorProto.INT64, ["batch", "steps"])
    table = nodes.plain("embedding.weight", weights["embedding.weight"])
    x = nodes.add("Gather", table, nodes.add("Transpose", ids, perm=[1, 0]))
    sizes = Sizes.of(nodes, x)
    last = ""
    for number, layer in enumerate(model.memory):
        x, last = _recurrent(nodes, layer, f"memory.{number}.", x, sizes)
    head = {name.removeprefix("head."): array for name, array in weights.items() if name.startswith("head.")}
    logits = logits_of(config.pool, nodes, x, last, sizes, head)
    several = config.outputs > 1 and not config.multilabel
    columns = config.outputs
    if several:
        nodes.add("Softmax", logits, axis=1, name="probabilities")
    elif both_classes and not config.multilabel:
        second = nodes.add("Sigmoid", logits)
        first = nodes.add("Sigmoid", nodes.add("Neg", logits))
        nodes.add("Concat", first, second, axis=1, name="probabilities")
        columns = 2
    else:
        nodes.add("Sigmoid", logits, name="probabilities")
    nodes.gives("probabilities", ["batch", columns])
    return (
        "ids int64 [batch, steps]: word numbers, after a text's end any (0, say); lengths int32 [batch]; "
        "probabilities float [batch, classes], in the order of the metadata entry gatelight.classes."
    )


def _recurrent(nodes: Nodes, layer: Any, prefix: str, x: str, sizes: Sizes) -> tuple[str, str]:
    """One layer, all its directions: x [T, B, D] → hidden [T, B, F] and its final h [dirs, B, H]."""
    suffixes = ("", "_reverse") if layer.bidirectional else ("",)
    arrays = _operator_inputs(layer.cell, _arrays(layer), suffixes)
    names = {key: nodes.plain(f"{prefix}{key}", array) for key, array in arrays.items()}
    attributes: dict[str, Any] = {
        "hidden_size": layer.hidden_size,
        "direction": "bidirectional" if layer.bidirectional else "forward",
    }
    inputs = [x, names["W"], names["R"], names["B"], sizes.real]
    if layer.cell == "gru":
        attributes["linear_before_reset"] = 1
    elif "P" in names:
        inputs += ["", "", names["P"]]  # no states to begin from
    outputs = [f"{prefix}Y", f"{prefix}Y_h"]
    nodes.several(OPERATORS[layer.cell], inputs, outputs, **attributes)
    side_by_side = nodes.add("Transpose", outputs[0], perm=[0, 2, 1, 3])
    return nodes.add("Reshape", side_by_side, nodes.number([0, 0, -1], np.int64)), outputs[1]


def _operator_inputs(cell: str, weights: Mapping[str, Array], suffixes: Sequence[str]) -> dict[str, Array]:
    """A layer's weights by torch's names → W [dirs, G, D], R [dirs, G, H], B [dirs, 2G], P [dirs, 3H]."""
    ours, theirs = EQUATIONS[cell].gates, ONNX[cell]

    def stacked(*kinds: str) -> Array:
        return np.stack(
            [
                np.concatenate([in_order(weights[f"{kind}_l0{end}"], ours, theirs) for kind in kinds])
                for end in suffixes
            ]
        )

    found = {"W": stacked("weight_ih"), "R": stacked("weight_hh"), "B": stacked("bias_ih", "bias_hh")}
    if EQUATIONS[cell].peepholes:
        rows = [weights[f"weight_peephole_l0{end}"].reshape(-1) for end in suffixes]
        found["P"] = np.stack([in_order(row, EQUATIONS[cell].peepholes, ONNX_PEEPHOLES) for row in rows])
    return found


def _arrays(module: Any) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    for name, tensor in module.state_dict().items():
        array = tensor.detach().cpu().numpy()
        if array.dtype != np.float32:
            raise DataError(
                f"the weights {name} are {array.dtype}; only float32 is written: turn them with .float()"
            )
        if not np.isfinite(array).all():
            raise DataError(f"the weights {name} hold infinite or undefined numbers: training diverged")
        arrays[name] = array
    return arrays
