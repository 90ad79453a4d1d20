"""The models by torch.nn, padded or packed, on as many threads as serve it best."""

from __future__ import annotations

import time
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.models import SIZES, Array, Shape, Texts, Weights, cores, fastest, gradients, timed

Batch = tuple[Tensor, Tensor, Tensor]  # ids int32 [B, T], lengths int64 [B], targets float32 [B]


class Network(nn.Module):
    """Embedding, LSTM, all steps side by side or their maximum, one logit."""

    def __init__(self, shape: Shape, weights: Weights, packed: bool) -> None:
        super().__init__()
        self.shape, self.packed = shape, packed
        given = {name: torch.from_numpy(np.array(array)) for name, array in weights.items()}
        self.embedding = nn.Embedding.from_pretrained(given["table"], freeze=not shape.train_embedding)
        self.lstm = nn.LSTM(shape.dim, shape.hidden, batch_first=True, bidirectional=shape.bidirectional)
        self.dropout = nn.Dropout(shape.dropout)
        self.dense = nn.Linear(given["dense"].shape[1], 1)
        with torch.no_grad():
            for name, parameter in self.named().items():
                parameter.copy_(given[name])
            for suffix in shape.suffixes:
                getattr(self.lstm, "bias_hh" + suffix).zero_()

    def named(self) -> dict[str, Tensor]:
        """The weights by the bench's names."""
        named = {"table": self.embedding.weight, "dense": self.dense.weight, "dense_bias": self.dense.bias}
        for suffix in self.shape.suffixes:
            named |= {name + suffix: getattr(self.lstm, name + suffix) for name in ("weight_ih", "weight_hh")}
            named["bias" + suffix] = getattr(self.lstm, "bias_ih" + suffix)
        return named

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """ids int32 [B, T] and lengths int64 [B] → logits [B]."""
        rows, flat = self.embedding(ids), self.shape.pool == "flatten"
        if self.packed:
            steps = pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False)
            hidden, _ = pad_packed_sequence(
                self.lstm(steps)[0], batch_first=True, padding_value=0.0 if flat else -float("inf"),
                total_length=ids.shape[1],
            )  # fmt: skip
        else:
            hidden, _ = self.lstm(rows)
        return self.dense(self.dropout(hidden.flatten(1)) if flat else hidden.amax(1)).squeeze(1)


class Model:
    """A plain training loop over padded ids that lie ready."""

    def __init__(self, shape: Shape, weights: Weights, packed: bool) -> None:
        self.shape, self.padded = shape, not packed
        self.network = Network(shape, weights, packed)
        trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self.optimiser: Any = (
            torch.optim.Adam(trained, lr=1e-3, fused=True)
            if shape.optimizer == "adam"
            else torch.optim.RMSprop(trained, lr=1e-3, alpha=0.9, eps=1e-7, foreach=True)
        )
        self.size = shape.batch_size

    def results(self, texts: Texts) -> dict[str, Array]:
        """Logits and gradients without dropout."""
        self.network.eval()
        self.network.zero_grad()
        ids, lengths, targets = self._batch(texts)
        logits = self.network(ids, lengths)
        nn.functional.binary_cross_entropy_with_logits(logits, targets).backward()
        found = {n: p.grad.numpy().copy() for n, p in self.network.named().items() if p.grad is not None}
        return gradients(logits.detach().numpy(), self.shape, found, self.shape.train_embedding)

    def warm(self, texts: Texts, training: bool) -> str:
        """Choose threads, and to predict the batches' size, by these texts; says what was chosen."""
        threads = sorted({1, cores()})
        if training:
            fastest([(n, self.size) for n in threads], lambda: self.train(texts), self._use)
            return f"{torch.get_num_threads()} threads"
        sizes = SIZES if len(texts) > 1 else (1,)
        fastest(list(product(threads, sizes)), lambda: self.predict(texts), self._use)
        return f"{torch.get_num_threads()} threads, batches of {self.size}"

    def train(self, texts: Texts) -> float:
        """Seconds of one epoch."""
        ready = [self._batch(batch) for batch in texts.batches(self.shape)]
        self.network.train()
        began = time.perf_counter()
        for ids, lengths, targets in ready:
            self.optimiser.zero_grad(set_to_none=True)
            logits = self.network(ids, lengths)
            nn.functional.binary_cross_entropy_with_logits(logits, targets).backward()
            self.optimiser.step()
        return time.perf_counter() - began

    def predict(self, texts: Texts) -> tuple[float, Array]:
        """Seconds, and the probability of each text; in batches in the order given."""
        self.network.eval()
        places = [np.arange(at, min(at + self.size, len(texts))) for at in range(0, len(texts), self.size)]
        ready = [self._batch(texts.select(index)) for index in places]
        began = time.perf_counter()
        with torch.inference_mode():
            parts = [self.network(ids, lengths).sigmoid().numpy() for ids, lengths, _ in ready]
        return time.perf_counter() - began, np.concatenate(parts)

    def one(self, texts: Texts, calls: int) -> list[float]:
        """Seconds of each of so many calls for one text."""
        ids, lengths, _ = self._batch(texts)
        with torch.inference_mode():
            return timed(lambda: self.network(ids, lengths).sigmoid().numpy(), calls)

    def _batch(self, texts: Texts) -> Batch:
        padded = texts.padded(self.shape.steps if self.shape.pool == "flatten" else None)
        return torch.from_numpy(padded), torch.from_numpy(texts.lengths), torch.from_numpy(texts.targets)

    def _use(self, choice: tuple[int, int]) -> None:
        threads, self.size = choice
        torch.set_num_threads(threads)
