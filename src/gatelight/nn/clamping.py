"""Layers whose gates are clamped at values: "what if it never forgot?" Knows parameters, no text.

A clamped gate sees nothing: its rows of the weights become zeros and its bias what gives the value. So it
runs in the same kernels as any other, whose float32 sigmoid ends 1.2e-7 short of 0 and 1.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from gatelight.errors import DataError
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.stack import Stack

SATURATED = 1000.0
"""Where σ is 0 or 1 to the last bit in the equations, and the kernels' as near to it as it comes."""


@dataclass(frozen=True, eq=False)
class Clamp:
    """One gate of some units clamped: `before` [H] is what its activation is fed, `units` bool [H] for whom.

    `direction` None means both.
    """

    gate: str
    before: Tensor
    units: Tensor
    direction: int | None = None

    @classmethod
    def of(
        cls,
        layer: Stack,
        gate: str,
        value: ArrayLike,
        units: ArrayLike | None = None,
        direction: int | None = None,
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
        return cls(gate, torch.tensor(before.copy(), dtype=like.dtype), torch.from_numpy(clamped), direction)


def clamp(layer: Stack, clamps: list[Clamp]) -> Stack:
    """Return a copy of a layer (of num_layers 1, with biases) with clamped gates; it takes no gradient."""
    made, cell = copy.deepcopy(layer).requires_grad_(False), EQUATIONS[layer.cell]
    for one in clamps:
        rows = cell.gates.index(one.gate) * layer.hidden_size + one.units.nonzero().squeeze(1)
        for d, suffix in enumerate(("", "_reverse")[: 1 + layer.bidirectional]):
            if one.direction in (None, d):
                for name in ("weight_ih", "weight_hh", "bias_hh", "bias_ih"):
                    getattr(made, f"{name}_l0{suffix}")[rows] = 0
                getattr(made, f"bias_ih_l0{suffix}")[rows] = one.before[one.units]
                if one.gate in cell.peepholes:
                    peepholes = getattr(made, f"weight_peephole_l0{suffix}")
                    peepholes[cell.peepholes.index(one.gate), one.units] = 0
    return made
