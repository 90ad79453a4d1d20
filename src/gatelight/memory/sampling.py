"""Drawing one stream after the other from a recurrent stack and an output layer, in one compiled loop.

Knows arrays and ids only: no text, no model. The arithmetic of a step is that of `kernels.forward`, so a
stream's scores have the same bits here and there. Legend: L layers, H hidden size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled
from gatelight.memory.rows import exp_row, highest
from gatelight.memory.stepping import advance
from gatelight.memory.tiles import multiply

Floats = NDArray[Any]
COLDEST = 1e-30
"""Lower temperatures draw as this one does: the likeliest, where no scores are equal."""

PANEL = 128
"""Columns of weights that lie together, in panels: one row's product then reads memory from end to end.

That is what it takes: a stream reads all weights for each id, and they are more than the nearer caches hold.
"""


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
    share = np.empty_like(scores)
    for k in range(size):
        share[k] = scores[k] if allowed[k] else -np.inf
    best = highest(share, 0, size)
    last: int = -1
    if temperature == 0.0 or top_k == 1:
        last = _first(share, best, allowed)
        return last
    if temperature != 1.0:
        colder = max(temperature, COLDEST)
        for k in range(size):
            share[k] = (share[k] - best) / colder
        best = share.dtype.type(0)
    total = np.float64(exp_row(share, 0, best, size))
    for k in range(size):
        if not allowed[k]:
            share[k] = 0
    if top_k > 0 or top_p < 1.0:
        total = _cut(share, top_k, top_p)
    goal = draw * total
    for k in range(size):
        if share[k] > 0:
            last = k
            goal -= share[k]
            if goal < 0.0:
                break
    if last < 0:
        last = _first(share, best, allowed)
    return last


@compiled
def _cut(share: Floats, top_k: int, top_p: float) -> float:
    """Set all but the likeliest of share [V] to zero; the sum of those."""
    size = share.shape[0]
    order = np.argsort(-share, kind="mergesort")  # of equal ones the lowest id
    kept = size if top_k == 0 else min(top_k, size)
    head = 0.0
    for place in range(kept):
        head += share[order[place]]
    reached = 0.0
    for place in range(kept):
        reached += share[order[place]]
        if reached >= top_p * head:
            kept = place + 1
            break
    for place in range(kept, size):
        share[order[place]] = 0
    return reached


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


def panels(weights: Floats) -> Floats:
    """weights [..., H, G] → all panels [H, PANEL or what is left] one after the other, flat."""
    depth, columns = weights.shape[-2:]
    parts = [
        matrix[:, begin : begin + PANEL].ravel()
        for matrix in weights.reshape(-1, depth, columns)
        for begin in range(0, columns, PANEL)
    ]
    return np.concatenate(parts)


@compiled
def _product(
    a: Floats, a_at: int, weights: Floats, number: int, bias: Floats, bias_at: int, out: Floats, H: int
) -> None:
    """out [G] = bias [G] + a [H] times matrix `number` of the panels `weights`; as `multiply`, to the bit."""
    G = out.shape[0]
    for begin in range(0, G, PANEL):
        wide = min(PANEL, G - begin)
        at = number * H * G + begin * H
        multiply(a, a_at, H, 1, weights, at, wide, bias, bias_at + begin, 0, out, begin, G, 1, H, wide)


@compiled
def write(
    cell: Any,  # peephole weights, if any, are [L, 3, H]
    table: Floats,  # [V, G] the first layer's input products with bias
    input_weight: Floats,  # panels of the other layers' [L - 1, H, G], transposed
    input_bias: Floats,  # [L - 1, G]
    weight: Floats,  # panels of the recurrent weights [L, H, G], transposed
    bias: Floats,  # [L, G]
    output_weight: Floats,  # panels of [H, V], transposed
    output_bias: Floats,  # [V]
    h: Floats,  # [L, H] state, replaced
    c: Floats,  # [L, H], or [L, 0] for cells without a cell state; replaced
    scores: Floats,  # [V] after the last id so far, replaced
    allowed: NDArray[np.bool_],  # [V]
    temperature: float,
    top_k: int,
    top_p: float,
    draws: NDArray[np.float64],  # [n] in [0, 1)
    stop: int,  # id after which nothing is drawn, or -1
    out: NDArray[np.int32],  # [n] out
    saved: Floats,  # [S·H] written over
) -> int:
    """Draw up to n ids, each read before the next is drawn; how many, the id `stop` included."""
    L, H = h.shape
    G = bias.shape[1]
    x = np.empty(G, table.dtype)
    u = np.empty(G, table.dtype)
    hidden = np.empty(H, table.dtype)
    cell_state = np.empty(c.shape[1], table.dtype)
    first = np.zeros(1, np.int32)
    for n in range(draws.shape[0]):
        token = choose(scores, allowed, temperature, top_k, top_p, draws[n])
        out[n] = token
        for layer in range(L):
            if layer == 0:
                for j in range(G):
                    x[j] = table[token, j]
            else:
                _product(hidden, 0, input_weight, layer - 1, input_bias, (layer - 1) * G, x, H)
            _product(h, layer * H, weight, layer, bias, layer * G, u, H)
            advance(cell, layer, 0, 1, x, first, 0, u, h, c, layer, saved, cell_state, 0, hidden, 0)
        _product(hidden, 0, output_weight, 0, output_bias, 0, scores, H)
        if token == stop:
            return n + 1
    return len(draws)
