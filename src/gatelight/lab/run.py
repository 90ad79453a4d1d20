"""One run: a network learns one task at one length. What became of it, and what reaches back how far.

The network is one recurrent layer and one linear layer. Legend: N packed rows, D numbers of a step, H hidden
size, O outputs.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from gatelight.compiled import clock
from gatelight.lab.grammars import FARTHEST
from gatelight.lab.sequences import Drawn
from gatelight.lab.tasks import TASKS, Task
from gatelight.models.config import BOTH_BIASES, ClassifierConfig
from gatelight.models.network import recurrent_layers
from gatelight.models.optim import Optimiser
from gatelight.nn import Packing, pack
from gatelight.nn.equations import EQUATIONS
from gatelight.nn.threads import single_threaded_torch

FORGET_BIAS = 1.0
WIDEST = 512
CLIP = 1.0
STREAK = 500  # so many sequences in a row must be learnt without a mistake before the exam is tried
BETWEEN_EXAMS = 0.02  # of the budget: exams of long streams cost more than the learning between them
LOOKED_AT = 32  # sequences for gradients
EXAM = 1 << 30  # a seed apart from those of training
DISTANCES = (0, 1, 2, 3, 4, 5, 7, 10, 14, 20, 28, 40, 56, 80, 99)


def learn(versions: Any, trial: Mapping[str, Any]) -> dict[str, Any]:
    """Return what became of a trial: task, length, cell, seed, and the settings of `settings`."""
    with single_threaded_torch():
        return _learn(TASKS[trial["task"]], trial)


def settings(task: Task, length: int, cell: str, seed: int, budget: float = 1.0) -> dict[str, Any]:
    """All that a run depends on; `budget` multiplies the task's."""
    shape = task.draw(np.random.default_rng(0), length, 1)
    inputs, outputs = shape.inputs.shape[2], shape.outputs
    wanted = parameters("lstm", inputs, task.hidden, outputs)
    hidden = hidden_size(cell, inputs, outputs, wanted)
    return {
        "task": task.name, "length": length, "cell": cell, "seed": seed, "hidden": hidden,
        "parameters": parameters(cell, inputs, hidden, outputs), "rate": task.rate, "batch": task.batch,
        "budget": max(task.batch, round(task.budget * budget)),
    }  # fmt: skip


def _learn(task: Task, trial: Mapping[str, Any]) -> dict[str, Any]:
    began = clock()
    length, batch, budget = trial["length"], trial["batch"], trial["budget"]
    draw = np.random.default_rng([trial["seed"], crc32(task.name.encode()), length])
    first = task.draw(np.random.default_rng([trial["seed"], EXAM]), length, LOOKED_AT)
    network = Network(trial["cell"], first.inputs.shape[2], trial["hidden"], first.outputs, trial["seed"])
    learnt = {name: p for name, p in network.named_parameters() if p.requires_grad}
    optimiser = Optimiser("adam", learnt, clip=CLIP)
    before = gradient_by_distance(network, task.kind, first)
    seen = streak = tried = 0
    solved: int | None = None
    while seen < budget:
        part = Batch(task.draw(draw, length, batch))
        outputs = network(part.rows, part.packing)[part.learnt]
        error = loss(task.kind, outputs, part.targets)
        error.backward()  # type: ignore[no-untyped-call]
        optimiser.gradient_norm(None)
        optimiser.step(trial["rate"], None)
        seen += batch
        good = right(task.kind, outputs.detach(), part.targets, task.tolerance)
        wrong = len(np.unique(part.sequence[part.learnt.numpy()[~good]]))
        streak = streak + batch if wrong <= (1 - task.enough) * batch else 0
        if solved is None and streak >= STREAK and (not tried or seen - tried >= BETWEEN_EXAMS * budget):
            tried = seen
            if _examined(network, task, length, trial["seed"])["right"] >= task.enough:
                solved = seen
                if task.each is None:
                    break
    record = {
        "solved": solved is not None, "sequences": solved or seen,
        **_examined(network, task, length, trial["seed"]),
        "before": {"gradient": before},
        "after": {"gradient": gradient_by_distance(network, task.kind, first)},
    }  # fmt: skip
    if task.each is not None:
        record["reaches"] = _reaches(network, task)
    return {**record, "seconds": clock() - began}


def _answers(network: Network, task: Task, part: Batch, likeliest: bool = False) -> NDArray[np.bool_]:
    with torch.no_grad():
        outputs = network(part.rows, part.packing)[part.learnt]
    return right(task.kind, outputs, part.targets, None if likeliest else task.tolerance)


def _examined(network: Network, task: Task, length: int, seed: int) -> dict[str, float]:
    """Fractions of fresh sequences that are right, and of their asked steps."""
    part = Batch((task.exam or task.draw)(np.random.default_rng([seed, EXAM, length]), length, task.test))
    good = _answers(network, task, part)
    sequences = part.packing.sequences
    wrong = len(np.unique(part.sequence[part.learnt.numpy()[~good]]))
    if task.kind == "class":  # the score counts the likeliest class, however sure
        good = _answers(network, task, part, likeliest=True)
    return {"right": 1 - wrong / sequences, "score": float(good[part.asked].mean())}


def _reaches(network: Network, task: Task) -> int:
    """The largest n up to which every string is right."""
    assert task.each is not None
    part = Batch(task.each(np.random.default_rng(0), FARTHEST, FARTHEST))
    wrong = part.sequence[part.learnt.numpy()[~_answers(network, task, part)]]
    return int(wrong.min(initial=FARTHEST))


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
        steps = what.learnt.shape[1]
        self.packing = pack(what.lengths)
        self.places = self.packing.padded_rows(steps, batch_first=True)  # [N] of n × T
        self.sequence = self.places // steps
        self.rows = torch.from_numpy(self._packed(what.inputs)).to(dtype)
        self.learnt = torch.from_numpy(np.flatnonzero(self._packed(what.learnt)))
        self.asked = self._packed(what.asked)[self.learnt.numpy()]  # of the rows learnt
        targets = torch.from_numpy(self._packed(what.targets))[self.learnt]
        self.targets = targets if targets.dtype == torch.int64 else targets.to(dtype)

    def _packed(self, padded: NDArray[Any]) -> NDArray[Any]:
        return padded.reshape(-1, *padded.shape[2:])[self.places]


def loss(kind: str, outputs: Tensor, targets: Tensor) -> Tensor:
    """The mean loss of outputs [N, O]: squared error of "number", cross entropy of "class" and of "set"."""
    if kind == "number":
        return functional.mse_loss(outputs, targets)
    if kind == "class":
        return functional.cross_entropy(outputs, targets)
    return functional.binary_cross_entropy_with_logits(outputs, targets)


def right(kind: str, outputs: Tensor, targets: Tensor, tolerance: float | None) -> NDArray[np.bool_]:
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


def gradient_by_distance(network: Network, kind: str, what: Drawn) -> list[tuple[int, float]]:
    """(k, ‖∂L/∂x(t−k)‖): how much of the loss at the last asked step t reaches the input k steps before.

    The mean over the sequences of the gradient's 2-norm, in float64, so that what is small is not yet
    nothing. Distances that no sequence has are left out.
    """
    steps = np.arange(what.asked.shape[1])
    last = np.where(what.asked & (steps < what.lengths[:, None]), steps, -1).max(axis=1)
    only = steps == last[:, None]
    part = Batch(replace(what, learnt=only, asked=only), torch.float64)
    part.rows.requires_grad_(True)
    exact = copy.deepcopy(network).double()
    total = loss(kind, exact(part.rows, part.packing)[part.learnt], part.targets) * len(part.learnt)
    total.backward()  # type: ignore[no-untyped-call]
    assert part.rows.grad is not None
    norms = np.empty(only.size)
    norms[part.places] = part.rows.grad.norm(dim=1).numpy()
    found = []
    for distance in DISTANCES:
        there = np.flatnonzero(last >= distance)
        if len(there):
            at = norms.reshape(only.shape)[there, last[there] - distance]
            found.append((distance, float(at.mean())))
    return found
