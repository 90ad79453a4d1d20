"""A process of one Keras backend: a call a line on stdin, an answer a line on stdout; knows no other side.

`python -m benchmarks.keras_worker tensorflow`; arrays come and go as files beside the calls.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


class Worker:
    """Models and inputs by name, and what may be asked of them."""

    def __init__(self) -> None:
        self.models: dict[str, Any] = {}
        self.data: dict[str, tuple[Any, Any]] = {}

    def build(self, model: str, arrays: dict[str, Any], dense: bool, dropout: float) -> None:
        """Make a model of these weights."""
        from benchmarks.note_keras import KerasNote
        from benchmarks.note_weights import NoteWeights

        self.models[model] = KerasNote(NoteWeights(**arrays), dense, dropout)

    def load(self, model: str, data: str, arrays: dict[str, Any]) -> None:
        """Keep what fit() and predict() of this model take, made of padded ids [B, T] and targets [B]."""
        self.data[data] = self.models[model].inputs(arrays["ids"]), arrays["targets"]

    def forget(self, names: list[str]) -> None:
        """Let models and data go."""
        for name in names:
            self.models.pop(name, None)
            self.data.pop(name, None)

    def results(self, model: str, arrays: dict[str, Any]) -> dict[str, Any]:
        """Logits and gradients for padded ids [B, T] and targets [B]."""
        return dict(self.models[model].results(arrays["ids"], arrays["targets"]))

    def fit(self, model: str, data: str, batch_size: int, first: int | None) -> None:
        """One epoch over the data, or over the first of them."""
        inputs, targets = self.data[data]
        self.models[model].fit(inputs[:first], targets[:first], batch_size)

    def predict(self, model: str, data: str, batch_size: int, index: list[int] | None) -> dict[str, Any]:
        """Probabilities of the data, or of some of them."""
        inputs = self.data[data][0]
        some = inputs if index is None else inputs[index]
        return {"probabilities": self.models[model].predict(some, batch_size)}

    def latencies(self, model: str, data: str, calls: int) -> dict[str, Any]:
        """Seconds of each of so many calls for the data, and the probabilities."""
        inputs, one = self.data[data][0], self.models[model].predict_one
        seconds = []
        for _ in range(calls):
            began = time.perf_counter()
            probabilities = one(inputs)
            seconds.append(time.perf_counter() - began)
        return {"seconds": np.array(seconds), "probabilities": probabilities}

    def save(self, model: str, path: str) -> None:
        """Save a model in Keras's format."""
        self.models[model].model.save(path)


def main(backend: str) -> None:
    """Serve until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["KERAS_BACKEND"] = backend
    import keras

    if keras.backend.backend() != backend:
        raise RuntimeError(f"Keras runs on {keras.backend.backend()}; this process wants {backend}")
    worker = Worker()
    for line in sys.stdin:
        call = json.loads(line)
        what, given, answer = call.pop("call"), call.pop("given"), call.pop("answer")
        if given is not None:
            with np.load(given, allow_pickle=False) as arrays:
                call["arrays"] = dict(arrays)
        found = getattr(worker, what)(**call)
        if found is not None:
            np.savez(Path(answer), **found)
        print(json.dumps({"done": what, "arrays": found is not None}), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
