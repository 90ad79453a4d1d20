"""How an id is drawn from scores; knows arrays and ids only: no text, no model. Legend: V vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.nn.kernels.simd import exp_row, highest

Floats = NDArray[Any]
FEW, MOST_INSERTED = 32, 256
"""How many of the likeliest ids a cut looks for at first, and up to how many it need not sort them all."""

COLDEST = 1e-30
"""Lower temperatures draw as this one does: the likeliest, where no scores are equal."""


@dataclass(frozen=True)
class Drawing:
    """How an id is drawn from scores: their softmax at a temperature, cut to the likeliest.

    `temperature` 0 takes the likeliest; `top_k` 0 and `top_p` 1 cut nothing. With both, top_k cuts first;
    top_p keeps the fewest likeliest ids whose probabilities reach it (Holtzman et al. 2020).
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


@compiled(error_model="numpy")
def choose(
    scores: Floats, allowed: NDArray[np.bool_], temperature: float, top_k: int, top_p: float, draw: float
) -> int:
    """scores [V] → an id among the allowed ones; `draw` in [0, 1) decides."""
    size = scores.shape[0]
    weights = np.empty_like(scores)
    for k in range(size):
        weights[k] = scores[k] if allowed[k] else -np.inf
    best = highest(weights, 0, size)
    last: int = -1
    if temperature == 0.0 or top_k == 1:
        last = _first(weights, best, allowed)
        return last
    if temperature != 1.0:
        colder = max(temperature, COLDEST)
        for k in range(size):
            weights[k] = (weights[k] - best) / colder
        best = weights.dtype.type(0)
    total = np.float64(exp_row(weights, 0, best, size))
    for k in range(size):
        if not allowed[k]:
            weights[k] = 0
    if top_k > 0 or top_p < 1.0:
        total = _cut(weights, top_k, top_p)
    goal = draw * total
    for k in range(size):
        if weights[k] > 0:
            last = k
            goal -= weights[k]
            if goal < 0.0:
                break
    if last < 0:
        last = _first(weights, best, allowed)
    return last


@compiled
def _cut(weights: Floats, top_k: int, top_p: float) -> float:
    """Set all but the likeliest of weights [V] to zero, of equal ones the later; the sum of those kept."""
    size = weights.shape[0]
    kept = size if top_k == 0 else min(top_k, size)
    few = kept if top_k > 0 else min(kept, FEW)
    order = _likeliest(weights, few)
    head, reached, done = 0.0, 0.0, 0
    for k in range(kept):
        head += weights[order[k]] if few == kept else weights[k]
    while done < kept and not (done > 0 and reached >= top_p * head):
        if done == few:
            few = min(kept, 8 * few)
            order = _likeliest(weights, few)
        reached += weights[order[done]]
        done += 1
    left = weights[order[:done]]
    weights[:] = 0
    for place in range(done):
        weights[order[place]] = left[place]
    return reached


@compiled
def _likeliest(weights: Floats, count: int) -> NDArray[np.int64]:
    """The ids of the largest `count` of weights [V], falling; of equal ones the lowest first."""
    if count > MOST_INSERTED:
        return np.argsort(-weights, kind="mergesort")[:count]
    order = np.empty(count, np.int64)
    found = 0
    for k in range(weights.shape[0]):
        if found == count and weights[k] <= weights[order[count - 1]]:
            continue
        place = min(found, count - 1)
        while place > 0 and weights[order[place - 1]] < weights[k]:
            order[place] = order[place - 1]
            place -= 1
        order[place] = k
        found = min(found + 1, count)
    return order


@compiled
def _first(scores: Floats, best: Any, allowed: NDArray[np.bool_]) -> int:
    """The first id with the score `best`; where none has it, since they are no numbers, the first allowed."""
    for k in range(scores.shape[0]):
        if scores[k] == best:
            return k
    for k in range(scores.shape[0]):
        if allowed[k]:
            return k
    return -1
