"""Networks with random weights everywhere, ragged batches, and what ONNX Runtime makes of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig

Array = np.ndarray[Any, np.dtype[Any]]

VOCABULARY = 30
MOST_STEPS = 9
LENGTHS = [3, 0, 9, 1, 5, 9]

# Both sides compute in float32 over at most 9 steps and 2 layers, with other sums and another tanh.
SAME = 1e-5


def network(seed: int = 1, **settings: Any) -> Classifier:
    """A small classifier none of whose weights is as training starts them, peepholes and biases included."""
    config = {"vocabulary_size": VOCABULARY, "dim": 6, "hidden": 5, "max_length": MOST_STEPS, "outputs": 3}
    model = Classifier(ClassifierConfig(**{**config, **settings}), seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.4)
        model.embedding.weight[0] = 0
    return model


def batch(lengths: list[int] = LENGTHS, seed: int = 0) -> tuple[Array, Array, Array]:
    """Flat ids and int64 lengths as we take them, and ids padded with a real word's id as a runtime does."""
    rng = np.random.default_rng(seed)
    texts = [rng.integers(0, VOCABULARY, length) for length in lengths]
    padded = np.full((len(lengths), max(*lengths, 1)), 7, np.int64)
    for row, ids in enumerate(texts):
        padded[row, : len(ids)] = ids
    return np.concatenate(texts).astype(np.int32), np.array(lengths, np.int64), padded


def session(path: Path) -> onnxruntime.InferenceSession:
    """ONNX Runtime on the CPU; it would warn that states which may be given are no constants."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run(path: Path, **feeds: Array) -> dict[str, Array]:
    """All outputs by name."""
    runtime = session(path)
    names = [output.name for output in runtime.get_outputs()]
    return dict(zip(names, runtime.run(names, feeds), strict=True))
