"""Three small PyTorch models as people write them: a classifier, a tagger and a language model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

VOCABULARY, CLASSES, TAGS = 10, 3, 4


class SentenceClassifier(nn.Module):
    """Embedding, two LSTM layers both ways with dropout, the last states side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 12, padding_idx=0)
        self.encoder = nn.LSTM(12, 16, num_layers=2, bidirectional=True, dropout=0.3, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(32, CLASSES))

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        _, (hidden, _) = self.encoder(packed)
        return self.head(torch.cat([hidden[-2], hidden[-1]], dim=1))


class Tagger(nn.Module):
    """A tag for each step, from a GRU both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 10)
        self.gru = nn.GRU(10, 14, bidirectional=True, batch_first=True)
        self.tag = nn.Linear(28, TAGS)

    def forward(self, ids: Tensor, lengths: Tensor) -> Tensor:
        packed = pack_padded_sequence(self.embedding(ids), lengths, batch_first=True, enforce_sorted=False)
        steps, _ = pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=ids.shape[1])
        return self.tag(steps)


class LanguageModel(nn.Module):
    """The next id from a memory whose state goes on from batch to batch; input and output share a table."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, 16)
        self.layers = nn.ModuleList([nn.LSTM(16, 16), nn.RNN(16, 16)])
        self.output = nn.Linear(16, VOCABULARY)
        self.output.weight = self.embedding.weight

    def forward(self, ids: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        x, ends = self.embedding(ids.T), []
        for layer, begin in zip(self.layers, state or [None, None], strict=True):
            x, end = layer(x, begin)
            ends.append(end)
        return self.output(x), ends


Step = Callable[[nn.Module, Tensor, Tensor, Any], tuple[Tensor, Any]]


def classify(model: nn.Module, ids: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor, Any]:
    """The loss of a class that the first id decides."""
    return functional.cross_entropy(model(ids, lengths), ids[:, 0] % CLASSES), None


def tag(model: nn.Module, ids: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor, Any]:
    """The loss of tags that each id decides, steps beyond the end left out."""
    target = ids % TAGS
    target[torch.arange(ids.shape[1]) >= lengths[:, None]] = -100
    return functional.cross_entropy(model(ids, lengths).transpose(1, 2), target), None


def continue_text(model: nn.Module, ids: Tensor, lengths: Tensor, state: Any) -> tuple[Tensor, Any]:
    """The loss of the next id; the state is carried on without its gradient."""
    scores, ends = model(ids[:, :-1], state)
    loss = functional.cross_entropy(scores.flatten(0, 1), ids[:, 1:].T.flatten())
    carried = [tuple(p.detach() for p in end) if isinstance(end, tuple) else end.detach() for end in ends]
    return loss, carried


MODELS: dict[str, tuple[Callable[[], nn.Module], Step]] = {
    "classifier": (SentenceClassifier, classify),
    "tagger": (Tagger, tag),
    "language model": (LanguageModel, continue_text),
}


def losses(model: nn.Module, step: Step, steps: int = 50) -> list[float]:
    """Train on random ids of unequal lengths, from fixed seeds, and return each step's loss."""
    torch.manual_seed(1)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    found, state = [], None
    for _ in range(steps):
        ids, lengths = torch.randint(1, VOCABULARY, (6, 9)), torch.randint(1, 10, (6,))
        ids[torch.arange(9) >= lengths[:, None]] = 0
        loss, state = step(model, ids, lengths, state)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        found.append(float(loss.detach()))
    return found
