"""Layers whose gates are clamped at values: "what if it never forgot?" Knows parameters and steps, no text.

A clamped gate sees nothing: its rows of the weights become zeros and its bias what gives the value. So a gate
clamped at all steps runs in the same kernels as any other (whose float32 sigmoid ends 1.2e-7 short of 0 and
1), and one clamped at some steps runs in the equations, with one set of weights or the other.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gatelight.errors import DataError
from gatelight.nn.equations import EQUATIONS, Cell
from gatelight.nn.padding import AnyPacking
from gatelight.nn.stack import Stack
from gatelight.nn.status import Path

SATURATED = 1000.0
"""Where σ is 0 or 1 to the last bit in the equations, and the kernels' as near to it as it comes."""


@dataclass(frozen=True, eq=False)
class Clamp:
    """One gate of some units clamped: `before` [H] is what its activation is fed, `units` bool [H] for whom.

    `direction` None means both, `steps` None all steps; steps count from the text's first, in any direction.
    """

    gate: str
    before: Tensor
    units: Tensor
    direction: int | None = None
    steps: frozenset[int] | None = None

    @classmethod
    def of(
        cls,
        layer: Stack,
        gate: str,
        value: ArrayLike,
        units: ArrayLike | None = None,
        direction: int | None = None,
        steps: frozenset[int] | None = None,
    ) -> Clamp:
        """Check what is asked; `value` is one number, or one for each unit. Raises DataError."""
        cell, size = EQUATIONS[layer.cell], layer.hidden_size
        gates = [name for name in cell.gates if name in cell.saved]
        if gate not in gates:
            have = f"there are {', '.join(gates)}" if gates else "it has none"
            raise DataError(f"a {layer.cell} has no {gate!r} to clamp; {have}")
        if direction is not None and direction not in range(1 + layer.bidirectional):
            raise DataError(f"direction {direction} is not there; the layer has {1 + layer.bidirectional}")
        least = -1 if gate == "candidate" else 0
        values = np.asarray(value, np.float64)
        if values.shape not in ((), (size,)) or not ((values >= least) & (values <= 1)).all():
            raise DataError(
                f"{gate} can be clamped from {least} to 1, at one value or at {size}; got {value!r:.60}"
            )
        clamped = np.zeros(size, bool)
        try:
            clamped[slice(None) if units is None else np.atleast_1d(np.asarray(units, np.int64))] = True
        except IndexError:
            raise DataError(f"units are numbered 0 to {size - 1}; got {units!r:.60}") from None
        with np.errstate(divide="ignore"):
            before = np.arctanh(values) if gate == "candidate" else np.log(values) - np.log1p(-values)
        before = np.broadcast_to(np.clip(before, -SATURATED, SATURATED), (size,))
        like = layer.weight_hh_l0
        return cls(
            gate, torch.tensor(before.copy(), dtype=like.dtype), torch.from_numpy(clamped), direction, steps
        )

    def rows(self, cell: Cell) -> Tensor:
        """The rows [units] of its weights among the gates'."""
        start = cell.gates.index(self.gate) * len(self.units)
        return start + self.units.nonzero().squeeze(1)


def clamp(layer: Stack, clamps: list[Clamp]) -> Stack:
    """Return a copy of a layer (of num_layers 1, with biases) with clamped gates and takes no gradient."""
    made = copy.deepcopy(layer).requires_grad_(False)
    always = [one for one in clamps if one.steps is None]
    for one in always:
        rows = one.rows(EQUATIONS[layer.cell])
        for d, suffix in enumerate(("", "_reverse")[: 1 + layer.bidirectional]):
            if one.direction in (None, d):
                for name in ("weight_ih", "weight_hh", "bias_hh", "bias_ih"):
                    getattr(made, f"{name}_l0{suffix}")[rows] = 0
                getattr(made, f"bias_ih_l0{suffix}")[rows] = one.before[one.units]
                peephole = _peephole_row(layer.cell, one.gate)
                if peephole is not None:
                    getattr(made, f"weight_peephole_l0{suffix}")[peephole, one.units] = 0
    sometimes = [one for one in clamps if one.steps is not None]
    if not sometimes:
        return made
    if not isinstance(made, SometimesClamped):
        made.__class__ = type(f"Clamped{type(layer).__name__}", (SometimesClamped, type(layer)), {})
    made.clamps = [*getattr(layer, "clamps", []), *sometimes]
    return made


class SometimesClamped(Stack):
    """A layer with clamped gates at some steps: each step by the equations, in torch."""

    clamps: list[Clamp]

    def path(self) -> Path:
        """Return what computes: always the equations."""
        return "equations"

    def _equation(self, packing: AnyPacking) -> Cell:
        cell = EQUATIONS[self.cell]
        return replace(cell, step=self._step(cell, packing.steps))

    def _step(self, cell: Cell, steps: int) -> Any:
        """The cell's step, told by the order of its calls which step of which direction it is."""
        forward = ((0, t) for t in range(steps))
        places: Iterator[tuple[int, int]] = chain(forward, ((1, t) for t in reversed(range(steps))))

        def step(Wx: Tensor, h: Tensor, c: Tensor | None, U: Tensor, b: Tensor, p: Tensor | None) -> Any:
            d, t = next(places)
            here = [one for one in self.clamps if one.direction in (None, d) and t in (one.steps or ())]
            if here:
                Wx, U, b = Wx.clone(), U.clone(), b.clone()
                p = None if p is None else p.clone()
            for one in here:
                rows = one.rows(cell)
                Wx[:, rows], U[rows], b[rows] = one.before[one.units], 0, 0
                peephole = _peephole_row(cell.name, one.gate)
                if p is not None and peephole is not None:
                    p[peephole, one.units] = 0
            return cell.step(Wx, h, c, U, b, p)

        return step


def _peephole_row(cell: str, gate: str) -> int | None:
    peepholes = EQUATIONS[cell].peepholes
    return peepholes.index(gate) if gate in peepholes else None
