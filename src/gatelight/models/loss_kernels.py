"""Cross entropies of a batch with their gradients, compiled; knows arrays only.

Legend: B sequences, O outputs, N rows, V vocabulary. `share` [B] is the weight of each sequence in the mean.
`of_labels` and `of_classes` compute in float64; they give the mean loss and how many are judged right, and
write the gradient of logits [B, O] in their dtype.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.nn import threads
from gatelight.nn.rows import exp_row, highest, scale_row

Shares = NDArray[np.float64]
EXP_WORK = 16  # an exponential takes about as long as so many multiply-adds


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


def of_next_ids(scores: NDArray[Any], targets: NDArray[np.int32]) -> tuple[float, int]:
    """The mean of -log softmax at the target of each row of scores [N, V], and how often it is the likeliest.

    `scores` are replaced by their gradient; their exponentials and sums are of their dtype.
    """
    losses, right = np.empty(len(scores)), np.empty(len(scores), np.bool_)
    share = scores.dtype.type(1.0 / max(len(scores), 1))
    tasks = [
        partial(_next_ids, scores, targets, share, losses, right, *cut) for cut in threads.cuts(len(scores))
    ]
    threads.run(tasks, scores.size * EXP_WORK)
    return float(losses.mean()), int(np.count_nonzero(right))


@compiled(error_model="numpy")
def _next_ids(scores: Any, targets: Any, share: Any, losses: Any, right: Any, begin: int, end: int) -> None:
    size = scores.shape[1]
    for row in range(begin, end):
        at, target = row * size, targets[row]
        own, best = scores[row, target], highest(scores, at, size)
        right[row] = own == best
        for k in range(target if own == best else 0):  # of equal ones the first counts
            right[row] &= scores[row, k] != best
        total = exp_row(scores, at, best, size)
        losses[row] = math.log(np.float64(total)) + (np.float64(best) - np.float64(own))
        scale_row(scores, at, share / total, size)
        scores[row, target] -= share
