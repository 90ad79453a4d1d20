"""W6, prediction: reviews a second of the note's two models, ids lying ready, everybody on all threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from benchmarks.agreement import agree
from benchmarks.keras_process import KerasModel, start_all
from benchmarks.note_epoch import PACKED, PADDED, evenly
from benchmarks.note_models import CHARACTERS, WORDS, NoteModel
from benchmarks.note_onnx import OnnxNote
from benchmarks.note_ours import OurNote, only_kernels
from benchmarks.note_torch import TorchNote, batches
from benchmarks.note_weights import Array
from benchmarks.reviews import Reviews
from benchmarks.turns import in_turns
from benchmarks.workload import Contestant, Finding, Goal, Options, Prepared, Tell, Workload

GOAL = 10.0
REVIEWS = {WORDS.name: (2048, 256), CHARACTERS.name: (2048, 128)}  # of a turn: full, quick
TURNS = (5, 2)  # full, quick
SIZES, QUICK_SIZES = (32, 128, 512), (64,)  # batches that a peer may choose from
SLOW = ("tensorflow",)  # three times ONNX Runtime or more: left out when quick


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """One scene for each model."""
    start_all(options.backends(SLOW))
    for note in (WORDS, CHARACTERS):
        tell(f"{note.name}: preparing, and comparing probabilities")
        prepared, keras = prepare(note, options)
        with only_kernels():
            finding = in_turns(prepared, options.turns or TURNS[options.quick], options, tell)
        for model in keras:
            model.forget()
        yield finding


def prepare(note: NoteModel, options: Options) -> tuple[Prepared, list[KerasModel]]:
    """Every library with the same weights; probabilities agree, of those that honour lengths with ours."""
    every = note.reviews()
    # By length, as ours sorts them itself: others too have less to do where a batch's reviews are alike.
    part = every.select(every.spread(REVIEWS[note.name][options.quick], shuffled=False))
    sizes = QUICK_SIZES if options.quick else SIZES
    index = evenly(range(len(part)), max(sizes) / len(part))
    few = part.select(np.array(index))
    weights = note.weights(every.vocabulary_size)
    predictor, onnx = OurNote(note, weights).predictor(), OnnxNote(weights)
    packed, padded = (TorchNote(weights, packed=yes, dropout=0.0) for yes in (True, False))

    def ready(backend: str) -> KerasModel:
        model = KerasModel(backend, f"{note.name} predicting", weights, note.dropout)
        model.load(part)
        model.predict(sizes[-1], index)  # compiles
        return model

    with ThreadPoolExecutor() as pool:
        keras = list(pool.map(ready, options.backends(SLOW)))
    peers = [
        Peer(
            "ONNX Runtime, sequence_lens", partial(_by_onnx, onnx, part), partial(_by_onnx, onnx, few), onnx
        ),
        Peer(PACKED, partial(_by_torch, packed, part), partial(_by_torch, packed, few), packed),
        Peer(PADDED, partial(_by_torch, padded, part), partial(_by_torch, padded, few), padded, padded=True),
        *(
            Peer(model.name, model.predict, partial(model.predict, index=index), padded=True)
            for model in keras
        ),
    ]
    return (
        Prepared(
            contestants=[
                Contestant(
                    "gatelight", partial(predictor.probabilities, part.ids, part.lengths),
                    partial(predictor.probabilities, part.ids, part.lengths), ours=True,
                ),
                *(peer.contestant(sizes) for peer in peers),
            ],
            agreed=_agreement(note, peers, predictor.probabilities(few.ids, few.lengths)[:, 0], sizes[-1]),
            goals=[Goal(GOAL)],
            work=note.work(len(part.ids), 0, training=False),
            squashed=5.0 * note.hidden * len(part.ids),
            name=note.name,
            measured=f"probabilities of {len(part):,} reviews",
            facts={
                "not measured": options.missing(SLOW),
                "reviews": f"{every.origin}, evenly by length, {part.lengths.mean():.1f} steps a review "
                f"of at most {note.steps}",
                "gatelight": "its table of input products was filled before, as in a model that is in use",
            },
        ),
        keras,
    )  # fmt: skip


@dataclass
class Peer:
    """Another library: how it judges all reviews and some of them, in batches of its choice."""

    name: str
    judge: Callable[[int], Array]
    judge_few: Callable[[int], Array]
    model: OnnxNote | TorchNote | None = None  # where threads can be chosen
    padded: bool = False
    size: int = 0

    def contestant(self, sizes: Sequence[int]) -> Contestant:
        """What is timed."""
        return Contestant(
            self.name, lambda: self.judge(self.size), partial(self.warm, sizes), padded=self.padded,
            setting=self.setting,
        )  # fmt: skip

    def warm(self, sizes: Sequence[int]) -> None:
        """Try every size, on the threads that serve it best, and keep the fastest."""
        fastest = float("inf")
        for size in sizes:
            work = partial(self.judge_few, size)
            if self.model is None:
                work()
            else:
                before = self.model.threads
                self.model.warm(work)
            began = time.perf_counter()
            work()
            took = time.perf_counter() - began
            if took < fastest:
                fastest, self.size = took, size
            elif self.model is not None:
                self.model.threads = before

    def setting(self) -> str:
        """What `warm` chose."""
        threads = "" if self.model is None else f", {self.model.setting()}"
        return f"batches of {self.size}{threads}"


def _agreement(note: NoteModel, peers: Sequence[Peer], ours: Array, size: int) -> list[str]:
    found = {peer.name: {"probabilities": peer.judge_few(size)} for peer in peers}
    mine = {"probabilities": ours}
    return [
        agree(f"{note.name}, gatelight and {peer.name}", found[peer.name], mine)
        if not peer.padded
        else agree(
            f"{note.name}, padded steps computed, torch and {peer.name}", found[peer.name], found[PADDED]
        )
        for peer in peers
        if peer.name != PADDED
    ]


def _by_onnx(model: OnnxNote, reviews: Reviews, size: int) -> Array:
    return model.predict(reviews, size)


def _by_torch(model: TorchNote, reviews: Reviews, size: int) -> Array:
    plan = np.split(np.arange(len(reviews)), np.arange(size, len(reviews), size))
    return model.predict(batches(reviews, plan, model.model.steps))


WORKLOAD = Workload(
    name="W6", title="prediction of many reviews: the note's word and character model", run=run
)
