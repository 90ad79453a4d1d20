"""W11, cold start: one text judged by a process that has just begun, caches of the machine being warm."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.agreement import agree
from benchmarks.keras_process import KerasModel, process, stop_all
from benchmarks.measured_process import Run, gatelight, measure
from benchmarks.note_weights import NoteWeights
from benchmarks.review_files import vectors
from benchmarks.reviews import one_review, texts, with_vector
from benchmarks.turns import in_turns
from benchmarks.workload import (
    BACKENDS,
    Contestant,
    Finding,
    Goal,
    Options,
    Outcome,
    Prepared,
    Tell,
    Workload,
)
from gatelight.estimators.classifier import TextClassifier
from gatelight.models.classifier import Classifier

SETTINGS, READ = "note-200", (2000, 400)  # texts: full, quick
SECONDS, OF_KERAS = 2.0, 1 / 3
FULL_TURNS, QUICK_TURNS = 7, 1
TORCH = 'python -c "import torch"'


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """Processes in turns."""
    tell("preparing, and comparing probabilities")
    with tempfile.TemporaryDirectory() as folder:
        turns = options.turns or (QUICK_TURNS if options.quick else FULL_TURNS)
        found = in_turns(prepare(Path(folder), options), turns, options, tell)
    mine = next(t for t in found.timings if t.ours)
    absolute = Outcome("seconds", mine.median, SECONDS, at_most=True, unit="s")
    yield Finding(**{**vars(found), "outcomes": [absolute, *found.outcomes]})


def fitted(count: int) -> tuple[TextClassifier, str]:
    """A model as `gatelight train` makes it, and a text of as many words as it reads, all of them known."""
    given = texts()[:count]
    estimator = TextClassifier.from_preset(SETTINGS, vectors=vectors(), epochs=1, validation_fraction=0.0)
    estimator.fit(given, ["neg", "pos"] * (count // 2), baseline=True, origin="the bench")
    steps = estimator.model_.config.max_length or 0
    tokens = set(estimator.vocabulary_.tokens)  # what Treebank rules cut, such as "cannot", is no token

    def known(text: str) -> list[str]:
        return [word for word in with_vector(text) if word in tokens]

    return estimator, " ".join(next(words for words in map(known, given) if len(words) >= steps)[:steps])


def weights_of(model: Classifier) -> NoteWeights:
    """A fitted model's weights as the others are given them."""
    memory, head = model.memory[0], model.head
    arrays = (
        model.embedding.weight, memory.weight_ih_l0, memory.weight_hh_l0, memory.bias_ih_l0,
        head["weight"][0], head["bias"],
    )  # fmt: skip
    return NoteWeights(*(array.detach().numpy() for array in arrays))


def prepare(folder: Path, options: Options) -> Prepared:
    """The same model saved for both, and judged once to compare; in a full run that warms the caches, too."""
    process("tensorflow")  # begins while ours is fitted
    estimator, text = fitted(READ[options.quick])
    estimator.save(folder / "model")
    keras = KerasModel("tensorflow", "cold", weights_of(estimator.model_), 0.2)
    keras.save(folder / "model.keras")
    if options.quick:  # a new process of Keras takes ten seconds
        keras.load(one_review(estimator.reading_.encode([text]), len(estimator.vocabulary_)))
        asked = {keras.name: keras.latencies(1)[1]}
    stop_all()
    (folder / "vocabulary.txt").write_text("\n".join(estimator.vocabulary_.tokens), encoding="utf-8")
    script = [sys.executable, "-m", "benchmarks.keras_predict_script"]
    judge = partial(measure, gatelight("predict", str(folder / "model"), text, "--proba", "--json"))
    by_keras = {
        f"{BACKENDS[backend]}, load and predict": partial(
            measure, [*script, str(folder / "model.keras"), str(folder / "vocabulary.txt"), text],
            {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        for backend in options.backends()
    }  # fmt: skip
    mine = {"probability": _probability(judge())}
    if not options.quick:
        asked = {name: _value(one()) for name, one in by_keras.items()}
    agreed = [agree(f"gatelight and {name}", {"probability": found}, mine) for name, found in asked.items()]
    torch = partial(measure, [sys.executable, "-c", "import torch"])
    contestants = [
        Contestant("gatelight predict", judge, str, ours=True),
        *([] if options.quick else [Contestant(TORCH, torch, torch)]),
        *(Contestant(name, one, str) for name, one in by_keras.items()),
    ]
    size = sum(file.stat().st_size for file in (folder / "model").rglob("*"))
    return Prepared(
        contestants,
        agreed,
        [Goal(OF_KERAS, "of Keras", tuple(by_keras), at_most=True)],
        measured='predict MODEL "one text"',
        facts={
            "model": f"{SETTINGS}, {len(estimator.vocabulary_):,} words, {size / 1e6:.0f} MB",
            "not measured": [*options.missing(), *([TORCH] if options.quick else [])],
        },
    )


def _probability(run: Run) -> np.ndarray:
    return np.array([json.loads(run.printed)["probabilities"]["pos"]], np.float32)


def _value(run: Run) -> np.ndarray:
    return np.array([float(run.printed.strip().splitlines()[-1])], np.float32)


WORKLOAD = Workload(
    name="W11",
    title='cold start: `gatelight predict MODEL "one text"`, against `import torch` and Keras',
    run=run,
    needs_keras=True,
)
