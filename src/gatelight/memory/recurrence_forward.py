"""One layer's forward computation over packed rows, on arrays: what tensors and fixed weights both run.

Knows nothing of gradients or parameters. Arrays are C-contiguous and of one dtype, float32 or float64.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from gatelight.memory import buffers, kernels, threads
from gatelight.memory.equations import EQUATIONS
from gatelight.memory.steps import CELL_CLASSES

Array = np.ndarray[Any, np.dtype[Any]]


def cell_weights(name: str, peephole: Array | None, dtype: Any) -> Any:
    """Return what a step of the cell reads itself, as the NamedTuple by which kernels know the cell."""
    return CELL_CLASSES[name](np.zeros((1, 1, 1), dtype) if peephole is None else peephole)


def token_rows(token: Array | None, rows: int) -> Array:
    """Return the table row of each packed row, int32 [N]."""
    return np.arange(rows, dtype=np.int32) if token is None else token


def parts_of(lengths: Array, work: int) -> list[tuple[int, int]]:
    """Cut the sequences into tasks of whole groups; which task a group falls into changes no bit.

    Neighbours share cache lines, and would fight for them if two threads took them at the same time.
    """
    if work < threads.SHARED_WORK or threads.threads() == 1:
        return [(0, len(lengths))]
    groups = -(-len(lengths) // kernels.GROUP)
    size = kernels.GROUP * max(1, groups // (4 * threads.threads()))
    cuts = [(begin, min(len(lengths), begin + size)) for begin in range(0, len(lengths), size)]
    apart = -(-len(cuts) // threads.threads())
    return [cut for first in range(apart) for cut in cuts[first::apart]]


def kept_shapes(
    cell: str, directions: int, hidden_size: int, state_size: int, rows: Any, keep: bool
) -> list[tuple[Any, Any]]:
    """Shapes of hidden, gates, cells; `state_size` is that of the cell state, 0 where there is none."""
    kept = rows if keep else 0
    width = directions * hidden_size
    return [
        (rows, width),
        (kept, len(EQUATIONS[cell].saved) * width),
        (kept, directions * state_size),
    ]


def recurrence_forward(
    cell: str,
    table: Array,
    token: Array | None,
    first: Array,
    lengths: Array,
    weight: Array,
    bias: Array,
    peephole: Array | None,
    h_0: Array,
    c_0: Array,
    keep: bool,
) -> tuple[Array, Array, Array, Array, Array]:
    """Return hidden, h_n, c_n and, with `keep`, gates and cell states, in shapes as `operators.recurrence`.

    weight [directions, H, G] is the recurrent weight transposed; first [T] and lengths [B] are a packing's;
    c_0 [directions, B, 0] for cells without a cell state.
    """
    rows = len(table) if token is None else len(token)
    directions, hidden_size, _ = weight.shape
    shapes = kept_shapes(cell, directions, hidden_size, c_0.shape[2], rows, keep)
    hidden, gates, cells = (buffers.empty(shape, table.dtype) for shape in shapes)
    h_n, c_n = np.empty(h_0.shape, table.dtype), np.empty(c_0.shape, table.dtype)
    tokens, step_cell = token_rows(token, rows), cell_weights(cell, peephole, table.dtype)

    def part(d: int, begin: int, end: int) -> None:
        scratch = (gates, cells)
        if not keep:
            scratch = tuple(np.empty((kernels.GROUP, a.shape[1]), a.dtype) for a in scratch)  # type: ignore[assignment]
        kernels.forward(
            step_cell, d, begin, end, table, tokens, first, lengths, weight, bias, h_0, c_0, keep, *scratch,
            hidden, h_n, c_n,
        )  # fmt: skip

    work = rows * weight.size
    threads.run([partial(part, d, *cut) for cut in parts_of(lengths, work) for d in range(directions)], work)
    return hidden, h_n, c_n, gates, cells
