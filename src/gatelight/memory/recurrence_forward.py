"""The forward computation behind `gatelight::recurrence`: tensors to arrays, arrays to tasks for the kernels.

Knows nothing of gradients. Tensors are on the CPU and of one dtype, float32 or float64.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gatelight.memory import buffers, kernels, threads
from gatelight.memory.equations import EQUATIONS
from gatelight.memory.linear import Array, array_of
from gatelight.memory.steps import CELL_CLASSES


def cell_weights(name: str, peephole: Tensor | None, like: Array) -> Any:
    """Return what a step of the cell reads itself, as the NamedTuple by which kernels know the cell."""
    weights = np.zeros((1, 1, 1), like.dtype) if peephole is None else array_of(peephole)
    return CELL_CLASSES[name](weights)


def token_rows(token: Tensor | None, rows: int) -> Array:
    """Return the table row of each packed row, int32 [N]."""
    return np.arange(rows, dtype=np.int32) if token is None else array_of(token)


def parts_of(lengths: Array, work: int) -> list[tuple[int, int]]:
    """Cut the sequences into tasks of whole groups; which task a group falls into changes no bit.

    Neighbours share cache lines, and would fight for them if two threads took them at the same time.
    """
    groups = -(-len(lengths) // kernels.GROUP)
    if threads.threads() == 1 or work < threads.SHARED_WORK:
        return [(0, len(lengths))]
    size = kernels.GROUP * max(1, groups // (4 * threads.threads()))
    cuts = [(begin, min(len(lengths), begin + size)) for begin in range(0, len(lengths), size)]
    apart = -(-len(cuts) // threads.threads())
    return [cut for first in range(apart) for cut in cuts[first::apart]]


def recurrence_forward(
    cell: str,
    table: Tensor,
    token: Tensor | None,
    first: Tensor,
    lengths: Tensor,
    weight_hh: Tensor,
    bias_hh: Tensor,
    peephole: Tensor | None,
    h_0: Tensor,
    c_0: Tensor,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return hidden, h_n, c_n and, with `keep`, gates and cell states."""
    rows = len(table) if token is None else len(token)
    shapes = _kept_shapes(cell, weight_hh, c_0, rows, keep)
    inputs = array_of(table)
    hidden, gates, cells = (buffers.empty(shape, inputs.dtype) for shape in shapes)
    h_n, c_n = np.empty(h_0.shape, inputs.dtype), np.empty(c_0.shape, inputs.dtype)
    tokens, starts, sizes = token_rows(token, rows), array_of(first), array_of(lengths)
    weight = array_of(weight_hh.transpose(1, 2))
    step_cell, bias = cell_weights(cell, peephole, inputs), array_of(bias_hh)
    states = array_of(h_0), array_of(c_0)

    def part(d: int, begin: int, end: int) -> None:
        scratch = (gates, cells)
        if not keep:
            scratch = tuple(np.empty((kernels.GROUP, a.shape[1]), a.dtype) for a in scratch)  # type: ignore[assignment]
        kernels.forward(
            step_cell, d, begin, end, inputs, tokens, starts, sizes, weight, bias, *states, keep, *scratch,
            hidden, h_n, c_n,
        )  # fmt: skip

    work = rows * weight.size
    threads.run([partial(part, d, *cut) for cut in parts_of(sizes, work) for d in range(len(weight))], work)
    return tuple(torch.from_numpy(a) for a in (hidden, h_n, c_n, gates, cells))  # type: ignore[return-value]


def _kept_shapes(cell: str, weight_hh: Tensor, c_0: Tensor, rows: Any, keep: bool) -> list[tuple[Any, Any]]:
    """Shapes of hidden, gates, cells."""
    directions, _, hidden_size = weight_hh.shape
    kept = rows if keep else 0
    width, state = directions * hidden_size, directions * c_0.shape[2]
    return [
        (rows, width),
        (kept, len(EQUATIONS[cell].saved) * width),
        (kept, state),
    ]


def recurrence_shapes(
    cell: str,
    table: Tensor,
    token: Tensor | None,
    first: Tensor,
    lengths: Tensor,
    weight_hh: Tensor,
    bias_hh: Tensor,
    peephole: Tensor | None,
    h_0: Tensor,
    c_0: Tensor,
    keep: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Return empty tensors of the shapes that `recurrence_forward` gives."""
    rows = table.shape[0] if token is None else token.shape[0]
    hidden, *kept = (table.new_empty(s) for s in _kept_shapes(cell, weight_hh, c_0, rows, keep))
    return hidden, torch.empty_like(h_0), torch.empty_like(c_0), *kept  # type: ignore[return-value]
