"""The word model as gatelight's user trains it: the recipe's own settings, through `train`."""

from __future__ import annotations

import torch

from benchmarks.reviews import Reviews
from benchmarks.word_weights import Array, WordWeights, results
from gatelight.estimators.recipes import recipe
from gatelight.estimators.settings import classifier_config, training_config
from gatelight.memory.status import calls
from gatelight.models.classifier import Classifier
from gatelight.models.training import train

RECIPE = "note-400"


class OurWords:
    """`TextClassifier.from_recipe("note-400")` from ids on: the same configurations by the same functions."""

    def __init__(self, weights: WordWeights) -> None:
        """Raises ValueError where the recipe is no longer the model that the others are given."""
        vocabulary, dim = weights.table.shape
        settings = {**recipe(RECIPE), "epochs": 1, "seed": 0, "threads": None}
        shape = (settings["dim"], settings["hidden"], settings["max_length"])
        if shape != (dim, weights.hidden, weights.steps):
            raise ValueError(f"the recipe {RECIPE} has dim, hidden, max_length {shape}; the weights differ")
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
        before = calls()
        train(self.model, reviews.ids, reviews.lengths, reviews.targets, config=self.config)
        taken = {path for path, count in calls().items() if count > before[path]}
        if taken != {"kernels"}:
            raise RuntimeError(f"the paths taken were {sorted(taken)}; only the kernels are to be measured")
