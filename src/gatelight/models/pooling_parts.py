"""The kernels of heads (pooling_kernels.py) run in parts that threads share; knows arrays only.

`cuts` int64: where each part begins, and the end of the last.
"""

from __future__ import annotations

from typing import Any

from gatelight.compiled import compiled
from gatelight.memory.crew import share
from gatelight.models.pooling_kernels import flatten_backward, flatten_forward, max_backward, max_forward


@compiled
def _max_part(hidden: Any, first: Any, alive: Any, pooled: Any, where: Any, cuts: Any, k: int) -> None:
    max_forward(hidden, first, alive, pooled, where, cuts[k], cuts[k + 1])


@compiled
def all_max_forward(
    hidden: Any, first: Any, alive: Any, pooled: Any, where: Any, cuts: Any, crew: Any, helpers: int
) -> int:  # fmt: skip
    """max_forward of the parts between `cuts`, shared among threads."""
    given = hidden, first, alive, pooled, where, cuts
    return int(share(_max_part, given, crew, helpers, len(cuts) - 1))


@compiled
def _max_back_part(d_pooled: Any, where: Any, d_hidden: Any, clear: bool, parts: int, k: int) -> None:
    rows = d_hidden.shape[0]
    begin, end = rows * k // parts, rows * (k + 1) // parts
    if clear:
        d_hidden[begin:end] = 0
    max_backward(d_pooled, where, d_hidden, begin, end)


@compiled
def all_max_backward(d_pooled: Any, where: Any, d_hidden: Any, clear: bool, crew: Any, helpers: int) -> int:
    """max_backward of all rows, shared among threads; with `clear` nothing else is in them."""
    parts = helpers + 1
    return int(share(_max_back_part, (d_pooled, where, d_hidden, clear, parts), crew, helpers, parts))


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
    hidden: Any, first: Any, alive: Any, weight: Any, bias: Any, logits: Any, seed: int, limit: Any,
    scale: Any, cuts: Any, crew: Any, helpers: int,
) -> int:  # fmt: skip
    """flatten_forward of the parts between `cuts`, shared among threads."""
    given = hidden, first, alive, weight, bias, logits, seed, limit, scale, cuts
    return int(share(_flatten_part, given, crew, helpers, len(cuts) - 1))


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
    limit: Any, scale: Any, cuts: Any, crew: Any, helpers: int,
) -> int:  # fmt: skip
    """flatten_backward of the parts between `cuts`, shared among threads."""
    given = d_logits, hidden, first, alive, weight, d_hidden, d_weight, seed, limit, scale, cuts
    return int(share(_flatten_back_part, given, crew, helpers, len(cuts) - 1))
