"""What every layer of a network did at every step, from the kernels that also compute its answer.

Knows ids and packed rows, no text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatelight.models.classifier import Classifier
from gatelight.models.fixed_network import shares
from gatelight.models.language_model import LanguageModel
from gatelight.models.predicting import evaluating
from gatelight.models.subwords import Subwords
from gatelight.nn import Packing
from gatelight.nn.trace import Trace


def trace_layers(layers: Iterable[Any], rows: Tensor, packing: Packing, index: Tensor | None) -> Trace:
    """Trace recurrent layers one above the other, the first from the distinct rows [U, D]."""
    first, *upper = layers
    trace: Trace = first.trace_packed(rows, packing, index)
    for layer in upper:
        below = torch.from_numpy(trace.layers[-1].hidden)
        trace = replace(trace, layers=trace.layers + layer.trace_packed(below, packing).layers)
    return trace


def trace_classifier(
    model: Classifier, ids: NDArray[np.int32], packing: Packing, subwords: Subwords | None = None
) -> tuple[Trace, NDArray[np.float32]]:
    """Trace a classifier on flat ids int32 [N], sequence after sequence; and its probabilities [B, outputs].

    These have the bits of `Predictor.probabilities`.
    """
    with evaluating(model):
        rows, number = model.embedding(packing.gathered(ids), None, subwords)
        layers: list[Any] = list(model.memory)
        trace = trace_layers(layers, rows, packing, torch.from_numpy(number))
        logits = model.logits(torch.from_numpy(trace.layers[-1].hidden), packing).numpy()
    return trace, shares(logits, packing.order, model.config)


def trace_language_model(model: LanguageModel, ids: NDArray[np.int32], packing: Packing) -> Trace:
    """Trace a language model from zeros on flat ids int32 [N], sequence after sequence."""
    with evaluating(model):
        rows, number = model.embedding(packing.gathered(ids))
        layers: list[Any] = list(model.memory)
        return trace_layers(layers, rows, packing, torch.from_numpy(number))
