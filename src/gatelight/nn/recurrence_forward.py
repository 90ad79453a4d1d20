"""One layer's forward computation over packed rows, on arrays: what tensors and fixed weights both run.

Knows nothing of gradients or parameters. Arrays are C-contiguous and of one dtype, float32 or float64.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from gatelight.compiled import compiled
from gatelight.nn import buffers, kernels, threads
from gatelight.nn.by_units import forward_by_units
from gatelight.nn.crew import share
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.steps import CELL_CLASSES

Array = np.ndarray[Any, np.dtype[Any]]


def cell_weights(name: str, peephole: Array | None, dtype: Any) -> Any:
    """Return what a step of the cell reads itself, as the NamedTuple by which kernels know the cell."""
    return _no_weights(name, np.dtype(dtype)) if peephole is None else CELL_CLASSES[name](peephole)


@cache
def _no_weights(name: str, dtype: np.dtype[Any]) -> Any:
    return CELL_CLASSES[name](np.zeros((1, 1, 1), dtype))


_IN_PACKED_ORDER = np.empty(0, np.int64)
_NUMBERS = np.arange(1 << 12, dtype=np.int32)


def token_rows(token: Array | None, rows: int) -> Array:
    """Return the table row of each packed row, int32 [N], not to be written to."""
    if token is not None:
        return token
    return _NUMBERS[:rows] if rows <= len(_NUMBERS) else np.arange(rows, dtype=np.int32)


@compiled
def uneven(directions: int, lengths: Any, size: int, threads: int) -> bool:
    """Whether threads would wait for those that have more to do, where a task takes so many sequences.

    `lengths` [B] fall. Each task goes to who is done first; the rows of a step are computed in tiles.
    """
    sequences = len(lengths)
    if threads == 1 or directions * ((sequences + size - 1) // size) > 4 * threads:
        return False
    loads, longest, total = np.zeros(threads, np.int64), 0, 0
    for _ in range(directions):
        for start in range(0, sequences, size):
            work = lengths[start] * (size if sequences - start > size // 2 else size // 2)
            least = 0  # NumPy's own ways would load the compiler
            for thread in range(threads):
                least = thread if loads[thread] < loads[least] else least
            loads[least] += work
            longest, total = max(longest, loads[least]), total + work
    return bool(10 * total < 9 * threads * longest)


def shares_steps(directions: int, hidden_size: int, lengths: Array, weight: Array, units: int) -> bool:
    """Whether threads share the steps of this recurrent weight, instead of taking sequences each for itself.

    They do where it stands in several parts, of so many `units`, or in one that is large and one thread's
    alone; or where it stands in rows and threads would wait. `lengths` [B] fall.
    """
    elements = weight.shape[1] * weight.shape[2]
    if 0 < units < hidden_size or elements < kernels.SPREAD:
        return units > 0
    count = threads.threads()
    if units:
        return count == 1 and elements * weight.itemsize >= buffers.CACHED
    return bool(uneven(directions, lengths, kernels.GROUP, count))


@compiled
def tasks_of(directions: int, lengths: Any, helpers: int, together: int) -> tuple[int, int]:
    """Return how many sequences a task takes, and how many tasks there are.

    A task takes whole groups, `together` of them or a multiple; which task a group falls into changes no bit.
    """
    sequences = len(lengths)
    size = max(1, sequences)
    if helpers > 0:
        groups = (sequences + kernels.GROUP - 1) // kernels.GROUP
        each = (groups // (4 * (helpers + 1)) + together - 1) // together * together
        size = kernels.GROUP * max(together, each)
    return size, directions * ((sequences + size - 1) // size)


def kept_shapes(
    cell: str, directions: int, hidden_size: int, state_size: int, rows: Any, keep: bool
) -> list[tuple[Any, Any]]:
    """Shapes of hidden, gates, cells; `state_size` is that of the cell state, 0 where there is none."""
    kept = rows if keep else 0
    width = directions * hidden_size
    return [(rows, width), (kept, len(EQUATIONS[cell].saved) * width), (kept, directions * state_size)]


@compiled
def _all_parts(
    cell: Any, table: Any, token: Any, first: Any, lengths: Any, weight: Any, bias: Any, h_0: Any, c_0: Any,
    keep: bool, saved: Any, cells: Any, hidden: Any, h_n: Any, c_n: Any, order: Any, crew: Any, helpers: int,
) -> int:  # fmt: skip
    size, tasks = tasks_of(h_0.shape[0], lengths, helpers, 1)
    given = (
        cell, table, token, first, lengths, weight, bias, h_0, c_0, keep, saved, cells, hidden, h_n, c_n,
        order, size, helpers + 1,
    )  # fmt: skip
    return int(share(kernels.forward, given, crew, helpers, tasks))


def recurrence_forward(
    cell: str, table: Array, token: Array | None, first: Array, lengths: Array, weight: Array, bias: Array,
    peephole: Array | None, h_0: Array, c_0: Array, keep: bool, overwrite: bool = False,
    order: Array | None = None, units: int = 0,
) -> tuple[Array, Array, Array, Array, Array]:  # fmt: skip
    """Return hidden, h_n, c_n and, with `keep`, gates and cell states, in shapes as `operators.recurrence`.

    weight [directions, H, ≥ G] is the recurrent weight transposed, or in parts of so many `units`; first [T]
    and lengths [B] are a packing's; c_0 [directions, B, 0] for cells without a cell state. With `overwrite`
    the table is lost: gates are written where the products were read that they are made of, which spares
    memory the way there and back. With `order` [B] the last states stand at these places.
    """
    rows = len(table) if token is None else len(token)
    directions, _, hidden_size = h_0.shape
    shapes = kept_shapes(cell, directions, hidden_size, c_0.shape[2], rows, keep)
    written_over = overwrite and keep and token is None and shapes[1] == table.shape
    hidden, gates, cells = (
        table if written_over and k == 1 else buffers.empty(shape, table.dtype)
        for k, shape in enumerate(shapes)
    )
    h_n, c_n = np.empty(h_0.shape, table.dtype), np.empty(c_0.shape, table.dtype)
    work = rows * weight.size
    given = (
        cell_weights(cell, peephole, table.dtype), table, token_rows(token, rows), first, lengths, weight,
        bias, h_0, c_0, keep, gates, cells, hidden, h_n, c_n, _IN_PACKED_ORDER if order is None else order,
    )  # fmt: skip
    # Regions are compiled when they are needed first, and few need that of shared steps.
    shared = shares_steps(directions, hidden_size, lengths, weight, units)
    if shared:
        threads.share(forward_by_units, (*given, units), work)
    else:
        threads.share(_all_parts, given, work)
    return hidden, h_n, c_n, gates, cells
