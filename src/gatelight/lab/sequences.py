"""What a memory task draws: sequences, and what is to be answered at which step.

Legend: n sequences, T steps of the longest, D numbers of a step, O outputs.
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
    """Sequences with their answers; what stands behind a sequence's end is never looked at.

    `targets` are float32 [n, T, O], or int64 [n, T] where one of `classes` is asked for. Only `learnt` steps
    have a target; the `asked` among them are those that cannot be answered from the present step alone.
    """

    inputs: Floats  # [n, T, D]
    lengths: Index  # [n]
    targets: Floats | Index
    learnt: Mask  # [n, T]
    asked: Mask  # [n, T]
    classes: int = 0

    @property
    def outputs(self) -> int:
        """O."""
        return self.classes or self.targets.shape[2]


def one_hot(numbers: NDArray[np.integer], size: int) -> Floats:
    """Numbers [...] → float32 [..., size]; a number below 0 becomes zeros."""
    table = np.vstack([np.eye(size, dtype=np.float32), np.zeros((1, size), np.float32)])
    return np.asarray(table[numbers])


def only_last(lengths: Index, steps: int) -> Mask:
    """Mask [n, T] of the last step of each sequence."""
    return np.asarray(np.arange(steps) == lengths[:, None] - 1)
