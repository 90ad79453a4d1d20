"""Who computes a layer step by step of autograd: the operators of the kernels, or the equations."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from gatelight.nn import operators, reference
from gatelight.nn.padding import AnyPacking
from gatelight.nn.status import Path


class Arithmetic(Protocol):
    """What `operators` and `reference` both offer."""

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return x weightᵀ + bias: x [N, D], weight [dirs·G, D], bias [dirs·G] → [N, dirs·G]."""

    def recurrence(
        self,
        cell: str,
        table: Tensor,
        token: Tensor | None,
        packing: AnyPacking,
        weight_hh: Tensor,
        bias_hh: Tensor,
        peephole: Tensor | None,
        h_0: Tensor | None,
        c_0: Tensor | None,
        trace: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Return hidden, h_n, c_n, gates and cell states of one layer, as `operators.recurrence` says."""


def arithmetic_of(path: Path) -> Arithmetic:
    """Return what computes on this path; torch's kernels offer none of it."""
    return operators if path == "kernels" else reference
