"""Learning what comes next: a language model on streams or documents of ids, as the task of a training run.

A stream is cut into B equal parts that are read side by side, T steps at a time; the state at the end of a
batch begins the next one (truncated backpropagation through time), and gradients stop between the two.
Documents begin with the zero state each. Knows ids only: nothing of texts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatelight.errors import DataError
from gatelight.models.batches import Sequences, plan_batches
from gatelight.models.language_model import LanguageModel
from gatelight.models.losses import softmax_losses
from gatelight.models.network import evaluating
from gatelight.models.process_group import process_group
from gatelight.models.task import Outcome, Task
from gatelight.models.training_config import TrainingConfig
from gatelight.nn import pack

Ids = NDArray[np.int32]
SCORED_STEPS = 256  # at a time: bounds the memory of an evaluation
SCORED_STREAMS, SCORED_LEAST = 16, 4096  # parts of a stream side by side, and the ids that each must have


class PredictingStreams(Task):
    """Next ids of one stream int32 [N], B = config.batch_size parts side by side.

    A batch is (first step, end) of every part.
    """

    model: LanguageModel

    def __init__(
        self, model: LanguageModel, stream: Ids, valid: Ids | None, config: TrainingConfig, steps: int
    ) -> None:
        """Raises DataError for a stream too short for B parts of two ids."""
        self.model, self.stream, self.valid, self.steps = model, stream, valid, steps
        self.streams, self.group = config.batch_size, process_group()
        self.length = (len(stream) - 1) // self.streams
        if self.length < 1:
            raise DataError(
                f"{len(stream)} tokens are too few for {self.streams} streams side by side; give more text, "
                "or a smaller batch_size"
            )
        self.steps_per_epoch = -(-self.length // steps)
        self.validates = valid is not None
        self._next = model.initial(self.streams)
        self._kept = {
            f"{place}/{part}": torch.zeros_like(tensor)
            for place, layer in enumerate(self._next)
            for part, tensor in enumerate(layer)
        }

    def settings(self) -> dict[str, Any]:
        """The model's configuration, and the number of steps between two updates."""
        return {**self.model.config.to_dict(), "steps": self.steps}

    def plan(self, epoch: int) -> list[NDArray[np.int64]]:
        """The parts' steps from first to last, the same in every epoch."""
        begins = range(0, self.length, self.steps)
        return [np.array([begin, min(begin + self.steps, self.length)]) for begin in begins]

    def outcome(self, index: NDArray[np.int64], generator: torch.Generator) -> Outcome:
        """Read steps index[0] to index[1] of every part, from where the batch before ended."""
        begin, end = index.tolist()
        packing = pack(np.full(self.streams, end - begin)).part(*self.group.part)
        places = packing.order * self.length + np.arange(begin, end)[:, None]  # [T, B], as packed
        rows = places.ravel()
        before = self._before(begin)
        hidden, after = self.model.hidden(self.stream[rows], packing, before, generator)
        self._next = [tuple(part.detach() for part in layer) for layer in after]
        targets = torch.from_numpy(self.stream[rows + 1].astype(np.int64))
        loss, right = self.model.loss(hidden, targets, generator)
        return Outcome(loss, len(rows), len(rows), right)

    def _before(self, begin: int) -> list[tuple[Tensor, ...]]:
        own = slice(self.group.rank, None, self.group.size)
        state = self.model.initial(self.streams)
        if begin:
            state = [
                tuple(self._kept[f"{place}/{part}"].clone() for part in range(len(layer)))
                for place, layer in enumerate(state)
            ]
        return [tuple(part[:, own].contiguous() for part in layer) for layer in state]

    def after_step(self) -> None:
        """Keep the state that the last batch ended in."""
        for place, layer in enumerate(self._next):
            for part, tensor in enumerate(layer):
                of_all = self.group.joined(tensor.transpose(0, 1).contiguous().numpy())
                self._kept[f"{place}/{part}"].copy_(torch.from_numpy(of_all).transpose(0, 1))

    def state(self) -> dict[str, Tensor]:
        """The state of every layer."""
        return self._kept

    def validate(self) -> tuple[float, float]:
        """Mean negative log-likelihood in nats, and the fraction of ids that were the likeliest."""
        assert self.valid is not None
        loss, right = score_stream(self.model, self.valid)
        return loss / (len(self.valid) - 1), right / (len(self.valid) - 1)

    def arrays(self) -> list[NDArray[Any] | Tensor | None]:
        """Both streams."""
        return [self.stream, self.valid]


class PredictingDocuments(Task):
    """Next ids within documents, each from the zero state. Batches are numbers of documents."""

    model: LanguageModel

    def __init__(
        self,
        model: LanguageModel,
        documents: Sequences,
        valid: Sequences | None,
        config: TrainingConfig,
    ) -> None:
        """Raises DataError where a document has no two ids."""
        if not len(documents) or documents.lengths.min() < 2:
            raise DataError("a document needs two ids or more, of which the first is given")
        self.model, self.documents, self.valid, self.config = model, documents, valid, config
        self.group = process_group()
        self.steps_per_epoch = -(-len(documents) // config.batch_size)
        self.validates = valid is not None

    def settings(self) -> dict[str, Any]:
        """The model's configuration."""
        return {**self.model.config.to_dict(), "steps": None}

    def plan(self, epoch: int) -> list[NDArray[np.int64]]:
        """Documents shuffled into batches of like length."""
        config = self.config
        return plan_batches(
            self.documents.lengths, config.batch_size, seed=config.seed, epoch=epoch, bucket=config.bucket
        )

    def outcome(self, index: NDArray[np.int64], generator: torch.Generator) -> Outcome:
        """Read the documents numbered `index`."""
        packing = pack(self.documents.lengths[index] - 1).part(*self.group.part)
        ids, starts = self.documents.ids, self.documents.starts[index[packing.order]]
        hidden, _ = self.model.hidden(packing.gathered(ids, starts), packing, None, generator)
        targets = torch.from_numpy(packing.gathered(ids, starts + 1).astype(np.int64))
        loss, right = self.model.loss(hidden, targets, generator)
        return Outcome(loss, len(targets), len(targets), right)

    def validate(self) -> tuple[float, float]:
        """Mean negative log-likelihood in nats, and the fraction of ids that were the likeliest."""
        assert self.valid is not None
        nats, right = score_documents(self.model, self.valid)
        count = int(self.valid.lengths.sum()) - len(self.valid)
        return float(nats.sum()) / count, right / count

    def arrays(self) -> list[NDArray[Any] | Tensor | None]:
        """The documents, and those to validate on."""
        valid: list[Any] = [] if self.valid is None else [self.valid.ids, self.valid.lengths]
        return [self.documents.ids, self.documents.lengths, *valid]


def score_stream(model: LanguageModel, stream: Ids) -> tuple[float, int]:
    """Nats of stream[1:], each id given what precedes it, and how many of them were likeliest.

    A long stream is scored in parts side by side, each from the zero state, which costs a little likelihood
    at each part's beginning and never flatters.
    """
    asked = len(stream) - 1
    parts = max(1, min(SCORED_STREAMS, asked // SCORED_LEAST))
    cuts = np.linspace(0, asked, parts + 1).astype(np.int64)
    nats, right = _score_parts(model, stream, cuts[:-1], np.diff(cuts))
    return float(nats.sum()), right


def score_documents(model: LanguageModel, documents: Sequences) -> tuple[NDArray[np.float64], int]:
    """Nats [B] of what follows the first id of each document, and how many ids were likeliest."""
    nats, right = np.zeros(len(documents)), 0
    order = np.argsort(-documents.lengths, kind="stable")
    for begin in range(0, len(order), SCORED_STREAMS):
        batch = order[begin : begin + SCORED_STREAMS]
        lengths = np.maximum(documents.lengths[batch] - 1, 0)
        nats[batch], hits = _score_parts(model, documents.ids, documents.starts[batch], lengths)
        right += hits
    return nats, right


def _score_parts(
    model: LanguageModel, ids: Ids, starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> tuple[NDArray[np.float64], int]:
    order = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]  # as they are packed, so the state needs no sorting
    total, right, state = np.zeros(len(lengths)), 0, model.initial(len(lengths))
    with evaluating(model):
        for begin in range(0, int(lengths.max(initial=0)), SCORED_STEPS):
            packing = pack(np.clip(lengths - begin, 0, SCORED_STEPS))
            step = np.repeat(np.arange(packing.steps), packing.alive)
            part = np.arange(packing.rows) - packing.first[step]
            places = starts[part] + begin + step
            hidden, state = model.hidden(ids[places], packing, state)
            targets = torch.from_numpy(ids[places + 1].astype(np.int64))
            nats, hits = softmax_losses(model.scores(hidden), targets)
            total[order] += np.bincount(part, nats.double().numpy(), len(lengths))
            right += hits
    return total, right
