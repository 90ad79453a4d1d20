"""States of several sequences put side by side for one call and taken apart again; knows no text and no cell.

Legend: B sequences, H hidden size. A state holds for each layer (h [1, B, H],) or (h, c).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from gatelight.models.language_model import State

ROWS = 1 << 15  # ids read in one call, about: bounds the memory of a long piece


def side_by_side(states: Sequence[State], order: NDArray[np.int64]) -> State:
    """The state of the sequences `order` of `states`, each of one sequence, in that order."""
    chosen = [states[k] for k in order.tolist()]
    return [
        tuple(torch.cat(parts, 1) for parts in zip(*layers, strict=True))
        for layers in zip(*chosen, strict=True)
    ]


def taken_apart(state: State, order: NDArray[np.int64]) -> list[State]:
    """The inverse of `side_by_side`: a state of one sequence for each, in the places that `order` names."""
    apart: list[State] = [[] for _ in order]
    for k, place in enumerate(order.tolist()):
        apart[place] = [tuple(part[:, k : k + 1].clone() for part in layer) for layer in state]
    return apart


def in_blocks(
    sequences: Sequence[NDArray[np.int32]], rows: int = ROWS
) -> Iterator[tuple[list[int], list[NDArray[np.int32]]]]:
    """Yield, block after block of steps, the numbers of the sequences that still go on, and their ids."""
    longest = max(map(len, sequences), default=0)
    step = max(1, rows // max(len(sequences), 1))
    for begin in range(0, longest, step):
        going = [k for k, ids in enumerate(sequences) if len(ids) > begin]
        yield going, [sequences[k][begin : begin + step] for k in going]
