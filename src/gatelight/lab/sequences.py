"""What a memory task draws: sequences end to end, and what is to be answered at which step.

Legend: n sequences, N steps of all of them, T steps of the longest, D numbers of a step, O outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Drawn:
    """Sequences, one after another, with their answers.

    `targets` are float32 [N, O], or int64 [N] where one of `outputs` classes is asked for. Only `learnt`
    steps have a target; the `asked` among them are those that cannot be answered from the present step alone.
    """

    inputs: Floats  # [N, D]
    lengths: Index  # [n]
    targets: Floats | Index
    outputs: int
    learnt: Mask  # [N]
    asked: Mask  # [N]


def drawn(
    inputs: Floats,
    targets: Floats | Index,
    learnt: Mask,
    asked: Mask,
    lengths: Index | None = None,
    classes: int = 0,
) -> Drawn:
    """Take padded inputs [n, T, D], targets [n, T, O] or int64 [n, T] and masks [n, T] apart.

    Without `lengths` all have T steps. `classes` says how many there are where targets are class numbers.
    """
    count, steps = learnt.shape
    lengths = np.full(count, steps, np.int64) if lengths is None else lengths
    real = np.arange(steps) < lengths[:, None]
    flat = targets[real]
    return Drawn(inputs[real], lengths, flat, classes or flat.shape[1], learnt[real], asked[real])


def one_hot(numbers: NDArray[np.integer], size: int) -> Floats:
    """Numbers [...] → float32 [..., size]; a number below 0 becomes zeros."""
    table = np.vstack([np.eye(size, dtype=np.float32), np.zeros((1, size), np.float32)])
    return np.asarray(table[numbers])


def only_last(lengths: Index, steps: int) -> Mask:
    """Mask [n, T] of the last step of each sequence."""
    return np.asarray(np.arange(steps) == lengths[:, None] - 1)
