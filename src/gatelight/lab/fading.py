"""What is left after how many steps: of the loss's gradient, and of what a cell keeps. Knows no task."""

from __future__ import annotations

import copy

import numpy as np
import torch

from gatelight.lab.drawing import Drawn
from gatelight.lab.network import Batch, Network, loss

KEEPING_GATES = {"lstm": "forget_gate", "peephole": "forget_gate", "gru": "update_gate"}
DISTANCES = (0, 1, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40, 56, 80, 99)
QUARTILES = (25, 50, 75, 100)


def gradient_by_distance(network: Network, kind: str, what: Drawn) -> list[tuple[int, float]]:
    """(k, ‖∂L/∂x(t−k)‖): how much of the loss at the last asked step t reaches the input k steps before.

    The mean over the sequences of the gradient's 2-norm, in float64, so that what is small is not yet
    nothing. Distances that no sequence has are left out.
    """
    ends = np.cumsum(what.lengths)
    numbers = np.where(what.asked, np.arange(len(what.asked)), -1)
    last = np.maximum.reduceat(numbers, ends - what.lengths)
    only = np.zeros(len(what.asked), np.bool_)
    only[last[last >= 0]] = True
    part = Batch(Drawn(what.inputs, what.lengths, what.targets, what.outputs, only, only), torch.float64)
    part.rows.requires_grad_(True)
    exact = copy.deepcopy(network).double()
    total = loss(kind, exact(part.rows, part.packing)[part.learnt], part.targets) * len(part.learnt)
    total.backward()  # type: ignore[no-untyped-call]
    assert part.rows.grad is not None
    norms = np.empty(len(what.asked))
    norms[part.packing.sequence_rows] = part.rows.grad.norm(dim=1).numpy()
    first = ends - what.lengths
    found = []
    for distance in DISTANCES:
        at = last - distance
        there = at >= first
        if there.any():
            found.append((distance, float(norms[at[there]].mean())))
    return found


def half_lives(network: Network, part: Batch) -> list[float] | None:
    """Quartiles over the units of how many steps halve what a unit keeps: ln 2 / −mean(ln gate).

    The gate is LSTM's forget gate or GRU's update gate; None for a plain RNN, which has neither.
    """
    cell = network.cell
    if cell not in KEEPING_GATES:
        return None
    trace = network.memory.trace_packed(part.rows, part.packing)  # type: ignore[operator]
    gate = trace.rows(KEEPING_GATES[cell]).astype(np.float64)
    steps = np.log(2) / np.maximum(-np.log(np.maximum(gate, 1e-12)).mean(0), 1e-9)
    return [float(value) for value in np.percentile(steps, QUARTILES)]
