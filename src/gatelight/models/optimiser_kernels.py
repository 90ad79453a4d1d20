"""One step of each optimiser on some rows of a table, compiled; knows nothing of models or of torch.

Shapes: `table` and its state [V, D], updated in place; `rows` int64 [U], all distinct; `gradient` [U, D].
Nothing here costs time that grows with V. Each element is computed by itself, in a fixed order.
Formulas and the place of epsilon are torch.optim's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.compiled import compiled

Array = NDArray[Any]

KNOWN = 512
"""Of how many steps since which rows stand still it is known what they missed."""


# error_model="numpy": Python's check for division by zero would keep the loops from being vectorised.
@compiled(error_model="numpy")
def sgd_rows(
    table: Array, velocity: Array, rows: Array, gradient: Array, rate: Any, momentum: Any, decay: Any
) -> None:
    """velocity ← momentum·velocity + g + decay·w;  w ← w − rate·velocity (torch's form)."""
    for u in range(len(rows)):
        r = rows[u]
        for d in range(table.shape[1]):
            g = gradient[u, d] + decay * table[r, d]
            v = momentum * velocity[r, d] + g
            velocity[r, d] = v
            table[r, d] -= rate * v


@compiled(error_model="numpy")
def rmsprop_rows(
    table: Array, square: Array, rows: Array, gradient: Array, rate: Any, rho: Any, epsilon: Any, decay: Any
) -> None:
    """square ← rho·square + (1 − rho)·g²;  w ← w − rate·g / (√square + epsilon) (Tieleman & Hinton 2012)."""
    rest = table.dtype.type(1) - rho
    for u in range(len(rows)):
        r = rows[u]
        for d in range(table.shape[1]):
            g = gradient[u, d] + decay * table[r, d]
            s = rho * square[r, d] + rest * g * g
            square[r, d] = s
            table[r, d] -= rate * g / (math.sqrt(s) + epsilon)


@compiled(error_model="numpy")
def adam_rows(
    table: Array,
    mean: Array,
    square: Array,
    rows: Array,
    gradient: Array,
    rate: Any,
    beta1: Any,
    beta2: Any,
    epsilon: Any,
    decay: Any,
    shrink: Any,
    root: Any,
) -> None:
    """Adam (Kingma & Ba, arXiv:1412.6980), and AdamW (arXiv:1711.05101) by `shrink` = 1 − rate·weight decay.

    `rate` = learning rate / (1 − beta1^t) and `root` = √(1 − beta2^t), with t the step of the whole run.
    """
    one = table.dtype.type(1)
    rest1, rest2, up = one - beta1, one - beta2, one / root
    for u in range(len(rows)):
        r = rows[u]
        for d in range(table.shape[1]):
            w = table[r, d]
            g = gradient[u, d] + decay * w
            m = mean[r, d] + rest1 * (g - mean[r, d])
            s = beta2 * square[r, d] + rest2 * g * g
            mean[r, d] = m
            square[r, d] = s
            table[r, d] = shrink * w - rate * m / (math.sqrt(s) * up + epsilon)


@compiled(error_model="numpy")
def coast_rows(
    table: Array,
    mean: Array,
    square: Array,
    last: Array,
    rows: Array,
    rates: Array,
    steps: int,
    keep: float,
    keep_square: float,
    epsilon: Any,
) -> None:
    """Make the steps up to `steps` that `rows` have missed because their gradient was zero, all at once.

    mean falls by `keep` at a step and square by `keep_square`, so w ← w − (sum of the steps' weights) ·
    mean / (√square + epsilon). `rates` float64 [steps]: each step's rate, corrected for bias; `last`
    int64 [V]: the steps that a row has made. With keep_square 0 there is no square: w ← w − (sum)·mean.
    """
    root = math.sqrt(keep_square) if keep_square > 0 else 1.0
    # Many rows stand still since the same step; what they missed is computed once.
    since, known = np.zeros(KNOWN, np.int64), np.empty((KNOWN, 3), table.dtype)
    for u in range(len(rows)):
        r = rows[u]
        begin = last[r]
        if begin in (0, steps):  # without any step it has no moments that could move it
            continue
        k = begin % KNOWN
        if since[k] != begin:
            total = 0.0
            weight = 1.0
            for step in range(begin, steps):
                weight *= keep / root
                if weight < 1e-9:
                    break
                total += rates[step] * weight
            since[k] = begin
            known[k, 0] = total
            known[k, 1] = keep ** (steps - begin)
            known[k, 2] = keep_square ** (steps - begin)
        total_here, mean_left, square_left = known[k, 0], known[k, 1], known[k, 2]
        for d in range(table.shape[1]):
            if keep_square > 0:
                table[r, d] -= total_here * mean[r, d] / (math.sqrt(square[r, d]) + epsilon)
                square[r, d] *= square_left
            else:
                table[r, d] -= total_here * mean[r, d]
            mean[r, d] *= mean_left
        last[r] = steps


@compiled(error_model="numpy")
def fade_rows(square: Array, last: Array, rows: Array, steps: int, keep: float) -> None:
    """square ← keep^missed · square for the steps up to `steps` that `rows` have missed."""
    for u in range(len(rows)):
        r = rows[u]
        if last[r] == 0:
            continue
        left = square.dtype.type(keep ** (steps - last[r]))
        for d in range(square.shape[1]):
            square[r, d] *= left
        last[r] = steps


@compiled(error_model="numpy")
def catch_up_rows(table: Array, mean: Array, seen: Array, rows: Array, total: float) -> None:
    """Bring `mean`'s rows to now: while w stood still, mean − w fell by the product of the decays.

    `seen` float64 [V] is the sum of log decays when each row's mean was last true, `total` the sum by now.
    """
    for u in range(len(rows)):
        r = rows[u]
        left = table.dtype.type(math.exp(total - seen[r]))
        seen[r] = total
        for d in range(table.shape[1]):
            mean[r, d] = table[r, d] + left * (mean[r, d] - table[r, d])


@compiled(error_model="numpy")
def average_rows(table: Array, mean: Array, seen: Array, rows: Array, rest: Any, total: float) -> None:
    """mean ← mean + rest·(w − mean) for rows that have just changed; they are true at `total`."""
    for u in range(len(rows)):
        r = rows[u]
        seen[r] = total
        for d in range(table.shape[1]):
            mean[r, d] += rest * (table[r, d] - mean[r, d])
