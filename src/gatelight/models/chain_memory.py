"""The memory of a chain: one recurrent layer, one or both directions, steps left out by a mask as in Keras.

Runs on the kernels where its functions are theirs, else by the equations (`Memory.path`). Knows no files.
Weights have the gate order of `memory.equations`, and two bias vectors each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gatelight.models.chain_layers import Form, Layer, Shapes, Signal, Weights
from gatelight.nn import CELLS, Packing, pack
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.padding import packed_rows, padded_steps
from gatelight.nn.status import Path
from gatelight.nn.variants import GATE, STATE, run, variant, why_not_kernels

NAMES = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
MERGES = ("concat", "sum", "ave", "mul")


@dataclass(frozen=True)
class Memory(Layer):
    """Steps of rows → hidden states of all steps (`all_steps`) or the last one.

    `merge` None: one direction, and `backwards` reads from the end, its steps coming out in that order; else
    both directions, merged so. At a step that does not count the state stays; what comes out there is the
    state before it, or zeros with `zeros_where_masked`.
    """

    cell: str
    hidden: int
    gate: str = GATE
    state: str = STATE
    reset_after: bool = True
    all_steps: bool = False
    backwards: bool = False
    merge: str | None = None
    zeros_where_masked: bool = False
    kind: ClassVar[str] = "memory"

    @property
    def variant(self) -> tuple[str, str, str, bool]:
        """The cell and its functions."""
        return self.cell, self.gate, self.state, self.reset_after

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What ends the weights' names, for each direction."""
        return ("", "_reverse") if self.merge else ("",)

    def path(self) -> tuple[Path, str]:
        """Who computes it, and why."""
        reason = why_not_kernels(*self.variant)
        return ("kernels", "the functions are the kernels'") if reason is None else ("equations", reason)

    def shapes(self, form: Form) -> Shapes:
        """As torch.nn's names them, without the layer's number."""
        rows = len(EQUATIONS[self.cell].gates) * self.hidden
        shapes = ((rows, form.row), (rows, self.hidden), (rows,), (rows,))
        return {
            name + suffix: shape
            for suffix in self.suffixes
            for name, shape in zip(NAMES, shapes, strict=True)
        }

    def after(self, form: Form) -> Form:
        """`hidden` features, twice as many where directions stand side by side."""
        self.steps_needed(form)
        features = self.hidden * (2 if self.merge == "concat" else 1)
        return Form(form.steps, features) if self.all_steps else Form(None, features, False)

    def run(self, signal: Signal, weights: Weights) -> Signal:
        """Read each direction, then merge."""
        forwards = self._direction(signal, weights, "", self.backwards)
        mask = signal.mask if self.all_steps else None
        if self.merge is None:
            return Signal(forwards, mask)
        backwards = self._direction(signal, weights, "_reverse", not self.backwards)
        if self.all_steps:
            backwards = backwards.flip(1)
        match self.merge:
            case "concat":
                return Signal(torch.cat([forwards, backwards], dim=-1), mask)
            case "sum":
                return Signal(forwards + backwards, mask)
            case "ave":
                return Signal((forwards + backwards) / 2, mask)
        return Signal(forwards * backwards, mask)

    def _direction(self, signal: Signal, weights: Weights, suffix: str, backwards: bool) -> Tensor:
        """[B, T, H] in the order of reading, or [B, H]."""
        values, mask = signal.values, signal.mask
        if backwards:
            values, mask = values.flip(1), None if mask is None else mask.flip(1)
        if mask is None:
            lengths = torch.full((len(values),), values.shape[1])
        else:  # real steps first, in their order: the memory then sees no others
            lengths = mask.sum(1)
            order = torch.argsort((~mask).to(torch.int8), dim=1, stable=True)
            values = values.gather(1, order.unsqueeze(-1).expand_as(values))
        packing = pack(lengths.numpy())
        rows, last = self._read(packed_rows(values, packing, True), packing, weights, suffix)
        if not self.all_steps:
            state = last[torch.from_numpy(packing.positions)]
            return state if mask is None or not self.zeros_where_masked else state * mask[:, -1:]
        steps = padded_steps(rows, packing, values.shape[1], True)
        if mask is None:
            return steps
        # Step t shows the newest real state: that of as many real steps as there are up to t.
        place = mask.cumsum(1) - 1
        shown = mask if self.zeros_where_masked else place >= 0
        place = place.clamp(min=0).unsqueeze(-1).expand(-1, -1, self.hidden)
        return steps.gather(1, place) * shown.unsqueeze(-1)

    def _read(self, x: Tensor, packing: Packing, weights: Weights, suffix: str) -> tuple[Tensor, Tensor]:
        """Packed rows [N, D] → hidden [N, H] and last state [B, H] in packed order."""
        own = {name: weights[name + suffix] for name in NAMES}
        if self.path()[0] == "equations":
            return run(variant(*self.variant), x, packing, *own.values())
        layer = CELLS[self.cell](x.shape[1], self.hidden, device="meta")
        layer.load_state_dict({f"{name}_l0": tensor for name, tensor in own.items()}, assign=True)
        hidden, state = layer.packed(x, packing)
        return hidden, (state[0] if isinstance(state, tuple) else state)[0]
