"""The models by gatelight, also by another checkout's: what was named otherwise there is found as well."""

from __future__ import annotations

import importlib
import time
from dataclasses import fields
from typing import Any

import numpy as np
import torch

from benchmarks.models import Array, Shape, Texts, Weights, gradients, timed

# Of a name of today its older ones.
OLDER = {"hidden_size": "hidden", "embedding_dim": "dim", "random_state": "seed"}
STEP = 10.0  # rate at which a gradient is taken for what the weights moved by


def found(name: str, *modules: str) -> Any:
    """A name of gatelight.models, from the first of these modules that is there and has it."""
    for module in modules:
        try:
            return getattr(importlib.import_module(f"gatelight.models.{module}"), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"gatelight.models has no {name} in {', '.join(modules)}")


def by_its_names(kind: Any, **values: Any) -> Any:
    """Make a dataclass of settings, under the names that this checkout gives them."""
    known = {field.name for field in fields(kind)}
    return kind(**{name if name in known else OLDER[name]: value for name, value in values.items()})


class Model:
    """A classifier as the training loop and the predictor see it."""

    padded = False

    def __init__(self, shape: Shape, weights: Weights) -> None:
        self.shape, self.weights = shape, weights
        self.model = self._made(shape.dropout)
        self.predictor = found("Predictor", "inference", "predicting_texts", "prediction")(self.model.eval())

    def results(self, texts: Texts) -> dict[str, Array]:
        """Logits, and gradients as what the training loop itself moves the weights by, without dropout."""
        model = self._made(0.0)
        logits = model.eval()(texts.ids, texts.lengths)[:, 0].detach().numpy()
        before = self._named(model)
        self._train(model, texts, optimizer="sgd", momentum=0.0, learning_rate=STEP, batch_size=len(texts))
        moved = {name: (before[name] - after) / STEP for name, after in self._named(model).items()}
        return gradients(logits, self.shape, moved, self.shape.train_embedding)

    def warm(self, texts: Texts, training: bool) -> str:
        """Compile."""
        self.train(texts) if training else self.predict(texts)
        return "all threads"

    def train(self, texts: Texts) -> float:
        """Seconds of one epoch."""
        began = time.perf_counter()
        self._train(self.model, texts)
        return time.perf_counter() - began

    def predict(self, texts: Texts) -> tuple[float, Array]:
        """Seconds, and the probability of each text."""
        began = time.perf_counter()
        probabilities = np.asarray(self.predictor.probabilities(texts.ids, texts.lengths))
        return time.perf_counter() - began, probabilities[:, 0]

    def one(self, texts: Texts, calls: int) -> list[float]:
        """Seconds of each of so many calls for one text."""
        return timed(lambda: self.predictor.probabilities(texts.ids, texts.lengths), calls)

    def _made(self, dropout: float) -> Any:
        shape = self.shape
        config = by_its_names(
            found("ClassifierConfig", "config", "classifier_config"),
            vocabulary_size=len(self.weights["table"]), embedding_dim=shape.dim, hidden_size=shape.hidden,
            bidirectional=shape.bidirectional, pool=shape.pool, max_length=shape.steps, dropout=dropout,
            train_embedding=shape.train_embedding,
        )  # fmt: skip
        # A table that is not trained is shared, not copied.
        model = found("Classifier", "classifier")(config, np.array(self.weights["table"]))
        with torch.no_grad():
            for name, parameter in self._parameters(model).items():
                parameter.copy_(torch.from_numpy(self.weights[name]).reshape(parameter.shape))
        return model

    def _parameters(self, model: Any) -> dict[str, torch.Tensor]:
        """The model's weights, by the bench's names; the table only where it is trained."""
        layer = next(part for part in model.modules() if hasattr(part, "weight_hh_l0"))
        named = {"dense": model.head["weight"], "dense_bias": model.head["bias"]}
        for suffix in self.shape.suffixes:
            named |= {name + suffix: getattr(layer, name + suffix) for name in ("weight_ih", "weight_hh")}
            named["bias" + suffix] = getattr(layer, "bias_ih" + suffix)
        return named | ({"table": model.embedding.weight} if self.shape.train_embedding else {})

    def _named(self, model: Any) -> dict[str, Array]:
        return {name: weight.detach().numpy().copy() for name, weight in self._parameters(model).items()}

    def _train(self, model: Any, texts: Texts, **changed: Any) -> None:
        shape = self.shape
        values = {
            "epochs": 1, "batch_size": shape.batch_size, "optimizer": shape.optimizer, "learning_rate": 1e-3,
            "bucket": shape.bucket, "best_by": "last", **changed,
        }  # fmt: skip
        config = by_its_names(found("TrainingConfig", "training_config", "training", "config"), **values)
        found("train", "training")(model, texts.ids, texts.lengths, texts.targets, config=config)
