"""The kernels of heads (pooling_kernels.py) run in parts that threads share; knows arrays only.

`cuts` int64: where each part begins, and the end of the last.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.models.pooling_kernels import flatten_backward, flatten_forward, max_backward, max_forward
from gatelight.nn.kernels.parallel import parallel_for

TASKS = 2  # for each thread, so that one that comes late finds some


@compiled
def _cuts(rows: Any, end: int, helpers: int) -> Any:
    """Cut 0 … end - 1 into parts with about as many rows each; `rows`: how many each of them has."""
    parts = TASKS * (helpers + 1) if helpers > 0 and end > 1 else 1
    cuts, total = np.empty(parts + 1, np.int64), 0
    for part in range(parts + 1):
        cuts[part] = end if part else 0
    for k in range(len(rows)):
        total += rows[k]
    part, so_far = 1, 0
    for k in range(len(rows)):
        so_far += rows[k]
        while part < parts and so_far >= total * part // parts:
            cuts[part] = k
            part += 1
    return cuts


@compiled
def _max_part(hidden: Any, first: Any, alive: Any, pooled: Any, where: Any, cuts: Any, k: int) -> None:
    max_forward(hidden, first, alive, pooled, where, cuts[k], cuts[k + 1])


@compiled
def all_max_forward(
    hidden: Any, first: Any, alive: Any, lengths: Any, pooled: Any, where: Any, pool: Any, helpers: int
) -> int:  # fmt: skip
    """max_forward of all sequences, shared among threads; `lengths` [B] as they are packed."""
    cuts = _cuts(lengths, len(lengths), helpers)
    given = hidden, first, alive, pooled, where, cuts
    return int(parallel_for(_max_part, given, pool, helpers, len(cuts) - 1))


@compiled
def _max_back_part(d_pooled: Any, where: Any, d_hidden: Any, clear: bool, parts: int, k: int) -> None:
    rows = d_hidden.shape[0]
    begin, end = rows * k // parts, rows * (k + 1) // parts
    if clear:
        d_hidden[begin:end] = 0
    max_backward(d_pooled, where, d_hidden, begin, end)


@compiled
def all_max_backward(d_pooled: Any, where: Any, d_hidden: Any, clear: bool, pool: Any, helpers: int) -> int:
    """max_backward of all rows, shared among threads; with `clear` nothing else is in them."""
    parts = helpers + 1
    return int(parallel_for(_max_back_part, (d_pooled, where, d_hidden, clear, parts), pool, helpers, parts))


@compiled
def _flatten_part(
    hidden: Any, first: Any, alive: Any, weight: Any, bias: Any, logits: Any, seed: int, limit: Any,
    scale: Any, cuts: Any, k: int,
) -> None:  # fmt: skip
    flatten_forward(
        hidden, first, alive, weight, bias, logits, seed, limit, scale, cuts[k], cuts[k + 1]
    )  # fmt: skip


@compiled
def all_flatten_forward(
    hidden: Any, first: Any, alive: Any, lengths: Any, weight: Any, bias: Any, logits: Any, seed: int,
    limit: Any, scale: Any, pool: Any, helpers: int,
) -> int:  # fmt: skip
    """flatten_forward of all sequences, shared among threads; `lengths` [B] as they are packed."""
    cuts = _cuts(lengths, len(lengths), helpers)
    given = hidden, first, alive, weight, bias, logits, seed, limit, scale, cuts
    return int(parallel_for(_flatten_part, given, pool, helpers, len(cuts) - 1))


@compiled
def _flatten_back_part(
    d_logits: Any, hidden: Any, first: Any, alive: Any, weight: Any, d_hidden: Any, d_weight: Any, seed: int,
    limit: Any, scale: Any, cuts: Any, k: int,
) -> None:  # fmt: skip
    flatten_backward(
        d_logits, hidden, first, alive, weight, d_hidden, d_weight, seed, limit, scale, cuts[k], cuts[k + 1]
    )  # fmt: skip


@compiled
def all_flatten_backward(
    d_logits: Any, hidden: Any, first: Any, alive: Any, weight: Any, d_hidden: Any, d_weight: Any, seed: int,
    limit: Any, scale: Any, pool: Any, helpers: int,
) -> int:  # fmt: skip
    """flatten_backward of all steps, shared among threads."""
    # The last part also clears the weights of steps that no sequence has.
    cuts = _cuts(alive, weight.shape[1] // hidden.shape[1], helpers)
    given = d_logits, hidden, first, alive, weight, d_hidden, d_weight, seed, limit, scale, cuts
    return int(parallel_for(_flatten_back_part, given, pool, helpers, len(cuts) - 1))
