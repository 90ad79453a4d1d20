"""A model of today, ours and torch's: trained embedding, bidirectional LSTM, max over all steps, one logit.

Both start from the same weights and train with Adam; ours through the ordinary training loop.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.machine import torch_threads
from benchmarks.note_ours import only_kernels
from benchmarks.note_torch import Batch, chosen_threads, fastest_threads
from benchmarks.note_weights import Array
from benchmarks.reviews import Reviews
from gatelight.models.classifier import Classifier
from gatelight.models.classifier_config import ClassifierConfig
from gatelight.models.training import TrainingConfig, train
from gatelight.nn.threads import available

DIM, BATCH, RATE = 300, 64, 1e-3
RECURRENT = [
    f"{name}_l0{suffix}"
    for suffix in ("", "_reverse")
    for name in ("weight_ih", "weight_hh", "bias_ih")
]  # fmt: skip


class OurBidirectional:
    """`Classifier` with pool "max" and its training loop."""

    def __init__(self, vocabulary: int, hidden: int, seed: int = 0) -> None:
        config = ClassifierConfig(
            vocabulary_size=vocabulary, dim=DIM, hidden=hidden, bidirectional=True, pool="max"
        )
        self.model = Classifier(config, seed=seed)
        self.config = TrainingConfig(
            epochs=1, batch_size=BATCH, optimizer="adam", learning_rate=RATE, bucket=True, best_by="last"
        )
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():  # with the usual start most biases are zero, and a swapped gate would not show
            for name, weight in self.memory.named_parameters():
                if name.startswith("bias_ih"):
                    weight.normal_(0, 0.3, generator=generator)
            self.model.embedding.weight[1:].normal_(0, 0.15, generator=generator)

    @property
    def memory(self) -> nn.Module:
        """The recurrent layer."""
        return self.model.memory[0]

    def results(self, reviews: Reviews) -> dict[str, Array]:
        """Logits and all gradients, the embedding's [V, D]."""
        self.model.train()
        self.model.zero_grad()
        logits = self.model(reviews.ids, reviews.lengths)[:, 0]
        _loss(logits, reviews).backward()
        touched = self.model.embedding.touched
        assert touched is not None
        table = np.zeros(tuple(self.model.embedding.weight.shape), np.float32)
        table[touched[0]] = touched[1].grad.numpy()
        return {
            "logits": logits.detach().numpy(),
            "d embedding": table,
            **{f"d {name}": self.memory.get_parameter(name).grad.numpy().copy() for name in RECURRENT},
            "d dense": self.model.head["weight"].grad.numpy().copy(),
        }

    def epoch(self, reviews: Reviews) -> None:
        """One epoch over `reviews`."""
        with only_kernels():
            train(self.model, reviews.ids, reviews.lengths, reviews.targets, config=self.config)


class TorchBidirectional(nn.Module):
    """The same in torch, over packed sequences or over all steps of a padded batch."""

    def __init__(self, ours: OurBidirectional, packed: bool) -> None:
        super().__init__()
        self.packed, self.threads = packed, available()
        source = ours.model
        self.embedding = nn.Embedding.from_pretrained(source.embedding.weight.detach().clone(), freeze=False)
        self.memory = nn.LSTM(DIM, source.config.hidden, batch_first=True, bidirectional=True)
        self.memory.load_state_dict(ours.memory.state_dict())
        self.dense = nn.Linear(2 * source.config.hidden, 1)
        self.dense.load_state_dict({name: source.head[name].detach().clone() for name in ("weight", "bias")})
        self.optimiser = torch.optim.Adam(self.parameters(), lr=RATE, fused=True)  # torch's fastest

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        """ids int32 [B, T] and lengths int64 [B] → logits [B]."""
        rows = self.embedding(ids)
        if self.packed:
            steps = pack_padded_sequence(rows, lengths, batch_first=True, enforce_sorted=False)
            hidden, _ = pad_packed_sequence(
                self.memory(steps)[0], batch_first=True, padding_value=-float("inf")
            )
        else:
            hidden, _ = self.memory(rows)
        return self.dense(hidden.amax(1)).squeeze(1)

    def results(self, reviews: Reviews) -> dict[str, Array]:
        """Logits and all gradients."""
        self.zero_grad()
        ids = torch.from_numpy(reviews.padded(int(reviews.lengths.max())))
        logits = self(ids, torch.from_numpy(reviews.lengths))
        _loss(logits, reviews).backward()
        return {
            "logits": logits.detach().numpy(),
            "d embedding": self.embedding.weight.grad.numpy(),
            **{f"d {name}": self.memory.get_parameter(name).grad.numpy() for name in RECURRENT},
            "d dense": self.dense.weight.grad.numpy(),
        }

    def steps(self, batches: Sequence[Batch]) -> None:
        """One training step for each batch."""
        with torch_threads(self.threads):
            for ids, lengths, targets in batches:
                self.optimiser.zero_grad(set_to_none=True)
                logits = self(ids, lengths)
                nn.functional.binary_cross_entropy_with_logits(logits, targets).backward()
                self.optimiser.step()

    def warm(self, batches: Sequence[Batch]) -> None:
        """Choose the threads by these batches."""
        self.threads = fastest_threads(lambda: self.steps(batches), self._use)

    def _use(self, threads: int) -> None:
        self.threads = threads

    def setting(self) -> str:
        """What `warm` chose."""
        return chosen_threads(self.threads)


def _loss(logits: Tensor, reviews: Reviews) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits, torch.from_numpy(reviews.targets))
