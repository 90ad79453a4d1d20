"""One run: a network learns one task at one length, and what came of it is told; knows no folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from zlib import crc32

import numpy as np
import torch

from gatelight.compiled import clock, seconds_compiling
from gatelight.lab.fading import gradient_by_distance, half_lives
from gatelight.lab.network import Batch, Network, hidden_size, loss, parameters, right
from gatelight.lab.tasks import TASKS, Task
from gatelight.models.optimisers import Optimiser
from gatelight.nn.threads import single_threaded_torch

CLIP = 1.0
STREAK = 500  # so many sequences in a row must be learnt without a mistake before the exam is tried
BETWEEN_EXAMS = 0.02  # of the budget: exams of long streams cost more than the learning between them
LOOKED_AT = 32  # sequences for gradients and half-lives
EXAM = 1 << 30  # a seed apart from those of training


def learn(versions: Any, trial: Mapping[str, Any]) -> dict[str, Any]:
    """Return what became of a trial: task, length, cell, seed, and the settings of `settings`."""
    with single_threaded_torch():
        return _learn(TASKS[trial["task"]], trial)


def settings(task: Task, length: int, cell: str, seed: int, budget: float = 1.0) -> dict[str, Any]:
    """All that a run depends on; `budget` multiplies the task's."""
    shape = task.draw(np.random.default_rng(0), length, 1)
    inputs, outputs = shape.inputs.shape[1], shape.outputs
    wanted = parameters("lstm", inputs, task.hidden, outputs)
    hidden = hidden_size(cell, inputs, outputs, wanted)
    return {
        "task": task.name, "length": length, "cell": cell, "seed": seed, "hidden": hidden,
        "parameters": parameters(cell, inputs, hidden, outputs), "rate": task.rate, "batch": task.batch,
        "budget": max(task.batch, round(task.budget * budget)),
    }  # fmt: skip


def _learn(task: Task, trial: Mapping[str, Any]) -> dict[str, Any]:
    began, worked, compiled = clock(), time.process_time(), seconds_compiling()
    length, batch, budget = trial["length"], trial["batch"], trial["budget"]
    draw = np.random.default_rng([trial["seed"], crc32(task.name.encode()), length])
    first = task.draw(np.random.default_rng([trial["seed"], EXAM]), length, LOOKED_AT)
    network = Network(trial["cell"], first.inputs.shape[1], trial["hidden"], first.outputs, trial["seed"])
    learnt = {name: p for name, p in network.named_parameters() if p.requires_grad}
    optimiser = Optimiser("adam", learnt, clip=CLIP)
    before = _looked_into(network, task, first)
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
        "before": before, "after": _looked_into(network, task, first),
    }  # fmt: skip
    if task.each is not None:
        record["reaches"] = _reaches(network, task)
    compiled = seconds_compiling() - compiled  # is done by one thread
    spent = {
        "seconds": clock() - began,
        "processor_seconds": max(0.0, time.process_time() - worked - compiled),
    }
    return record | spent


def _answers(network: Network, task: Task, part: Batch, likeliest: bool = False) -> Any:
    with torch.no_grad():
        outputs = network(part.rows, part.packing)[part.learnt]
    return right(task.kind, outputs, part.targets, None if likeliest else task.tolerance)


def _examined(network: Network, task: Task, length: int, seed: int) -> dict[str, float]:
    """Shares of fresh sequences that are right, and of their asked steps."""
    part = Batch((task.exam or task.draw)(np.random.default_rng([seed, EXAM, length]), length, task.test))
    good = _answers(network, task, part)
    sequences = part.packing.sequences
    wrong = len(np.unique(part.sequence[part.learnt.numpy()[~good]]))
    if task.kind == "class":  # the score counts the likeliest class, however sure
        good = _answers(network, task, part, likeliest=True)
    return {"right": 1 - wrong / sequences, "score": float(good[part.asked].mean())}


def _reaches(network: Network, task: Task) -> int:
    """The largest n up to which every string is right."""
    from gatelight.lab.languages import FARTHEST

    assert task.each is not None
    part = Batch(task.each(np.random.default_rng(0), FARTHEST, FARTHEST))
    wrong = part.sequence[part.learnt.numpy()[~_answers(network, task, part)]]
    return int(wrong.min(initial=FARTHEST))


def _looked_into(network: Network, task: Task, first: Any) -> dict[str, Any]:
    return {
        "gradient": gradient_by_distance(network, task.kind, first),
        "half_lives": half_lives(network, Batch(first)),
    }
