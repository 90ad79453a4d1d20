"""W13, a character language model's training steps: ours through its training loop, and torch.nn.LSTM."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_

from benchmarks.agreement import agree
from benchmarks.character_streams import LAYERS, Stream, TorchLanguageModel, characters, network
from benchmarks.machine import torch_threads
from benchmarks.note_ours import only_kernels
from benchmarks.note_torch import chosen_threads, fastest_threads
from benchmarks.turns import in_turns
from benchmarks.workload import Contestant, Finding, Goal, Options, Prepared, Tell, Workload
from gatelight.models.predicting import PredictingStreams
from gatelight.models.run import Run
from gatelight.models.training_config import TrainingConfig
from gatelight.nn.threads import single_threaded_torch

HIDDEN, STREAMS, STEPS = 256, 64, 128
RATE, CLIP = 2e-3, 1.0
AGREED_STREAMS, AGREED_STEPS, SAME_LOSSES = 8, 3, 1e-5
FULL, QUICK = (5, 7), (1, 2)  # steps of a turn, turns
GOAL = 1.5
TORCH = "torch.nn.LSTM"


class Ours:
    """Our loop over batches of the streams, from the first again in each turn."""

    def __init__(self, stream: Stream, streams: int) -> None:
        config = TrainingConfig(
            epochs=1, batch_size=streams, optimizer="adam", learning_rate=RATE, clip=CLIP, best_by="last"
        )
        self.model = network(stream.vocabulary_size, HIDDEN).train()
        self.run = Run(PredictingStreams(self.model, stream.ids, None, config, STEPS), config)
        self.rows = streams * STEPS

    def losses(self, count: int) -> list[float]:
        """Train on so many batches; the loss of each."""
        found, before = [], self.run.sums.losses
        with single_threaded_torch(), only_kernels():
            for index in self.run.plan()[:count]:
                self.run.train_step(index)
                found.append((self.run.sums.losses - before) / self.rows)
                before = self.run.sums.losses
        return found

    def gradients(self) -> dict[str, Tensor]:
        """Loss and gradients of the first batch, by name."""
        task = self.run.task
        outcome = task.outcome(self.run.plan()[0], torch.Generator())
        outcome.backward()
        rows, of_rows = self.run.trained.touched() or (None, None)
        table = torch.zeros_like(self.model.embedding.weight)  # type: ignore[arg-type]
        assert rows is not None
        assert of_rows is not None
        table[torch.from_numpy(rows)] = of_rows.grad
        found = {"loss": torch.tensor(outcome.loss), "d embedding": table}
        pairs = TorchLanguageModel(self.model).pairs(self.model)
        found |= {f"d {name}": p.grad for name, (_, p) in pairs.items() if p.grad is not None}
        for parameter in self.model.parameters():
            parameter.grad = None
        return found


class Theirs:
    """The same work as a plain loop: cross-entropy, backward, clipping, Adam; the state carried on."""

    def __init__(self, ours: Ours, stream: Stream, streams: int) -> None:
        self.model, self.threads = TorchLanguageModel(ours.model), 1
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimiser = torch.optim.Adam(self.trained, RATE, fused=True)
        length = (len(stream.ids) - 1) // streams
        whole = torch.from_numpy(stream.ids.astype(np.int64))
        self.given = whole[: streams * length].reshape(streams, length).T.contiguous()
        self.asked = whole[1 : streams * length + 1].reshape(streams, length).T.contiguous()

    def loss(self, batch: int, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """The mean loss of a batch, and the state after it."""
        rows = slice(batch * STEPS, (batch + 1) * STEPS)
        hidden, (h, c) = self.model.memory(self.model.embedding(self.given[rows]), state)
        scores = self.model.output(hidden.flatten(0, 1))
        return functional.cross_entropy(scores, self.asked[rows].flatten()), (h.detach(), c.detach())

    def losses(self, count: int) -> list[float]:
        """Train on so many batches; the loss of each."""
        state, found = None, []
        for batch in range(count):
            loss, state = self.loss(batch, state)
            self.optimiser.zero_grad()
            loss.backward()
            clip_grad_norm_(self.trained, CLIP)
            self.optimiser.step()
            found.append(float(loss.detach()))
        return found

    def gradients(self, ours: Ours) -> dict[str, Tensor]:
        """Loss and gradients of the first batch, by name."""
        loss, _ = self.loss(0, None)
        loss.backward()  # type: ignore[no-untyped-call]
        pairs = self.model.pairs(ours.model)
        found = {f"d {name}": p.grad.clone() for name, (p, _) in pairs.items() if p.grad is not None}
        self.optimiser.zero_grad()
        return {"loss": loss.detach(), **found}

    def turn(self, steps: int) -> None:
        """All steps of a turn."""
        with torch_threads(self.threads):
            self.losses(steps)

    def warm(self) -> None:
        """Choose torch's threads."""

        def use(threads: int) -> None:
            self.threads = threads

        def few() -> None:
            self.turn(1)

        self.threads = fastest_threads(few, use)


def prepare(steps: int) -> Prepared:
    """Both, after the same loss, gradients and losses of the first steps."""
    stream = characters(STREAMS * STEPS * steps + 1)
    ours = Ours(stream, STREAMS)
    theirs = Theirs(ours, stream, STREAMS)
    few = Ours(stream, AGREED_STREAMS), Ours(stream, AGREED_STREAMS)
    rivals = few[0], Theirs(few[0], stream, AGREED_STREAMS)
    same_start = Theirs(few[1], stream, AGREED_STREAMS)

    def arrays(found: dict[str, Tensor]) -> dict[str, np.ndarray]:
        return {name: np.atleast_1d(tensor.numpy()) for name, tensor in found.items()}

    first, second = ({"losses": np.array(rival.losses(AGREED_STEPS))} for rival in rivals)
    agreed = [
        agree("the first batch", arrays(same_start.gradients(few[1])), arrays(few[1].gradients())),
        agree(f"{AGREED_STEPS} steps of training", second, first, SAME_LOSSES),
    ]
    size, gates, rows = stream.vocabulary_size, 4 * HIDDEN, STREAMS * STEPS
    # The first layer's input product is done once for each distinct character: not counted.
    products = LAYERS * HIDDEN * gates + (LAYERS - 1) * HIDDEN * gates + HIDDEN * size
    return Prepared(
        [
            Contestant("gatelight", lambda: ours.losses(steps), lambda: ours.losses(1), ours=True),
            Contestant(
                TORCH, lambda: theirs.turn(steps), theirs.warm, setting=lambda: chosen_threads(theirs.threads)
            ),
        ],
        agreed,
        [Goal(GOAL, TORCH, (TORCH,))],
        scale=1 / steps,
        work=2.0 * 3 * rows * products * steps,
        measured="one training step: forward, backward, clipping, Adam",
        facts={"text": f"{size} characters of {stream.origin}"},
    )


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """One scene."""
    steps, turns = options.extent(FULL, QUICK)
    tell("preparing, and comparing losses and gradients")
    yield in_turns(prepare(steps), turns, options, tell)


WORKLOAD = Workload(
    "W13",
    f"training a character language model: H={HIDDEN}, {LAYERS} layers, B={STREAMS}, T={STEPS}, Adam",
    run,
)
