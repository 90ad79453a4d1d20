"""The recurrence over packed rows and its backward pass, compiled by Numba; one loop serves every cell.

Knows arrays only. They are C-contiguous, of one dtype (float32 or float64). Sequences stand in packed order
(falling length) and are taken in groups of GROUP, which stay together from their first step to their last:
states and products of a group live in the first-level cache, and no group needs another, so groups may run on
any thread. `d` is the direction: 0 forward, 1 backward over the same rows; an array with one block of columns
for each direction is read at its d-th block. Legend: G gates × H, S blocks of H of what is saved.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.nn import threads
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.kernels import buffers
from gatelight.nn.kernels.cells import STEPS, step_backward, step_forward
from gatelight.nn.kernels.gemm import lined, multiply
from gatelight.nn.kernels.parallel import parallel_for
from gatelight.nn.kernels.simd import copy_row

Array = np.ndarray[Any, np.dtype[Any]]

GROUP = 8
"""Sequences that are computed together: as many as the tallest tile of a product has rows."""


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
    first: Any,  # these, and all up to `hidden`, as `_forward` had or left them
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
    d_x: Any,  # [N, directions·G] out: of the input projections
    d_u: Any,  # the same out, of the recurrent products, or d_x where they are equal
    states: Any,  # [directions, N, ≥ H] out: the hidden state before each row
    d_h_0: Any,  # [directions, B, H] out
    d_c_0: Any,  # as c_0, out
    d_peephole: Any,  # [groups, directions, 3, H] out, peephole cell: of each group, so that no thread
    each: int,  # changes an order
    task: int,
) -> None:
    """Run a task back. Only the rows and groups of its sequences are written in each output."""
    directions, sequences, H = h_0.shape
    C, d = c_0.shape[2], task % directions
    begin = task // directions * each
    G, W = weight.shape[1:]
    width, (_, rows, length) = hidden.shape[1], states.shape
    d_h = np.empty((GROUP, H), d_x.dtype)
    d_c = np.empty((GROUP, C), d_x.dtype)
    for start in range(begin, min(sequences, begin + each), GROUP):
        size = min(GROUP, min(sequences, begin + each) - start)
        of_h, of_c = (d * sequences + start) * H, (d * sequences + start) * C
        copy_row(d_h_n, of_h, d_h, 0, size * H)
        copy_row(d_c_n, of_c, d_c, 0, size * C)
        d_peephole[start // GROUP, d] = 0
        of_cell = 3 * (start // GROUP * directions + d)
        steps = lengths[start]
        n = 0 if d == 0 else size
        for s in range(steps):
            t = steps - 1 - s if d == 0 else s
            n = _longer(lengths, start, size, t, n)
            row = first[t] + start
            # Of the n sequences at step t, how many have a step before it in this direction.
            known = _longer(lengths, start, n, t + 1, 0) if d == 1 else n if t > 0 else 0
            before = first[t - 1 + 2 * d] + start if known else row
            for k in range(n):
                to = (d * rows + row + k) * length
                if k < known:
                    copy_row(hidden, (before + k) * width + d * H, states, to, H)
                else:
                    copy_row(h_0, of_h + k * H, states, to, H)
            step_backward(
                cell, d, n, row, known, before, start, h_0, c_0, saved, cells, hidden, d_hidden, d_h, d_c,
                d_x, d_u, d_peephole, of_cell,
            )  # fmt: skip
            at = row * directions * G + d * G
            multiply(d_u, at, directions * G, 1, weight, d * G * W, W, d_h, 0, H, d_h, 0, H, n, G, H)
        copy_row(d_h, 0, d_h_0, of_h, size * H)
        copy_row(d_c, 0, d_c_0, of_c, size * C)


@compiled
def _all_backward(
    cell: Any, first: Any, lengths: Any, weight: Any, h_0: Any, c_0: Any, saved: Any, cells: Any, hidden: Any,
    d_hidden: Any, d_h_n: Any, d_c_n: Any, d_x: Any, d_u: Any, states: Any, d_h_0: Any, d_c_0: Any,
    d_peephole: Any, pool: Any, helpers: int,
) -> int:  # fmt: skip
    size, tasks = _tasks_of(h_0.shape[0], lengths, helpers)
    given = (
        cell, first, lengths, weight, h_0, c_0, saved, cells, hidden, d_hidden, d_h_n, d_c_n, d_x, d_u,
        states, d_h_0, d_c_0, d_peephole, size,
    )  # fmt: skip
    return int(parallel_for(_backward, given, pool, helpers, tasks))


def recurrence_backward(
    cell: str, d_hidden: Array, d_h_n: Array, d_c_n: Array, first: Array, lengths: Array,
    weight: Sequence[Array], peephole: Array | None, h_0: Array, c_0: Array, hidden: Array, gates: Array,
    cells: Array,
) -> tuple[Array, Array, Array, Array, Array, Array]:  # fmt: skip
    """Return the gradients of input projections and recurrent products [N, directions·G], the hidden states
    before each row [directions, N, ≥ H], and the gradients of peephole, h_0 and c_0.

    weight [G, H] of each direction; the others as `recurrence_forward` had or gave them.
    """
    (directions, _, hidden_size), rows, dtype = h_0.shape, len(hidden), d_hidden.dtype
    shape = rows, directions * len(EQUATIONS[cell].gates) * hidden_size
    d_x = buffers.empty(shape, dtype)
    d_u = d_x if STEPS[cell].one_gradient else buffers.empty(shape, dtype)
    states = buffers.lined((directions, rows, hidden_size), dtype)
    d_h_0, d_c_0 = np.empty(d_h_n.shape, dtype), np.empty(c_0.shape, dtype)
    of_groups = -(-len(lengths) // GROUP), directions, 3, hidden_size if peephole is not None else 0
    d_peephole = np.empty(of_groups, dtype)
    given = (
        cell_weights(cell, peephole, dtype), first, lengths, lined(weight), h_0, c_0, gates, cells, hidden,
        d_hidden, d_h_n, d_c_n, d_x, d_u, states, d_h_0, d_c_0, d_peephole,
    )  # fmt: skip
    threads.run_compiled(_all_backward, given, rows * directions * weight[0].size)
    return d_x, d_u, states, d_peephole.sum(axis=0), d_h_0, d_c_0
