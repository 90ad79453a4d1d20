"""How far probabilities can be believed, and one number that mends them. Knows probabilities, no text.

A temperature divides the logits (Guo, Pleiss, Sun and Weinberger 2017): no label changes, too much certainty
is taken back. It is put into the weights of the last layer, so that whatever reads the model predicts alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, logit, softmax

BINS = 15
HOTTEST = 20.0  # and its inverse: beyond, the texts tell nothing of the temperature
SURE = float(np.finfo(np.float32).eps)  # a float32 that rounds to 1 is no infinite logit

Columns = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Bin:
    """Texts with a confidence in (low, high]: how many, how sure on average, and how often right."""

    low: float
    high: float
    texts: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error, Σ |accuracy − confidence| · fraction over the bins, and the bins."""

    error: float
    bins: tuple[Bin, ...]


def calibration(columns: Columns, targets: NDArray[np.int64], bins: int = BINS) -> Calibration:
    """Compare the likeliest class's probability with how often it is right; [n, classes] and [n]."""
    confidence = columns.max(axis=1).astype(np.float64)
    right = columns.argmax(axis=1) == targets
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    found = []
    for number in np.unique(place).tolist():
        here = place == number
        found.append(
            Bin(
                low=float(edges[number]),
                high=float(edges[number + 1]),
                texts=int(here.sum()),
                confidence=float(confidence[here].mean()),
                accuracy=float(right[here].mean()),
            )
        )
    error = sum(b.texts * abs(b.accuracy - b.confidence) for b in found) / max(len(targets), 1)
    return Calibration(error, tuple(found))


def fitted_temperature(columns: Columns, targets: NDArray[Any]) -> float:
    """Return the temperature with the lowest log loss: [n, classes] and int64 [n], or 0/1 [n, classes]."""

    def loss(log_temperature: float) -> float:
        scores = _scores(columns, targets.ndim == 2) / np.exp(log_temperature)
        if targets.ndim == 2:
            return float(np.logaddexp(0, np.where(targets >= 0.5, -scores, scores)).mean())
        return float(-log_softmax(scores, axis=1)[np.arange(len(targets)), targets].mean())

    edge = float(np.log(HOTTEST))
    return float(np.exp(minimize_scalar(loss, bounds=(-edge, edge), method="bounded").x))


def is_determined(temperature: float) -> bool:
    """Say whether texts gave a temperature, or the search for it only ended at its bounds."""
    return abs(math.log(temperature)) < math.log(HOTTEST) - 1e-3


def with_temperature(columns: Columns, temperature: float) -> NDArray[np.float64]:
    """Return probabilities [n, classes] of one label a text as a temperature would make them."""
    return np.asarray(softmax(_scores(columns, False) / temperature, axis=1))


def divide_logits(network: Any, temperature: float) -> None:
    """Divide the logits of a torch classifier by a temperature."""
    import torch

    with torch.no_grad():
        for name in ("weight", "bias"):
            network.head[name].div_(temperature)


def _scores(columns: Columns, multilabel: bool) -> NDArray[np.float64]:
    """Logits, as far as the probabilities tell them."""
    bounded = np.clip(columns.astype(np.float64), SURE, 1 - SURE if multilabel else 1)
    return np.asarray(logit(bounded) if multilabel else np.log(bounded))
