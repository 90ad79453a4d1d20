"""A recurrence forward and the head over all steps in one task: what it leaves is still in a core's cache.

Knows arrays only; names are those of `kernels.forward` and `pooling_kernels.flatten_forward`.
"""

from __future__ import annotations

from typing import Any

from gatelight.compiled import compiled
from gatelight.models.pooling_kernels import flatten_forward
from gatelight.nn import kernels
from gatelight.nn.crew import share
from gatelight.nn.recurrence_forward import tasks_of


@compiled
def _part(
    cell: Any, table: Any, token: Any, first: Any, lengths: Any, weight: Any, bias: Any, h_0: Any, c_0: Any,
    keep: bool, saved: Any, cells: Any, hidden: Any, h_n: Any, c_n: Any, order: Any, alive: Any, head: Any,
    head_bias: Any, logits: Any, seed: int, limit: Any, scale: Any, each: int, threads: int, is_done: bool,
    k: int,
) -> None:  # fmt: skip
    if not is_done:
        kernels.forward(
            cell, table, token, first, lengths, weight, bias, h_0, c_0, keep, saved, cells, hidden, h_n, c_n,
            order, each, threads, k,
        )  # fmt: skip
    _, begin, end = kernels.sequences_of(k, 1, len(lengths), each, threads)
    flatten_forward(hidden, first, alive, head, head_bias, logits, seed, limit, scale, begin, end)


@compiled
def all_parts_and_flatten(
    cell: Any, table: Any, token: Any, first: Any, lengths: Any, weight: Any, bias: Any, h_0: Any, c_0: Any,
    keep: bool, saved: Any, cells: Any, hidden: Any, h_n: Any, c_n: Any, order: Any, alive: Any, head: Any,
    head_bias: Any, logits: Any, seed: int, limit: Any, scale: Any, is_done: bool, crew: Any, helpers: int,
) -> int:  # fmt: skip
    """The region of a recurrence in one direction whose hidden states go through the head as well."""
    size, tasks = tasks_of(1, lengths, helpers, 1)
    given = (
        cell, table, token, first, lengths, weight, bias, h_0, c_0, keep, saved, cells, hidden, h_n, c_n,
        order, alive, head, head_bias, logits, seed, limit, scale, size, helpers + 1, is_done,
    )  # fmt: skip
    return int(share(_part, given, crew, helpers, tasks))
