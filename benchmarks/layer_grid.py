"""The places at which W4 measures layers: cells, sizes, lengths, and what work each takes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import nn

import gatelight

CELLS: dict[str, tuple[type[nn.Module], type[nn.Module], int, int]] = {
    "LSTM": (gatelight.LSTM, nn.LSTM, 4, 5),
    "GRU": (gatelight.GRU, nn.GRU, 3, 3),
}
"""Ours, torch's, gates, and how many numbers a unit squashes in a step."""


@dataclass(frozen=True)
class Point:
    """One place of the grid: B, T, D, H, layers, whether both directions, and whether lengths differ."""

    cell: str
    sequences: int
    steps: int
    dim: int
    hidden: int
    layers: int = 1
    both: bool = False
    ragged: bool = False

    def __str__(self) -> str:
        more = f", {self.layers} layers" * (self.layers > 1) + ", both directions" * self.both
        return f"{self.cell} B={self.sequences} T={self.steps} D={self.dim} H={self.hidden}{more}"

    @property
    def kind(self) -> str:
        """Of lengths: "ragged" or "full"."""
        return "ragged" if self.ragged else "full"

    def lengths(self) -> list[int] | None:
        """Lengths from 1 to T, evenly drawn, the longest T; None where all are T."""
        if not self.ragged:
            return None
        drawn = np.random.default_rng(0).integers(1, self.steps + 1, self.sequences)
        drawn[0] = self.steps
        return [int(length) for length in drawn]

    def work(self) -> float:
        """Floating-point operations of the products that are needed, forward and for all gradients."""
        directions, gates = 1 + self.both, CELLS[self.cell][2] * self.hidden
        inputs = self.dim + (self.layers - 1) * directions * self.hidden
        return 2.0 * 3 * self.rows() * directions * gates * (inputs + self.layers * self.hidden)

    def squashed(self) -> float:
        """Numbers that gates squash on the way forward."""
        units = self.layers * (1 + self.both) * self.hidden
        return float(self.rows() * units * CELLS[self.cell][3])

    def rows(self) -> int:
        """Real steps of all sequences."""
        return sum(self.lengths() or [self.sequences * self.steps])


def grid() -> Iterator[Point]:
    """All points of the full run."""
    shapes = [(32, 32), (300, 50), (64, 128), (300, 256)]  # D, H
    for cell, (dim, hidden), sequences, steps in itertools.product(CELLS, shapes, (1, 16, 64), (20, 200)):
        yield Point(cell, sequences, steps, dim, hidden)
        if sequences > 1:
            yield Point(cell, sequences, steps, dim, hidden, ragged=True)
    for cell, (layers, both), shape, ragged in itertools.product(
        CELLS,
        [(2, False), (1, True), (2, True)],
        [(16, 200, 32, 32), (64, 20, 64, 256), (64, 100, 300, 128)],
        (False, True),
    ):
        yield Point(cell, *shape, layers, both, ragged)


def few() -> Iterator[Point]:
    """Points of the quick run: small and large, each cell, one direction and both."""
    for ragged in (False, True):
        yield Point("GRU", 16, 100, 32, 32, ragged=ragged)
        yield Point("LSTM", 32, 50, 64, 128, 1, True, ragged)
