"""Keras in processes of their own, one for each backend; knows how to ask, not how Keras does it.

A process can hold one backend only, and neither thread pools nor memory of one shall be in another's way.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.note_weights import Array, NoteWeights
from benchmarks.reviews import ROOT, Reviews
from benchmarks.workload import BACKENDS

_running: dict[str, KerasProcess] = {}


def installed() -> bool:
    """Whether Keras and both backends can be imported here."""
    return all(importlib.util.find_spec(name) is not None for name in ("keras", *BACKENDS))


class KerasProcess:
    """One running worker."""

    def __init__(self, backend: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._number = itertools.count()
        self._errors = Path(self._folder.name) / "errors"  # a pipe that nobody reads would fill up
        with self._errors.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.keras_worker", backend],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip

    def ask(self, what: str, arrays: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
        """Have a method of the worker called; the arrays it answers with. Raises RuntimeError if it died."""
        given, answer = (Path(self._folder.name) / f"{next(self._number)}.npz" for _ in range(2))
        if arrays is not None:
            np.savez(given, **arrays)
        call = {"call": what, "given": str(given) if arrays else None, "answer": str(answer), **values}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(call), file=self._process.stdin, flush=True)
            reply = self._process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        given.unlink(missing_ok=True)
        if not reply:
            self._process.wait()
            said = self._errors.read_text(encoding="utf-8").strip().splitlines()
            raise RuntimeError(f"the Keras process ended at {what!r}: {said[-1] if said else 'no word'}")
        if not json.loads(reply)["arrays"]:
            return {}
        with np.load(answer, allow_pickle=False) as found:
            result = dict(found)
        answer.unlink()
        return result

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        with self._process:  # closes the pipes and waits
            pass
        self._folder.cleanup()


def process(backend: str) -> KerasProcess:
    """The process of a backend, begun at the first call."""
    if backend not in _running:
        _running[backend] = KerasProcess(backend)
    return _running[backend]


def start_all(backends: Iterable[str]) -> None:
    """Begin importing Keras, so that it is ready once it is asked."""
    for backend in backends:
        process(backend)


def stop_all() -> None:
    """End every process that was begun."""
    for one in _running.values():
        one.stop()
    _running.clear()


class KerasModel:
    """A model of the note in the process of a backend; `dense`: fed float32 [B, T, D] arrays, else ids."""

    def __init__(
        self, backend: str, key: str, weights: NoteWeights, dropout: float, dense: bool = False
    ) -> None:
        self.name = f"{BACKENDS[backend]}, {'dense arrays' if dense else 'frozen embedding'}"
        self.key, self.steps = f"{key} dense" if dense else key, weights.steps
        self._process = process(backend)
        self._process.ask("build", asdict(weights), model=self.key, dense=dense, dropout=dropout)

    def results(self, reviews: Reviews) -> dict[str, Array]:
        """Logits and gradients without dropout."""
        return self._process.ask("results", self._arrays(reviews), model=self.key)

    def load(self, reviews: Reviews) -> None:
        """Have the reviews ready for `fit` and the like."""
        self._process.ask("load", self._arrays(reviews), model=self.key, data=f"{self.key} data")

    def fit(self, batch_size: int, first: int | None = None) -> None:
        """One epoch over what was loaded, or the first of it, in that order."""
        self._process.ask("fit", model=self.key, data=f"{self.key} data", batch_size=batch_size, first=first)

    def predict(self, batch_size: int, index: Sequence[int] | None = None) -> Array:
        """Probabilities [B] of what was loaded, or of those at `index`."""
        found = self._process.ask(
            "predict", model=self.key, data=f"{self.key} data", batch_size=batch_size, index=index
        )
        return np.asarray(found["probabilities"])

    def latencies(self, calls: int) -> tuple[list[float], Array]:
        """Seconds of so many calls for what was loaded, one after the other, and its probabilities."""
        found = self._process.ask("latencies", model=self.key, data=f"{self.key} data", calls=calls)
        return found["seconds"].tolist(), found["probabilities"]

    def save(self, path: Path) -> None:
        """Save the model in Keras's format."""
        self._process.ask("save", model=self.key, path=str(path))

    def forget(self) -> None:
        """Let the model and its data go."""
        self._process.ask("forget", names=[self.key, f"{self.key} data"])

    def _arrays(self, reviews: Reviews) -> dict[str, Any]:
        return {"ids": reviews.padded(self.steps), "targets": reviews.targets}
