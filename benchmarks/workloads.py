"""The six workloads: what each contestant is given, what must agree first, and what is timed."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import texts as data
from benchmarks.agreement import agree
from benchmarks.models import Shape, Texts, Weights
from benchmarks.turns import Finding, Tell, Turns, rows, take_turns
from benchmarks.worker import ROOT, Library

WORDS = Shape(400, 300, 50, "flatten", dropout=0.2)
CHARACTERS = Shape(1500, data.ALPHABET, 20, "flatten", dropout=0.4)
ONE = Shape(200, 300, 50, "flatten")
REVIEWS, FREQUENT = 20_000, 50_000
CALLS = 50  # of one text in a turn
WARM_STEPS = 300  # enough to choose threads by, of what takes seconds a batch
PADDED, PACKED, ONNX, KERAS = "torch.nn, padded", "torch.nn, packed", "ONNX Runtime", "Keras"
PEERS = {
    PADDED: partial(Library, PADDED, "with_torch", packed=False),
    PACKED: partial(Library, PACKED, "with_torch", packed=True),
    ONNX: partial(Library, ONNX, "with_onnx"),
    KERAS: partial(Library, KERAS, "with_keras"),
}
COMPUTE_PADDING = (PADDED, KERAS)


@dataclass(frozen=True)
class Options:
    """How much is to be run, and against whom: the peers, or the gatelight of another checkout."""

    quick: bool = False
    rounds: int | None = None
    keras: bool = True
    against: Path | None = None

    def sources(self) -> dict[str, Path]:
        """The folders that hold the gatelights to be measured, by name; ours first."""
        other = {} if self.against is None else {f"gatelight of {self.against}": self.against / "src"}
        return {"gatelight": ROOT / "src", **other}

    @contextmanager
    def libraries(self, peers: Sequence[str]) -> Iterator[list[Library]]:
        """The contestants' processes, ours first, ended with the block."""
        with ExitStack() as stack:
            every = [partial(Library, name, "with_gatelight", path) for name, path in self.sources().items()]
            if self.against is None:
                every += [PEERS[name] for name in peers if self.keras or name != KERAS]
            yield [stack.enter_context(closing(make())) for make in every]

    def of(self, full: Any, quick: Any) -> Any:
        """What holds for this run."""
        return quick if self.quick else full

    def turns(self, full: int) -> int:
        """Rounds: what was asked for, else of a full run so many."""
        return self.rounds or int(self.of(full, 2))


@dataclass(frozen=True)
class Work:
    """A model, its texts, and for training how many batches of these stand for an epoch.

    Packed, torch takes so long that only a fraction of the batches is run.
    """

    name: str
    shape: Shape
    texts: Texts
    weights: Weights
    batches: int = 0
    peers: Sequence[str] = (PADDED, PACKED, KERAS)
    packed_fraction: float = 1.0
    rounds: int = 5


def training(work: Work, options: Options, tell: Tell) -> Finding:
    """An epoch, from the same weights."""
    shape, every = work.shape, work.texts
    part = every.spread(work.batches * shape.batch_size)
    given = {
        "ragged": every.spread(8),
        "full": every.pieces(4, shape.steps),
        "warm": every.spread(shape.batch_size).cut(WARM_STEPS),
    }
    with options.libraries(work.peers) as libraries:
        tell(f"{work.name}: comparing outputs and gradients")
        turns = {}
        for library in libraries:
            fraction = work.packed_fraction if library.name == PACKED else 1.0
            mine = part.spread(int(len(part) * fraction))
            library.open(shape, work.weights)
            for kind, texts in {**given, "part": mine}.items():
                library.load(kind, texts)
            turns[library.name] = partial(_epoch, library, len(every) / len(mine))
        agreed = _agreement(libraries, Library.results)
        settings = {library.name: library.warm("warm", True) for library in libraries}
        measured = f"one epoch of {len(every):,} reviews"
        return _found(work.name, measured, agreed, turns, settings, options.turns(work.rounds), tell)


def prediction(work: Work, options: Options, tell: Tell) -> Finding:
    """Probabilities of texts that lie ready, sorted by length; of a single one the median of many calls."""
    ordered = work.texts.select(np.argsort(work.texts.lengths, kind="stable"))
    one = len(ordered) == 1
    given = {"ragged": ordered, "full": work.texts.pieces(1 if one else 4, work.shape.steps)}
    with options.libraries((ONNX, PADDED, KERAS)) as libraries:
        tell(f"{work.name}: comparing probabilities")
        turns: dict[str, Callable[[], float]] = {}
        for library in libraries:
            library.open(work.shape, work.weights)
            for kind, texts in given.items():
                library.load(kind, texts)
            turns[library.name] = partial(_calls, library) if one else partial(_predicted, library)
        agreed = _agreement(libraries, lambda library, kind: {"probabilities": library.predict(kind)[1]})
        settings = {library.name: library.warm("ragged", False) for library in libraries}
        measured = f"one text of {work.shape.steps} words" if one else f"{len(ordered):,} reviews"
        return _found(work.name, measured, agreed, turns, settings, options.turns(work.rounds), tell)


def word_model(options: Options, tell: Tell) -> Finding:
    """The note's word model."""
    every, size = data.as_words(REVIEWS, WORDS.steps)
    work = Work("IMDB word model, one epoch", WORDS, every, WORDS.weights(size), batches=options.of(60, 8))
    return training(work, options, tell)


def character_model(options: Options, tell: Tell) -> Finding:
    """The note's character model."""
    every = data.as_characters(REVIEWS, CHARACTERS.steps)
    weights = CHARACTERS.weights(data.ALPHABET, one_hot=True)
    work = Work(
        "IMDB character model, one epoch", CHARACTERS, every, weights, batches=options.of(30, 2),
        peers=options.of((PADDED, PACKED, KERAS), (PADDED,)), packed_fraction=0.2,
    )  # fmt: skip
    return training(work, options, tell)


def bidirectional(hidden: int, options: Options, tell: Tell) -> Finding:
    """A trained embedding, both directions, the maximum over the steps."""
    shape = Shape(
        400, 300, hidden, "max", bidirectional=True, train_embedding=True, batch_size=64, bucket=True,
        optimizer="adam",
    )  # fmt: skip
    every, size = data.as_words(REVIEWS, shape.steps, FREQUENT)
    name = f"Bidirectional LSTM {hidden}, one epoch"
    work = Work(
        name, shape, every, shape.weights(size), batches=options.of(20, 2),
        peers=options.of((PADDED, PACKED), (PADDED,)), packed_fraction=0.2, rounds=3,
    )  # fmt: skip
    return training(work, options, tell)


def predict_words(options: Options, tell: Tell) -> Finding:
    """The word model's predictions."""
    every, size = data.as_words(REVIEWS, WORDS.steps)
    part = every.spread(options.of(2048, 512))
    return prediction(Work("Prediction, word model", WORDS, part, WORDS.weights(size)), options, tell)


def predict_characters(options: Options, tell: Tell) -> Finding:
    """The character model's predictions."""
    part = data.as_characters(REVIEWS, CHARACTERS.steps).spread(options.of(2048, 256))
    weights = CHARACTERS.weights(data.ALPHABET, one_hot=True)
    return prediction(Work("Prediction, character model", CHARACTERS, part, weights), options, tell)


def one_text(options: Options, tell: Tell) -> Finding:
    """The word model's prediction for one text."""
    every, size = data.as_words(REVIEWS, ONE.steps)
    work = Work("One text", ONE, every.pieces(1, ONE.steps), ONE.weights(size), rounds=20)
    return prediction(work, options, tell)


def whole_train(options: Options, tell: Tell) -> Finding:
    """`gatelight train` with the note's word model, and a Keras script with an embedding layer."""
    count = options.of(16_000, 1600)
    archive, vectors = data.archive(count), data.vectors(WORDS.dim)
    name, measured = "`gatelight train`, files to saved model", f"{count:,} reviews, two epochs"
    agreed: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        turns: dict[str, Callable[[], float]] = {}
        for library, source in options.sources().items():
            given = [str(archive), "--vectors", str(vectors), "--no-baseline"]
            turns[library] = partial(_gatelight_train, source, given)
        if options.against is None and options.keras:
            agreed.append(_same_tokens(data.reviews()[:200]))
            script = ["-m", "benchmarks.keras_script", str(archive), str(vectors), f"{folder}/model.keras"]
            turns["Keras script"] = partial(_program, ROOT / "src", script, KERAS_BACKEND="tensorflow")
        return _found(name, measured, agreed, turns, {}, options.turns(3), tell)


WORKLOADS: dict[str, Callable[[Options, Tell], Finding]] = {
    "words": word_model,
    "characters": character_model,
    "bidirectional-128": partial(bidirectional, 128),
    "bidirectional-256": partial(bidirectional, 256),
    "predict-words": predict_words,
    "predict-characters": predict_characters,
    "one-text": one_text,
    "train": whole_train,
}


def _epoch(library: Library, scale: float) -> float:
    return scale * library.train("part")


def _predicted(library: Library) -> float:
    return library.predict("ragged")[0]


def _calls(library: Library) -> float:
    return statistics.median(library.one("ragged", CALLS))


def _agreement(libraries: Sequence[Library], results: Callable[[Library, str], dict]) -> list[str]:
    """Sentences of what agreed with ours; raises DisagreementError where something does not.

    Who computes steps that are not there is compared on texts of full length alone.
    """
    ours, *others = libraries
    mine = {kind: results(ours, kind) for kind in ("ragged", "full")}
    return [
        agree(f"{other.name}, {kind} lengths", results(other, kind), mine[kind])
        for other in others
        for kind in mine
        if kind == "full" or other.name not in COMPUTE_PADDING
    ]


def _same_tokens(texts: Sequence[str]) -> str:
    from benchmarks import keras_script
    from gatelight.text.tokenizers import tokenizer

    ours = tokenizer("treebank", lowercase=True)
    return data.cut_alike(
        [ours.tokens(text) for text in texts], [keras_script.tokens(text) for text in texts]
    )


def _found(
    name: str, measured: str, agreed: Sequence[str], turns: Turns, settings: dict[str, str], rounds: int,
    tell: Tell,
) -> Finding:  # fmt: skip
    for sentence in agreed:
        tell(sentence)
    seconds = take_turns(turns, rounds, tell)
    return Finding(name, measured, agreed, rows(seconds, settings), rounds)


def _program(source: Path, arguments: Sequence[str], **environment: str) -> float:
    """Seconds of a Python program; raises RuntimeError with its last words where it fails."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(source), "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise RuntimeError(f"{' '.join(arguments[:3])} … ended with {done.returncode}: {last}")
    return time.perf_counter() - began


def _gatelight_train(source: Path, arguments: Sequence[str]) -> float:
    """By whichever name this checkout gives its presets."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "gatelight", "train", *arguments, "--out", f"{folder}/model"]
        try:
            return _program(source, [*command, "--preset", "note-400"])
        except RuntimeError:
            return _program(source, [*command, "--recipe", "note-400"])
