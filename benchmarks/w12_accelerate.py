"""W12, somebody's PyTorch models as they stand and accelerated: training steps of three kinds of model.

The same code trains both; `gatelight.accelerate` is the only difference. Knows no estimator of ours.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import gatelight
from benchmarks.agreement import agree
from benchmarks.machine import torch_threads
from benchmarks.note_torch import chosen_threads, fastest_threads
from benchmarks.turns import in_turns
from benchmarks.workload import Contestant, Finding, Goal, Options, Prepared, Tell, Workload

VOCABULARY, CLASSES, TAGS = 5_000, 4, 20
AGREED_STEPS = (50, 2)  # full, quick
SAME_LOSSES = 1e-5
GOAL = 1.0


class Classifier(nn.Module):
    """Two LSTM layers both ways over packed sequences, the last states side by side."""

    sequences, steps = 32, 100

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 128, padding_idx=0)
        self.encoder = nn.LSTM(128, 128, num_layers=2, bidirectional=True, dropout=0.3, batch_first=True)
        self.head = nn.Linear(256, CLASSES)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The loss of a class that the first id decides."""
        packed = pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.encoder(packed)
        scores = self.head(torch.cat([hidden[-2], hidden[-1]], dim=1))
        return functional.cross_entropy(scores, ids[:, 0] % CLASSES)


class Tagger(nn.Module):
    """A GRU both ways and a tag for each step."""

    sequences, steps = 32, 40

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 100)
        self.gru = nn.GRU(100, 100, bidirectional=True, batch_first=True)
        self.tag = nn.Linear(200, TAGS)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The loss of tags that each id decides, steps beyond the end left out."""
        packed = pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        steps, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=ids.shape[1])
        target = ids % TAGS
        target[torch.arange(ids.shape[1]) >= lengths[:, None]] = -100
        return functional.cross_entropy(self.tag(steps).transpose(1, 2), target)


class LanguageModel(nn.Module):
    """Two LSTM layers over full rows; input and output share a table."""

    sequences, steps = 20, 35

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 200)
        self.memory = nn.LSTM(200, 200, num_layers=2, dropout=0.2)
        self.output = nn.Linear(200, VOCABULARY)
        self.output.weight = self.embedding.weight

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """The loss of the next id."""
        steps, _ = self.memory(self.embedding(ids[:, :-1].T))
        return functional.cross_entropy(self.output(steps).flatten(0, 1), ids[:, 1:].T.flatten())


MODELS: dict[str, Any] = {"classifier": Classifier, "tagger": Tagger, "language model": LanguageModel}


class Training:
    """One model being trained on batches drawn from a seed."""

    def __init__(self, model: nn.Module, batches: int) -> None:
        self.model, self.batches, self.threads = model, batches, 1
        self.optimiser = torch.optim.Adam(model.parameters(), 1e-3)

    def losses(self, count: int) -> list[float]:
        """Train on so many batches, always the same ones."""
        torch.manual_seed(1)
        kind: Any = type(self.model)
        found = []
        for _ in range(count):
            ids = torch.randint(1, VOCABULARY, (kind.sequences, kind.steps))
            lengths = torch.randint(1, kind.steps + 1, (kind.sequences,))
            loss = self.model(ids, lengths)
            self.optimiser.zero_grad()
            loss.backward()
            self.optimiser.step()
            found.append(float(loss.detach()))
        return found

    def turn(self) -> None:
        """All batches of a turn."""
        with torch_threads(self.threads):
            self.losses(self.batches)

    def warm(self) -> None:
        """Choose torch's threads."""
        self.threads = fastest_threads(self._few, self._use)

    def contestant(self, name: str, ours: bool) -> Contestant:
        """What is timed."""
        return Contestant(name, self.turn, self.warm, ours, setting=lambda: chosen_threads(self.threads))

    def _few(self) -> None:
        with torch_threads(self.threads):
            self.losses(2)

    def _use(self, threads: int) -> None:
        self.threads = threads


def prepare(name: str, batches: int, agreed: int) -> Prepared:
    """Both, after the same losses over the first steps."""
    torch.manual_seed(0)
    plain = MODELS[name]()
    twin = copy.deepcopy(plain)
    report = gatelight.accelerate(twin)
    assert report.swapped
    assert not report.left
    rivals = Training(twin, batches), Training(plain, batches)
    first, second = ({"loss": np.array(rival.losses(agreed))} for rival in rivals)
    said = agree(f"{name}, losses of {agreed} steps", second, first, SAME_LOSSES)
    return Prepared(
        [rivals[0].contestant("accelerated", True), rivals[1].contestant("torch.nn", False)],
        [said],
        [Goal(GOAL)],
        scale=1 / batches,
        name=name,
        measured="one training step: forward, backward, Adam",
    )


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """One scene for each model."""
    batches, turns = options.extent((30, 5), (2, 2))
    agreed = AGREED_STEPS[options.quick]
    prepared: Callable[[str], Prepared] = partial(prepare, batches=batches, agreed=agreed)
    for name in MODELS:
        yield in_turns(prepared(name), turns, options, tell)


WORKLOAD = Workload("W12", "three PyTorch models, accelerated", run)
