"""The recurrence over packed rows and its backward pass, compiled by Numba; one loop serves every cell.

Knows arrays only. They are C-contiguous, of one dtype (float32 or float64). Sequences stand in packed order
(falling length) and are taken in groups of GROUP, which stay together from their first step to their last:
states and products of a group live in the first-level cache, and no group needs another, so groups may run on
any thread. `d` is the direction: 0 forward, 1 backward over the same rows; an array with one block of columns
for each direction is read at its d-th block. Legend: G gates × H, S blocks of H of what is saved.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.nn import threads
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.cells import STEPS, step_backward, step_forward
from gatelight.nn.kernels.gemm import CHUNK, lined, multiply, row_length
from gatelight.nn.kernels.parallel import parallel_for
from gatelight.nn.kernels.rows import summed_rows
from gatelight.nn.kernels.simd import add_row, copy_row

Array = np.ndarray[Any, np.dtype[Any]]

GROUP = 8
"""Sequences that are computed together: as many as the tallest tile of a product has rows."""

TASKS = 16
"""Tasks, at most, that a backward pass has in each direction, at any number of threads."""

SMALL = 1 << 16
"""Elements of a gradient of the input projections up to which each task sums its own."""


def cell_weights(name: str, peephole: Array | None, dtype: Any) -> Any:
    """Return what a step of the cell reads itself, as the NamedTuple by which kernels know the cell."""
    return _no_weights(name, np.dtype(dtype)) if peephole is None else STEPS[name].weights(peephole)


@cache
def _no_weights(name: str, dtype: np.dtype[Any]) -> Any:
    return STEPS[name].weights(np.zeros((1, 1, 1), dtype))


@compiled
def _tasks_of(directions: int, lengths: Any, helpers: int) -> tuple[int, int]:
    """Return how many sequences a task takes, whole groups, and how many tasks there are."""
    sequences = len(lengths)
    size = max(1, sequences)
    if helpers > 0:
        groups = (sequences + GROUP - 1) // GROUP
        size = GROUP * max(1, groups // (4 * (helpers + 1)))
    return size, directions * ((sequences + size - 1) // size)


@compiled
def _longer(lengths: Any, start: int, size: int, t: int, n: int) -> int:
    """Return how many of `size` sequences from `start` on go beyond step t; near n, where it is looked for.

    Lengths fall, so these are the first.
    """
    while n > 0 and lengths[start + n - 1] <= t:
        n -= 1
    while n < size and lengths[start + n] > t:
        n += 1
    return n


@compiled
def _forward(
    cell: Any,
    table: Any,  # [U, directions·X], X ≥ G: input projections with bias, of the distinct inputs
    token: Any,  # [N] int32 row of `table` for each packed row
    first: Any,  # [T] first packed row of each step
    lengths: Any,  # [B] falling
    weight: Any,  # [directions, H, ≥ G] recurrent weight, transposed
    bias: Any,  # [directions, G]
    h_0: Any,  # [directions, B, H]
    c_0: Any,  # [directions, B, H], or [directions, B, 0] for cells without a cell state
    saved: Any,  # [N, directions·S·H] out: gates, or [0, ·] where nothing is kept
    cells: Any,  # [N, directions·H] out: cell states, or [0, ·]
    hidden: Any,  # [N, directions·H] out
    h_n: Any,  # [directions, B, H] out
    c_n: Any,  # as c_0, out
    each: int,  # sequences of a task
    task: int,
) -> None:
    """Run a task: some sequences in one direction. Only their rows of each output are written."""
    directions, sequences, H = h_0.shape
    C, d = c_0.shape[2], task % directions
    begin = task // directions * each
    G, W = bias.shape[1], weight.shape[2]
    h = np.empty((GROUP, H), table.dtype)
    c = np.empty((GROUP, C), table.dtype)
    u = np.empty((GROUP, G), table.dtype)
    for start in range(begin, min(sequences, begin + each), GROUP):
        size = min(GROUP, min(sequences, begin + each) - start)
        of_h, of_c = (d * sequences + start) * H, (d * sequences + start) * C
        copy_row(h_0, of_h, h, 0, size * H)
        copy_row(c_0, of_c, c, 0, size * C)
        steps = lengths[start]
        n = size if d == 0 else 0
        for s in range(steps):
            t = s if d == 0 else steps - 1 - s
            n = _longer(lengths, start, size, t, n)
            multiply(h, 0, H, 1, weight, d * H * W, W, bias, d * G, 0, u, 0, G, n, H, G)
            row = first[t] + start
            step_forward(cell, d, d, n, table, token, row, u, h, c, 0, saved, cells, hidden, row)
        copy_row(h, 0, h_n, of_h, size * H)
        copy_row(c, 0, c_n, of_c, size * C)


@compiled
def _all_forward(
    cell: Any, table: Any, token: Any, first: Any, lengths: Any, weight: Any, bias: Any, h_0: Any, c_0: Any,
    saved: Any, cells: Any, hidden: Any, h_n: Any, c_n: Any, pool: Any, helpers: int,
) -> int:  # fmt: skip
    size, tasks = _tasks_of(h_0.shape[0], lengths, helpers)
    given = cell, table, token, first, lengths, weight, bias, h_0, c_0, saved, cells, hidden, h_n, c_n, size
    return int(parallel_for(_forward, given, pool, helpers, tasks))


def recurrence_forward(
    cell: str, table: Array, token: Array | None, first: Array, lengths: Array, weight: Array, bias: Array,
    peephole: Array | None, h_0: Array, c_0: Array, keep: bool,
) -> tuple[Array, Array, Array, Array, Array]:  # fmt: skip
    """Return hidden, h_n, c_n and, with `keep`, gates and cell states, in shapes as `_forward` says.

    table [U, directions·G] holds the input projections, token int32 [N] the row of each packed row (None: its
    own); weight [directions, H, ≥ G] is the recurrent weight transposed; first [T] and lengths [B] are a
    packing's; c_0 [directions, B, 0] for cells without a cell state.
    """
    token = np.arange(len(table), dtype=np.int32) if token is None else token
    rows, (directions, _, hidden_size) = len(token), h_0.shape
    width, kept = directions * hidden_size, rows if keep else 0
    shapes = (rows, width), (kept, len(EQUATIONS[cell].saved) * width), (kept, directions * c_0.shape[2])
    hidden, gates, cells = (buffers.empty(shape, table.dtype) for shape in shapes)
    h_n, c_n = np.empty(h_0.shape, table.dtype), np.empty(c_0.shape, table.dtype)
    given = (
        cell_weights(cell, peephole, table.dtype), table, token, first, lengths, weight, bias, h_0, c_0,
        gates, cells, hidden, h_n, c_n,
    )  # fmt: skip
    threads.run_compiled(_all_forward, given, rows * weight.size)
    return hidden, h_n, c_n, gates, cells


@compiled
def _backward(
    cell: Any,
    token: Any,  # these, and all up to `hidden`, as `_forward` had or left them
    first: Any,
    lengths: Any,
    weight: Any,  # [directions, G, ≥ H] recurrent weight, not transposed
    h_0: Any,
    c_0: Any,
    saved: Any,
    cells: Any,
    hidden: Any,
    d_hidden: Any,  # [N, directions·H] gradient of the outputs
    d_h_n: Any,  # [directions, B, H] gradient of the last states
    d_c_n: Any,  # as c_0
    d_x: Any,  # [N, directions·G] out: of the input projection of each row, or [0, ·]
    d_h_0: Any,  # [directions, B, H] out
    d_c_0: Any,  # as c_0, out
    # Out, of each task by itself, so that no thread changes an order; a size of 0 where it is not asked for.
    d_table: Any,  # [tasks, U, directions·G] of the input projections
    d_weight: Any,  # [tasks, directions, G, H]
    d_bias: Any,  # [tasks, directions, G]
    d_peephole: Any,  # [tasks, directions, 3, H], peephole cell
    apart: bool,  # whether recurrent products have a gradient of their own
    each: int,  # sequences of a task, whole groups
    task: int,
) -> None:
    """Run a task back. Only the rows of its sequences are written in each output."""
    directions, sequences, H = h_0.shape
    C, d, part = c_0.shape[2], task % directions, task // directions
    begin, end = part * each, min(sequences, (part + 1) * each)
    G, W, of_part = weight.shape[1], weight.shape[2], part * directions + d
    width, distinct = hidden.shape[1], d_table.shape[1]
    # Of some rows, which the sums over them then find in a cache.
    states = np.empty((CHUNK, row_length(H, d_x.itemsize)), d_x.dtype)
    of_x = np.empty((CHUNK, row_length(G, d_x.itemsize)), d_x.dtype)
    of_u = np.empty_like(of_x) if apart else of_x
    of_row, of_state, filled = of_x.shape[1], states.shape[1], 0
    d_h = np.empty((GROUP, H), d_x.dtype)
    d_c = np.empty((GROUP, C), d_x.dtype)
    d_table[part, :, d * G : (d + 1) * G] = 0
    d_weight[part, d] = 0
    d_bias[part, d] = 0
    d_peephole[part, d] = 0
    for start in range(begin, end, GROUP):
        size = min(GROUP, end - start)
        of_h, of_c = (d * sequences + start) * H, (d * sequences + start) * C
        copy_row(d_h_n, of_h, d_h, 0, size * H)
        copy_row(d_c_n, of_c, d_c, 0, size * C)
        steps = lengths[start]
        n = 0 if d == 0 else size
        for s in range(steps):
            t = steps - 1 - s if d == 0 else s
            n = _longer(lengths, start, size, t, n)
            row = first[t] + start
            # Of the n sequences at step t, how many have a step before it in this direction.
            known = _longer(lengths, start, n, t + 1, 0) if d == 1 else n if t > 0 else 0
            before = first[t - 1 + 2 * d] + start if known else row
            step_backward(
                cell, d, n, row, known, before, start, h_0, c_0, saved, cells, hidden, d_hidden, d_h, d_c,
                of_x, of_u, filled, d_peephole, 3 * of_part,
            )  # fmt: skip
            at = filled * of_row
            multiply(of_u, at, of_row, 1, weight, d * G * W, W, d_h, 0, H, d_h, 0, H, n, G, H)
            for k in range(n):
                if k < known:
                    copy_row(hidden, (before + k) * width + d * H, states, filled * of_state, H)
                else:
                    copy_row(h_0, of_h + k * H, states, filled * of_state, H)
                if distinct:
                    to = ((part * distinct + token[row + k]) * directions + d) * G
                    add_row(of_x, filled * of_row, d_table, to, G)
                else:
                    copy_row(of_x, filled * of_row, d_x, ((row + k) * directions + d) * G, G)
                add_row(of_u, filled * of_row, d_bias, of_part * d_bias.shape[2], d_bias.shape[2])
                filled += 1
            if filled > CHUNK - GROUP:
                _add_products(of_u, states, filled, d_weight, of_part)
                filled = 0
        copy_row(d_h, 0, d_h_0, of_h, size * H)
        copy_row(d_c, 0, d_c_0, of_c, size * C)
    _add_products(of_u, states, filled, d_weight, of_part)


@compiled
def _add_products(d_u: Any, states: Any, rows: int, d_weight: Any, part: int) -> None:
    """Add d_u.T @ states, of so many rows, to this part of d_weight [·, directions, G, H]."""
    G, H = d_weight.shape[2:]
    at = part * G * H
    multiply(
        d_u, 0, 1, d_u.shape[1], states, 0, states.shape[1], d_weight, at, H, d_weight, at, H, G, rows, H
    )  # fmt: skip


@compiled
def _all_backward(
    cell: Any, token: Any, first: Any, lengths: Any, weight: Any, h_0: Any, c_0: Any, saved: Any, cells: Any,
    hidden: Any, d_hidden: Any, d_h_n: Any, d_c_n: Any, d_x: Any, d_h_0: Any, d_c_0: Any, d_table: Any,
    d_weight: Any, d_bias: Any, d_peephole: Any, apart: bool, each: int, pool: Any, helpers: int,
) -> int:  # fmt: skip
    given = (
        cell, token, first, lengths, weight, h_0, c_0, saved, cells, hidden, d_hidden, d_h_n, d_c_n, d_x,
        d_h_0, d_c_0, d_table, d_weight, d_bias, d_peephole, apart, each,
    )  # fmt: skip
    return int(parallel_for(_backward, given, pool, helpers, len(d_peephole) * h_0.shape[0]))


def recurrence_backward(
    cell: str, d_hidden: Array, d_h_n: Array, d_c_n: Array, distinct: int, token: Array | None, first: Array,
    lengths: Array, weight: Sequence[Array], peephole: Array | None, h_0: Array, c_0: Array, hidden: Array,
    gates: Array, cells: Array, wanted: Collection[str],
) -> tuple[Array, Array, Array, dict[str, Array]]:  # fmt: skip
    """Return the gradients of the input projections [distinct, directions·G], h_0 and c_0, and by kind those
    of the recurrence's own weights, each direction's, that are `wanted`.

    weight [G, H] of each direction; the others as `recurrence_forward` had or gave them.
    """
    (directions, _, size), rows, dtype = h_0.shape, len(hidden), d_hidden.dtype
    G = len(weight[0])
    each = GROUP * max(1, -(-len(lengths) // (GROUP * TASKS)))
    tasks = -(-len(lengths) // each)
    small = token is not None and distinct * directions * G <= SMALL and distinct * tasks <= rows
    d_x = buffers.empty((0 if small else rows, directions * G), dtype)
    sums = {
        "table": buffers.empty((tasks, distinct if small else 0, directions * G), dtype),
        "weight_hh": buffers.empty((tasks, directions, G if "weight_hh" in wanted else 0, size), dtype),
        "bias_hh": np.empty((tasks, directions, G if "bias_hh" in wanted else 0), dtype),
        "weight_peephole": np.empty((tasks, directions, 3, 0 if peephole is None else size), dtype),
    }
    d_h_0, d_c_0 = np.empty(d_h_n.shape, dtype), np.empty(c_0.shape, dtype)
    nothing = np.empty(0, np.int32)
    given = (
        cell_weights(cell, peephole, dtype), nothing if token is None else token, first, lengths,
        lined(weight), h_0, c_0, gates, cells, hidden, d_hidden, d_h_n, d_c_n, d_x, d_h_0, d_c_0,
        *sums.values(), not STEPS[cell].one_gradient, each,
    )  # fmt: skip
    threads.run_compiled(_all_backward, given, 2 * rows * directions * weight[0].size)
    found = {kind: of_tasks.sum(axis=0) for kind, of_tasks in sums.items()}
    d_table = found.pop("table") if small else d_x if token is None else summed_rows(d_x, token, distinct)
    return d_table, d_h_0, d_c_0, found
