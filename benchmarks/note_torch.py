"""A model of the note with torch.nn.LSTM, padded or packed, on as many threads as serve it best."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.machine import torch_threads
from benchmarks.note_weights import Array, NoteWeights, results
from benchmarks.reviews import Reviews
from gatelight.nn.threads import available

ROUNDS, LONG, FAR_SLOWER = 3, 0.25, 3.0  # most rounds; seconds and factor beyond which the first decides
Batch = tuple[Tensor, Tensor, Tensor]  # ids int32 [B, T], lengths int64 [B], targets float32 [B]


class FlattenedLSTM(nn.Module):
    """Frozen rows, LSTM, all its steps side by side, one logit."""

    def __init__(self, weights: NoteWeights, packed: bool, dropout: float) -> None:
        super().__init__()
        self.packed, self.steps = packed, weights.steps
        self.embedding = nn.Embedding.from_pretrained(torch.from_numpy(weights.table), freeze=True)
        self.memory = nn.LSTM(weights.table.shape[1], weights.hidden, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(len(weights.dense), 1)
        with torch.no_grad():
            self.memory.weight_ih_l0.copy_(torch.from_numpy(weights.weight_ih))
            self.memory.weight_hh_l0.copy_(torch.from_numpy(weights.weight_hh))
            self.memory.bias_ih_l0.copy_(torch.from_numpy(weights.bias))
            self.memory.bias_hh_l0.zero_()
            self.dense.weight.copy_(torch.from_numpy(weights.dense)[None])
            self.dense.bias.copy_(torch.from_numpy(weights.dense_bias))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """ids int32 [B, T] and lengths int64 [B] → logits [B]."""
        rows = self.embedding(ids)
        if self.packed:
            steps, _ = self.memory(
                pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False)
            )
            hidden, _ = pad_packed_sequence(steps, batch_first=True, total_length=self.steps)
        else:
            hidden, _ = self.memory(rows)
        return self.dense(self.dropout(hidden.flatten(1))).squeeze(1)


class TorchNote:
    """The model, its optimiser and a plain training loop over padded ids that lie ready."""

    def __init__(self, weights: NoteWeights, packed: bool, dropout: float) -> None:
        self.model = FlattenedLSTM(weights, packed, dropout)
        self.loss = nn.BCEWithLogitsLoss()
        trained = [p for p in self.model.parameters() if p.requires_grad]
        # The numbers are Keras's and ours; one call for all parameters is torch's fast way.
        self.optimiser = torch.optim.RMSprop(trained, lr=1e-3, alpha=0.9, eps=1e-7, foreach=True)
        self.threads = available()

    def results(self, reviews: Reviews) -> dict[str, Array]:
        """Logits and gradients without dropout."""
        self.model.eval()
        self.model.zero_grad()
        logits = self.model(*_tensors(reviews, self.model.steps))
        self.loss(logits, torch.from_numpy(reviews.targets)).backward()
        memory, dense = self.model.memory, self.model.dense
        parameters = [memory.weight_ih_l0, memory.weight_hh_l0, memory.bias_ih_l0, dense.weight, dense.bias]
        return results(logits.detach().numpy(), *(p.grad.numpy().copy() for p in parameters))

    def warm(self, work: Callable[[], object]) -> None:
        """Do `work` on one thread and on all, and keep what was faster."""
        self.threads = fastest_threads(work, self._use)

    def _use(self, threads: int) -> None:
        self.threads = threads

    def setting(self) -> str:
        """What `warm` chose."""
        return chosen_threads(self.threads)

    def train(self, batches: Sequence[Batch]) -> None:
        """One step for each batch."""
        self.model.train()
        with torch_threads(self.threads):
            for ids, lengths, targets in batches:
                self.optimiser.zero_grad(set_to_none=True)
                self.loss(self.model(ids, lengths), targets).backward()
                self.optimiser.step()

    def predict(self, batches: Sequence[Batch]) -> Array:
        """Probabilities [B] of all batches, one after the other."""
        self.model.eval()
        with torch_threads(self.threads), torch.inference_mode():
            return np.concatenate([self.model(ids, lengths).sigmoid().numpy() for ids, lengths, _ in batches])


def batches(reviews: Reviews, plan: list[NDArray[np.int64]], steps: int) -> list[Batch]:
    """Batches of padded ids, lengths and targets, made before the clock starts."""
    ids, lengths = _tensors(reviews, steps)
    targets = torch.from_numpy(reviews.targets)
    return [(ids[index], lengths[index], targets[index]) for index in plan]


def fastest_threads(work: Callable[[], object], use: Callable[[int], object]) -> int:
    """1 or all: run `work` on each, again and again unless it takes long, and return what was faster.

    Steps of 32 rows are so small that threads which wait for each other may cost more than they bring.
    """
    choices = sorted({1, available()})
    took: dict[int, float] = {}
    for _ in range(ROUNDS):
        for threads in choices:
            use(threads)
            began = time.perf_counter()
            work()
            seconds = time.perf_counter() - began
            took[threads] = min(took.get(threads, seconds), seconds)
        # Of a short run the first may have been disturbed, or compiled something.
        least, most = min(took.values()), max(took.values())
        if least > LONG or most > max(LONG, FAR_SLOWER * least):
            break
    return min(choices, key=lambda threads: took[threads])


def chosen_threads(threads: int) -> str:
    """What `fastest_threads` chose, in words."""
    return f"{threads} of {available()} threads, the faster choice"


def _tensors(reviews: Reviews, steps: int) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(reviews.padded(steps)), torch.from_numpy(reviews.lengths)
