"""The recurrence over packed rows, compiled by Numba; one loop serves every cell. Back: way_back.py.

Knows arrays only: no tensors, no modules. Arrays are C-contiguous, of one dtype (float32 or float64).
Sequences stand in packed order (falling length) and are taken in groups of GROUP, which stay together
from their first step to their last: states and products of a group live in the first-level cache, and
no group needs another, so groups may run on any thread. `d` is the direction: 0 forward, 1 backward
over the same rows; an array with one block of columns for each direction is read at its d-th block.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.nn.buffers import LINE
from gatelight.nn.panels import panel_columns, panel_size, some_columns
from gatelight.nn.rows import NOTED, copy_row, fetch
from gatelight.nn.stepping import advance

GROUP = 8

NEAR = 1 << 13
"""Elements of a table that stays in the first-level cache."""

SPREAD = 1 << 17
"""Elements of a recurrent weight from which on threads may share its steps: it is read anew at each."""

FAR = 1 << 22
"""Bytes of gates from which on the way back will not find them in a cache."""


@compiled
def sequences_of(k: int, directions: int, sequences: int, size: int, threads: int) -> tuple[int, int, int]:
    """Return direction, first sequence and last + 1 of task k, of parts of `size` sequences.

    Neighbours share cache lines, and threads would fight for them if they took them at the same time.
    """
    parts = (sequences + size - 1) // size
    apart = (parts + threads - 1) // threads
    left, first = k // directions, 0
    while left >= (parts - first + apart - 1) // apart:
        left -= (parts - first + apart - 1) // apart
        first += 1
    begin = (first + left * apart) * size
    return k % directions, begin, min(sequences, begin + size)


@compiled
def longer(lengths: Any, start: int, size: int, t: int, n: int) -> int:
    """Return how many of `size` sequences from `start` on go beyond step t; near n, where it is looked for.

    Lengths fall, so these are the first.
    """
    while n > 0 and lengths[start + n - 1] <= t:
        n -= 1
    while n < size and lengths[start + n] > t:
        n += 1
    return n


@compiled
def preceded(d: int, lengths: Any, start: int, n: int, t: int) -> int:
    """Return how many of the n sequences at step t have a step before it in direction d."""
    if d == 0:
        return n if t > 0 else 0
    return int(longer(lengths, start, n, t + 1, 0))


@compiled
def room_for(columns: int, depth: int, width: int, like: Any) -> Any:
    """Return a list for the cache lines of a group's rows of `columns` elements, in at most six arrays.

    In each of them a row may begin and end within a line. The list is empty where a product [GROUP, width]
    over `depth` is too short to fetch so many meanwhile.
    """
    most = GROUP * (columns * like.itemsize // LINE + 2 * 6)
    return np.empty(most + NOTED if depth * (width // panel_columns(like)) >= most else 0, np.int64)


@compiled
def goes_past(saved: Any, cells: Any, table: Any, size: int) -> bool:
    """Whether what is kept is written past the caches: more than they hold, in whole lines, not read before.

    Else each line would be read from memory to be written over. Other threads see it all: whoever is done
    with a task takes the next one, or finds none, by an instruction that waits for such writes.
    """
    places = saved.ctypes.data | cells.ctypes.data | size * saved.itemsize
    return bool(
        saved.size * saved.itemsize > FAR and places % LINE == 0 and saved.ctypes.data != table.ctypes.data
    )


@compiled
def forward(
    cell: Any,
    table: Any,  # [U, directions·X], X ≥ G: input products with bias, of the distinct inputs
    token: Any,  # [N] int32 row of `table` for each packed row
    first: Any,  # [T] first packed row of each step
    lengths: Any,  # [B] falling
    weight: Any,  # [directions, H, ≥ G] recurrent weight, transposed, or in panels
    bias: Any,  # [directions, G]
    h_0: Any,  # [directions, B, H]
    c_0: Any,  # [directions, B, H], or [directions, B, 0] for cells without a cell state
    keep: bool,  # whether the next two have a row for each packed row, else nothing is kept
    saved: Any,  # [N, directions·S·H] out: gates
    cells: Any,  # [N, directions·H] out: cell states
    hidden: Any,  # [N, directions·H] out
    h_n: Any,  # [directions, B, H] out
    c_n: Any,  # as c_0, out
    order: Any,  # [B] where in the last two each sequence's stand, or [0]: in packed order
    each: int,  # sequences of a task
    threads: int,  # by which tasks are taken
    task: int,
) -> None:
    """Run a task: some sequences in one direction. Only their rows of each output are written."""
    d, begin, end = sequences_of(task, h_0.shape[0], lengths.shape[0], each, threads)
    H = h_0.shape[2]
    C = c_0.shape[2]
    G, W, X = bias.shape[1], weight.shape[2], table.shape[1] // h_0.shape[0]
    S = saved.shape[1] // h_0.shape[0]
    apart = lengths.shape[0] > GROUP  # else the rows of one step follow those of another
    large = table.shape[0] * table.shape[1] > NEAR
    past = int(keep and goes_past(saved, cells, table, H))
    h = np.empty((GROUP, H), table.dtype)
    c = np.empty((GROUP, C), table.dtype)
    u = np.empty((GROUP, G), table.dtype)
    ahead = room_for(G + S + H + C, H, G, table)
    panel, of_d = panel_size(weight, H), d * weight.shape[1] * W
    for start in range(begin, end, GROUP):
        size = min(GROUP, end - start)
        copy_row(h_0, (d * lengths.shape[0] + start) * H, h, 0, size * H)
        copy_row(c_0, (d * lengths.shape[0] + start) * C, c, 0, size * C)
        steps = lengths[start]
        n = size if d == 0 else 0
        for s in range(steps):
            t = s if d == 0 else steps - 1 - s
            n = longer(lengths, start, size, t, n)
            count = 0
            if (apart or large) and s + 1 < steps:
                after = first[t + 1 - 2 * d] + start
                some = min(n, hidden.shape[0] - after)
                for k in range(after, after + some if large else after):
                    count = fetch(table, token[k], 1, d * X, X, ahead, count)
                if apart:
                    count = fetch(hidden, after, some, d * H, H, ahead, count)
                if apart and keep and not past:
                    count = fetch(cells, after, some, d * C, C, ahead, count)
                    if saved.ctypes.data != table.ctypes.data:
                        count = fetch(saved, after, some, d * S, S, ahead, count)
            some_columns(
                h, 0, H, weight, of_d, W, panel, bias, d * G, 0, u, 0, G, n, H, 0, G, ahead, count - 1
            )  # fmt: skip
            row = first[t] + start
            advance(
                cell, d, d, n, table, token, row, u, 0, h, c, 0, saved, cells, past, hidden, row, h, None, H
            )  # fmt: skip
        for k in range(size):
            place = order[start + k] if order.shape[0] > 0 else start + k
            copy_row(h, k * H, h_n, (d * lengths.shape[0] + place) * H, H)
            copy_row(c, k * C, c_n, (d * lengths.shape[0] + place) * C, C)


@compiled
def rows_before(d: int, first: Any, lengths: Any, before: Any) -> None:
    """Fill before [N] with the packed row of the step before each row's, or -1 - sequence at its first."""
    for t in range(first.shape[0]):
        k = 0
        while k < lengths.shape[0] and lengths[k] > t:
            at_start = t == 0 if d == 0 else t + 1 == lengths[k]
            before[first[t] + k] = -1 - k if at_start else first[t - 1 + 2 * d] + k
            k += 1
