"""A library in a process of its own: the parent's side, and the process itself.

One thread pool, one backend and one memory each; and of gatelight as many checkouts as one likes. A call is a
line of JSON on stdin and its answer one on stdout; arrays lie in files beside them.

`python -m benchmarks.worker benchmarks.with_torch` is the process.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.models import Array, Shape, Texts, Weights

ROOT = Path(__file__).parents[1]


class Library:
    """One running process, and what may be asked of its model."""

    def __init__(self, name: str, module: str, source: Path = ROOT / "src", **options: Any) -> None:
        """`module` of the bench; `source` the folder that holds its gatelight; `options` of its `Model`."""
        self.name, self.options = name, options
        self._folder = tempfile.TemporaryDirectory()
        self._number = itertools.count()
        self._errors = Path(self._folder.name) / "errors"  # a pipe that nobody reads would fill up
        with self._errors.open("w", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker", f"benchmarks.{module}"],
                cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True,
                env={**os.environ, "PYTHONPATH": str(source)},
            )  # fmt: skip

    def open(self, shape: Shape, weights: Weights) -> None:
        """Make the model."""
        self._ask("open", dict(weights), shape=asdict(shape), options=self.options)

    def load(self, name: str, texts: Texts) -> None:
        """Have texts lie ready there by this name."""
        self._ask("load", texts.arrays(), name=name)

    def results(self, name: str) -> dict[str, Array]:
        """Logits and gradients of loaded texts."""
        return self._ask("results", name=name)

    def warm(self, name: str, training: bool) -> str:
        """Compile, and choose threads; says what was chosen."""
        return str(self._ask("warm", name=name, training=training)["told"])

    def train(self, name: str) -> float:
        """Seconds of one epoch over loaded texts."""
        return float(self._ask("train", name=name)["seconds"])

    def predict(self, name: str) -> tuple[float, Array]:
        """Seconds to predict loaded texts, and their probabilities."""
        found = self._ask("predict", name=name)
        return float(found["seconds"]), found["probabilities"]

    def one(self, name: str, calls: int) -> list[float]:
        """Seconds of each of so many calls for one loaded text."""
        return list(self._ask("one", name=name, calls=calls)["seconds"].tolist())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        with self._process:  # closes the pipes and waits
            pass
        self._folder.cleanup()

    def _ask(self, what: str, arrays: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
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
        if not reply:
            self._process.wait()
            said = self._errors.read_text(encoding="utf-8").strip().splitlines()
            raise RuntimeError(f"{self.name} ended at {what!r}: {said[-1] if said else 'no word'}")
        given.unlink(missing_ok=True)
        with np.load(answer, allow_pickle=False) as found:
            result = dict(found)
        answer.unlink()
        return result


class Worker:
    """The other side: one model, and texts by name."""

    def __init__(self, library: Any) -> None:
        self.library, self.model = library, None
        self.texts: dict[str, Texts] = {}

    def open(self, arrays: Any, shape: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        self.model = self.library.Model(Shape(**shape), arrays, **options)
        return {}

    def load(self, arrays: Any, name: str) -> dict[str, Any]:
        self.texts[name] = Texts(**arrays)
        return {}

    def results(self, name: str) -> dict[str, Any]:
        return dict(self.model.results(self.texts[name]))

    def warm(self, name: str, training: bool) -> dict[str, Any]:
        return {"told": self.model.warm(self.texts[name], training)}

    def train(self, name: str) -> dict[str, Any]:
        return {"seconds": self.model.train(self.texts[name])}

    def predict(self, name: str) -> dict[str, Any]:
        seconds, probabilities = self.model.predict(self.texts[name])
        return {"seconds": seconds, "probabilities": probabilities}

    def one(self, name: str, calls: int) -> dict[str, Any]:
        return {"seconds": np.array(self.model.one(self.texts[name], calls))}


def main(module: str) -> None:
    """Serve until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print must not come between the answers
    worker = Worker(importlib.import_module(module))
    for line in sys.stdin:
        call = json.loads(line)
        what, given, answer = call.pop("call"), call.pop("given"), call.pop("answer")
        if given is not None:
            with np.load(given, allow_pickle=False) as arrays:
                call["arrays"] = dict(arrays)
        np.savez(Path(answer), **getattr(worker, what)(**call))
        print(json.dumps(what), file=answers, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
