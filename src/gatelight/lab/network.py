"""One memory and one linear layer above it, over packed rows: what every task is learnt with.

Knows outputs and targets, no task. Legend: N packed rows, D numbers of a step, H hidden size, O outputs.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from gatelight.lab.drawing import Drawn
from gatelight.models.classifier import recurrent_layers
from gatelight.models.classifier_config import BOTH_BIASES, ClassifierConfig
from gatelight.nn import Packing, pack
from gatelight.nn.equations import EQUATIONS

FORGET_BIAS = 1.0
WIDEST = 512


def parameters(cell: str, inputs: int, hidden: int, outputs: int) -> int:
    """How many numbers a network of this cell learns."""
    equation = EQUATIONS[cell]
    gates = len(equation.gates)
    biases = gates * (2 if cell in BOTH_BIASES else 1)
    memory = hidden * (gates * (inputs + hidden) + biases + len(equation.peepholes))
    return memory + outputs * (hidden + 1)


def hidden_size(cell: str, inputs: int, outputs: int, wanted: int) -> int:
    """The H with which a cell's number of parameters comes nearest to `wanted`."""
    return min(range(1, WIDEST), key=lambda hidden: abs(parameters(cell, inputs, hidden, outputs) - wanted))


class Network(nn.Module):
    """Reads packed rows [N, D] and answers at every step, [N, O]."""

    def __init__(self, cell: str, inputs: int, hidden: int, outputs: int, seed: int) -> None:
        """Weights uniform in ±1/√H as torch's, biases and peepholes zero, forget gates' bias 1."""
        super().__init__()
        self.cell = cell
        (memory,) = recurrent_layers(
            ClassifierConfig(vocabulary_size=2, dim=inputs, cell=cell, hidden=hidden)
        )
        self.memory, self.head = memory, nn.Linear(hidden, outputs)
        generator, bound = torch.Generator().manual_seed(seed), 1 / math.sqrt(hidden)
        gates = EQUATIONS[cell].gates
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                parameter.zero_()
                if "weight" in name and "peephole" not in name:
                    parameter.uniform_(-bound, bound, generator=generator)
                elif "bias_ih" in name and "forget_gate" in gates:
                    parameter.view(len(gates), -1)[gates.index("forget_gate")] = FORGET_BIAS

    def forward(self, rows: Tensor, packing: Packing) -> Tensor:
        """Packed rows [N, D] → outputs [N, O]."""
        hidden, _ = self.memory.packed(rows, packing)  # type: ignore[operator]
        return self.head(hidden)  # type: ignore[no-any-return]


class Batch:
    """What was drawn, as tensors in packed order."""

    def __init__(self, what: Drawn, dtype: torch.dtype = torch.float32) -> None:
        self.packing = pack(what.lengths)
        order = self.packing.sequence_rows
        self.rows = torch.from_numpy(what.inputs[order]).to(dtype)
        self.sequence = np.repeat(np.arange(len(what.lengths)), what.lengths)[order]
        self.learnt = torch.from_numpy(np.flatnonzero(what.learnt[order]))
        self.asked = what.asked[order][self.learnt.numpy()]  # of the rows learnt
        targets = torch.from_numpy(what.targets[order])[self.learnt]
        self.targets = targets if targets.dtype == torch.int64 else targets.to(dtype)


def loss(kind: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean loss of outputs [N, O]: squared error of "number", cross entropy of "class" and of "set"."""
    if kind == "number":
        return functional.mse_loss(outputs, targets)
    if kind == "class":
        return functional.cross_entropy(outputs, targets)
    return functional.binary_cross_entropy_with_logits(outputs, targets)


def right(
    kind: str, outputs: Tensor, targets: Tensor, tolerance: float | None
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Which of the outputs [N, O] are right, bool [N], by `Task`'s rule.

    Of classes without a tolerance the likeliest counts, however sure.
    """
    if tolerance is None:
        good = outputs.argmax(1) == targets
    elif kind == "number":
        good = ((outputs - targets).abs() < tolerance).all(1)
    elif kind == "class":
        chosen = torch.softmax(outputs, 1).gather(1, targets[:, None])[:, 0]
        good = chosen > 1 - tolerance
    else:
        good = ((outputs > 0) == (targets > 0.5)).all(1)
    return np.asarray(good.numpy())
