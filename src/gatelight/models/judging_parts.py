"""Many sequences judged group by group: steps and head of a group while its rows are in the cache.

Knows arrays only. A group of sequences is a small batch of its own to the kernels of memory and heads, so
each sequence has the bits that it has in any other batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.models.pooling_kernels import flatten_forward, max_forward, mean_forward
from gatelight.nn import kernels
from gatelight.nn.crew import share
from gatelight.nn.packing import gather_rows, plan_rows

GROUP = kernels.GROUP
HEADS = ("flatten", "max", "mean")
"""Heads that are computed so; `head` below is the place of one."""


@compiled
def packed_group(flat: Any, starts: Any, lengths: Any, beyond: int) -> tuple[Any, Any, Any]:
    """Of sequences that begin at flat[starts[k]], of falling lengths: tokens step by step, first, alive.

    So many tokens more follow `beyond` the last, all 0.
    """
    steps, rows = lengths[0], 0
    for k in range(len(lengths)):
        rows += lengths[k]
    token = np.empty(rows + beyond, np.int32)
    token[rows:] = 0
    first, alive = np.empty(steps, np.int64), np.empty(steps, np.int64)
    order, falling = np.empty(len(lengths), np.int64), np.empty(len(lengths), np.int64)
    plan_rows(lengths, order, falling, alive, first)
    gather_rows(flat, starts, alive, token)
    return token, first, alive


@compiled
def _judge_group(
    cell: Any, table: Any, flat: Any, starts: Any, lengths: Any, weight_hh: Any, bias_hh: Any, zeros: Any,
    no_cells: Any, saved: Any, cells: Any, head: int, weight: Any, bias: Any, limit: Any, scale: Any,
    out: Any, k: int,
) -> None:  # fmt: skip
    begin, end = k * GROUP, min(len(lengths), (k + 1) * GROUP)
    of, result = lengths[begin:end], out[begin:end]
    token, first, alive = packed_group(flat, starts[begin:end], of, 0)
    directions, features = zeros.shape[0], zeros.shape[0] * zeros.shape[2]
    hidden = np.empty((len(token), features), table.dtype)
    h_n, c_n = np.empty(zeros.shape, table.dtype), np.empty(no_cells.shape, table.dtype)
    for d in range(directions):
        kernels.forward(
            cell, table, token, first, of, weight_hh, bias_hh, zeros, no_cells, False, saved, cells,
            hidden, h_n, c_n, first[:0], GROUP, 1, d,
        )  # fmt: skip
    if head == 0:
        flatten_forward(hidden, first, alive, weight, bias, result, 0, limit, scale, 0, end - begin)
    elif head == 1:
        where = np.empty((end - begin, features), np.int32)
        max_forward(hidden, first, alive, result, where, 0, end - begin)
    else:
        mean_forward(hidden, first, alive, of, result)


@compiled
def all_judged(
    cell: Any, table: Any, flat: Any, starts: Any, lengths: Any, weight_hh: Any, bias_hh: Any, zeros: Any,
    no_cells: Any, saved: Any, cells: Any, head: int, weight: Any, bias: Any, limit: Any, scale: Any,
    out: Any, crew: Any, helpers: int,
) -> int:  # fmt: skip
    """What the head makes of each sequence in out [B, ·]; groups are shared among threads.

    The k-th begins at flat[starts[k]], int32 [N], which are rows of the table; `lengths` [B] fall.
    `zeros` [directions, GROUP, H], and so `no_cells` where there is a cell state; `saved` and `cells` have no
    row. Of a head "flatten" are `weight` and `bias`, and `limit` and `scale` drop nothing.
    """
    given = (
        cell, table, flat, starts, lengths, weight_hh, bias_hh, zeros, no_cells, saved, cells, head, weight,
        bias, limit, scale, out,
    )  # fmt: skip
    return int(share(_judge_group, given, crew, helpers, (len(lengths) + GROUP - 1) // GROUP))
