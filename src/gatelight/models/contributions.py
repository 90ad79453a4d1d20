"""How much each step of a sequence contributed to a class's log odds; knows ids, rows and masks, no text.

Legend: T steps, D embedding size, F features of a hidden row, K masks, P points, O outputs.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gatelight.models.batches import packed
from gatelight.models.classifier import Classifier
from gatelight.models.config import ClassifierConfig
from gatelight.models.heads import HEADS, Rows, contributions
from gatelight.models.network import evaluating
from gatelight.models.subwords import Subwords
from gatelight.nn import Packing, pack

ROWS = 1 << 14  # steps at a time: with the gates that a gradient needs some 10 kB each

Ids = NDArray[np.int32]
Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Beside:
    """What joins a model's logits l to those of a whole: scale · l + start [O] + the sum of parts [m, O]."""

    scale: float
    start: Floats
    parts: Floats

    @classmethod
    def nothing(cls, config: ClassifierConfig) -> Beside:
        """Return what leaves the logits of such a model as they are."""
        return cls(1.0, np.zeros(config.outputs), np.zeros((0, config.outputs)))

    def at(self, points: Floats) -> Tensor:
        """What is added to scaled logits [P, O] where the parts have points [P] of their size."""
        return torch.from_numpy(self.start + points[:, None] * self.parts.sum(axis=0))


def log_odds(logits: Tensor, target: int, config: ClassifierConfig) -> Tensor:
    """logits [B, O] → log(p / (1 − p)) [B] of class `target`, in nats."""
    if config.outputs == 1 and not config.multilabel:
        return logits[:, 0] if target else -logits[:, 0]
    if config.multilabel:
        return logits[:, target]
    others = torch.cat([logits[:, :target], logits[:, target + 1 :]], dim=1)
    return logits[:, target] - torch.logsumexp(others, dim=1)


def masked_log_odds(
    model: Classifier,
    ids: Ids,
    kept: NDArray[np.bool_],
    target: int,
    subwords: Subwords | None = None,
    beside: Beside | None = None,
) -> Floats:
    """Log odds of `target` [K] of what masks kept [K, T] leave of ids [T]: the rest is deleted.

    All that stands beside stays.
    """
    beside = beside or Beside.nothing(model.config)
    added = beside.at(np.ones(1))
    out = np.empty(len(kept))
    lengths = kept.sum(axis=1)
    order = np.argsort(-lengths, kind="stable")
    begin = 0
    with evaluating(model):
        while begin < len(order):
            batch = order[begin : begin + max(1, ROWS // max(int(lengths[order[begin]]), 1))]
            begin += len(batch)
            chosen = kept[batch]
            flat = np.broadcast_to(ids, chosen.shape)[chosen]
            logits = model(flat, lengths[batch], subwords=subwords)
            out[batch] = log_odds(beside.scale * logits.double() + added, target, model.config).numpy()
    return out


def path_gradients(
    model: Classifier,
    ids: Ids,
    target: int,
    points: Floats,
    subwords: Subwords | None = None,
    beside: Beside | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32], Floats, float]:
    """The rows [T, D] as which ids are read, the mean gradient [T, D] at point · rows, the score at 0 · rows.

    The gradient is that of the log odds of `target` with respect to the rows, which is what integrated
    gradients and gradient × input need; the third is that with respect to what is added [O], whose parts grow
    from nothing as the rows do. At 0 all rows are zero, as PAD's is.
    """
    beside = beside or Beside.nothing(model.config)
    with evaluating(model):
        table, number = model.embedding(ids, None, subwords)
        rows = table[torch.from_numpy(number)]
    # Without gradients of the weights, which nobody asks for.
    still = model.with_parts(memory=copy.deepcopy(model.memory).requires_grad_(False)).eval()
    total = torch.zeros(rows.shape, dtype=torch.float64)
    of_added = np.zeros(model.config.outputs)

    def score(rows: Tensor, packing: Packing, added: Tensor) -> Tensor:
        hidden, _ = still.recurrent(rows, packing)
        logits = beside.scale * still.logits(hidden, packing).double() + added
        return log_odds(logits, target, model.config)

    at_once = max(1, ROWS // max(len(ids), 1))
    for begin in range(0, len(points), at_once):
        some = points[begin : begin + at_once]
        packing = pack(np.full(len(some), len(ids)))
        # Sequences of one length are packed step by step: [T, P, D].
        scaled = (rows[:, None] * torch.from_numpy(some).to(rows.dtype)[None, :, None]).requires_grad_()
        added = beside.at(some).requires_grad_()
        with torch.enable_grad():
            found = score(scaled.flatten(0, 1), packing, added).sum()
            gradients = torch.autograd.grad(found, [scaled, added], materialize_grads=True)
        total += gradients[0].double().sum(dim=1)
        of_added += gradients[1].sum(dim=0).numpy()
    with torch.no_grad():
        start = score(torch.zeros_like(rows), pack([len(ids)]), beside.at(np.zeros(1)))
    n = len(points)
    return rows.numpy(), (total / n).float().numpy(), of_added / n, float(start)


def pooled_contributions(
    model: Classifier, ids: Ids, target: int, subwords: Subwords | None = None
) -> tuple[Floats, float]:
    """What each step's hidden row adds to the score, exactly: [T], and the bias's part.

    The score is the logit of `target` (of two classes the log odds), less, where there are more classes, the
    mean of the others' logits: that is linear in the pooled row, so nothing is left over.
    """
    config = model.config
    with evaluating(model):
        flat, packing = packed(ids, np.array([len(ids)]))
        rows, _ = model.hidden(flat, packing, subwords=subwords)
        head = {name: weight.detach().double().numpy() for name, weight in model.head.items()}
    chosen = choice(target, config)
    flatten = HEADS[config.pool].gives_logits
    weight = chosen if flatten else chosen @ head["weight"]
    read = Rows(rows.double().numpy(), packing, head, config.directions)
    return contributions(config.pool, weight[None], read), float(chosen @ head["bias"])


def choice(target: int, config: ClassifierConfig) -> Floats:
    """The combination [O] of outputs that is the score."""
    if config.outputs == 1 and not config.multilabel:
        return np.array([1.0 if target else -1.0])
    one: Floats = np.eye(config.outputs)[target]
    return one if config.multilabel else one - (1 - one) / (config.outputs - 1)
