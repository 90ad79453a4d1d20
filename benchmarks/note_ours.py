"""A model of the note as gatelight's user trains it: the preset's own settings, through `train`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from benchmarks.note_models import NoteModel
from benchmarks.note_weights import Array, NoteWeights, results
from benchmarks.reviews import Reviews
from gatelight.estimators.settings import classifier_config, preset, training_config
from gatelight.models.classifier import Classifier
from gatelight.models.prediction import Predictor
from gatelight.models.training import train
from gatelight.nn.status import calls

SETTINGS = "note-400"


class OurNote:
    """`TextClassifier.from_preset("note-400", …)` from ids on: the same settings by the same functions."""

    def __init__(self, note: NoteModel, weights: NoteWeights) -> None:
        settings = {**preset(SETTINGS), **note.settings()}
        vocabulary = len(weights.table)
        self.model = Classifier(classifier_config(settings, vocabulary), weights.table)
        self.config = training_config(settings)
        self.memory, self.head = self.model.memory[0], self.model.head
        with torch.no_grad():
            self.memory.weight_ih_l0.copy_(torch.from_numpy(weights.weight_ih))
            self.memory.weight_hh_l0.copy_(torch.from_numpy(weights.weight_hh))
            self.memory.bias_ih_l0.copy_(torch.from_numpy(weights.bias))
            self.head["weight"].copy_(torch.from_numpy(weights.dense)[None])
            self.head["bias"].copy_(torch.from_numpy(weights.dense_bias))

    def results(self, reviews: Reviews) -> dict[str, Array]:
        """Logits and gradients without dropout, by the path that training takes."""
        self.model.eval()
        self.model.zero_grad()
        logits = self.model(reviews.ids, reviews.lengths)
        targets = torch.from_numpy(reviews.targets)
        torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], targets).backward()
        gradients = [
            self.memory.weight_ih_l0.grad, self.memory.weight_hh_l0.grad, self.memory.bias_ih_l0.grad,
            self.head["weight"].grad, self.head["bias"].grad,
        ]  # fmt: skip
        return results(logits.detach().numpy(), *(g.numpy().copy() for g in gradients))

    def epoch(self, reviews: Reviews) -> None:
        """One epoch over `reviews`; raises RuntimeError where another path than the kernels was taken."""
        with only_kernels():
            train(self.model, reviews.ids, reviews.lengths, reviews.targets, config=self.config)

    def predictor(self) -> Predictor:
        """What judges texts, with the weights as they are now."""
        return Predictor(self.model.eval())


@contextmanager
def only_kernels() -> Iterator[None]:
    """Raises RuntimeError where another path than the kernels was taken meanwhile, or none at all."""
    before = calls()
    yield
    taken = {path for path, count in calls().items() if count > before[path]}
    if taken != {"kernels"}:
        raise RuntimeError(f"the paths taken were {sorted(taken)}; only the kernels are to be measured")
