"""Cross entropies of a batch with their gradients, compiled; knows arrays only, and computes in float64.

Legend: B sequences, O outputs. `share` [B] is the weight of each sequence in the mean. Each function gives
the mean loss and how many are judged right, and writes the gradient of logits [B, O] in their dtype.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled

Shares = NDArray[np.float64]


@compiled(error_model="numpy")
def of_labels(
    logits: Any, targets: Any, positive: Shares, smoothing: float, share: Shares, d_logits: Any
) -> tuple[float, int]:
    """Of sigmoids and targets [B, O] in 0..1: -w q log p - (1 - q) log(1 - p), w of positive [O].

    The mean is over O too. A sequence is right if all its labels are.
    """
    loss, right = 0.0, 0
    sequences, outputs = logits.shape
    for b in range(sequences):
        total, all_right = 0.0, True
        for o in range(outputs):
            x, truth = np.float64(logits[b, o]), np.float64(targets[b, o])
            wanted = truth * (1.0 - smoothing) + 0.5 * smoothing
            small = math.exp(-abs(x))
            p = (1.0 if x >= 0 else small) / (1.0 + small)
            rest, weighted = math.log1p(small), wanted * positive[o]
            total += weighted * (rest - min(x, 0.0)) + (1.0 - wanted) * (rest + max(x, 0.0))
            d_logits[b, o] = share[b] / outputs * ((1.0 - wanted) * p - weighted * (1.0 - p))
            all_right &= (x > 0) == (truth > 0.5)
        loss += share[b] * total / outputs
        right += all_right
    return loss, right


@compiled(error_model="numpy")
def of_classes(
    logits: Any, targets: NDArray[np.int64], smoothing: float, share: Shares, d_logits: Any
) -> tuple[float, int]:
    """Of softmax and class numbers [B]: -Σ q log p."""
    loss, right = 0.0, 0
    sequences, outputs = logits.shape
    for b in range(sequences):
        best = 0
        for o in range(1, outputs):
            if logits[b, o] > logits[b, best]:
                best = o
        right += best == targets[b]
        highest, total = np.float64(logits[b, best]), 0.0
        for o in range(outputs):
            total += math.exp(np.float64(logits[b, o]) - highest)
        scale = math.log(total)
        for o in range(outputs):
            log_p = np.float64(logits[b, o]) - highest - scale
            wanted = smoothing / outputs + (1.0 - smoothing if o == targets[b] else 0.0)
            if wanted != 0.0:
                loss -= share[b] * wanted * log_p
            d_logits[b, o] = share[b] * (math.exp(log_p) - wanted)
    return loss, right
