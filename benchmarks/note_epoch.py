"""A training epoch of one of the note's models, ours and all others: what W1 and W2 have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.agreement import agree
from benchmarks.keras_process import KerasModel, start_all
from benchmarks.note_models import BATCH, REVIEWS, NoteModel
from benchmarks.note_ours import OurNote
from benchmarks.note_torch import Batch, TorchNote, batches
from benchmarks.note_weights import Array
from benchmarks.reviews import Reviews
from benchmarks.workload import Contestant, Goal, Options, Prepared, Tell
from gatelight.models.batches import plan_batches

WARM = 2  # batches
WARM_STEPS = 300  # enough to choose threads by, of what takes seconds a batch

Arrays = dict[str, Array]
PACKED = "torch.nn.LSTM, packed"
PADDED = "torch.nn.LSTM, padded"


@dataclass(frozen=True)
class Extent:
    """How many batches a turn has, and of those torch packed's share, which takes long over many steps.

    `slow` names backends of Keras that a quick run leaves out.
    """

    steps: int
    packed_share: float = 1.0
    slow: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """A batch to agree on: reviews as they are, and pieces of full length, where no step is padded."""

    ragged: Reviews
    full: Reviews


@dataclass(frozen=True)
class Epoch:
    """What of the work a contestant is given: the reviews, and the batches of a turn in ours' own order."""

    every: Reviews
    part: Reviews
    plan: list[NDArray[np.int64]]

    @property
    def ordered(self) -> Reviews:
        """The reviews of a turn, batch after batch."""
        return self.part.select(np.concatenate(self.plan))

    @property
    def warm(self) -> Reviews:
        """The reviews of the first batches."""
        return self.part.select(np.concatenate(self.plan[:WARM]))


def prepare(
    note: NoteModel,
    goals: Sequence[Goal],
    options: Options,
    extent: Extent,
    tell: Tell,
) -> Prepared:
    """Load, build every contestant from the same weights, and let them agree before anything is timed."""
    start_all(options.backends(extent.slow))
    tell("preparing, and comparing outputs and gradients")
    every = note.reviews()
    weights = note.weights(every.vocabulary_size)
    ours = OurNote(note, weights)
    packed, padded = (TorchNote(weights, packed=yes, dropout=note.dropout) for yes in (True, False))
    # The dense arrays of 20,000 reviews would be 9.6 GB; one-hot ones are the frozen embedding's own rows.
    dense = not (note.one_hot or options.whole or options.quick)
    part = every if options.whole else every.select(every.spread(extent.steps * BATCH))
    # What `train` will draw.
    plan = plan_batches(part.lengths, BATCH, seed=ours.config.seed, epoch=0, bucket=ours.config.bucket)
    epoch = Epoch(every, part, plan)
    # Packed, a batch takes torch as long as its longest review: a quick run compares the shortest of many.
    compared = every.spread((1, 4)[options.quick] * BATCH, shuffled=False)[:BATCH]
    check = Check(every.select(compared), on_end(every, BATCH, note.steps))

    def by_keras(backend: str) -> list[tuple[KerasModel, list[Arrays]]]:
        found = []
        for as_arrays in (False, True)[: 1 + dense]:
            model = KerasModel(backend, note.name, weights, note.dropout, as_arrays)
            found.append((model, [model.results(check.full), model.results(check.ragged)]))
            model.load(epoch.ordered)
        return found

    # Each backend has a process of its own, so that they compile side by side.
    with ThreadPoolExecutor() as pool:
        keras = [one for group in pool.map(by_keras, options.backends(extent.slow)) for one in group]
    agreed = agreement(check, ours, packed, padded, keras)
    contestants = [
        Contestant("gatelight", partial(ours.epoch, part), partial(ours.epoch, epoch.warm), ours=True),
        *_by_torch(note, packed, padded, epoch, 1.0 if options.whole else extent.packed_share),
        *(
            Contestant(
                model.name, partial(model.fit, BATCH), partial(model.fit, BATCH, WARM * BATCH), padded=True
            )
            for model, _ in keras
        ),
    ]
    distinct = sum(len(np.unique(part.select(index).ids)) for index in plan)
    return Prepared(
        contestants=contestants,
        agreed=agreed,
        goals=goals,
        scale=len(every) / len(part),
        work=note.work(len(part.ids), distinct),
        measured=f"one training epoch of {REVIEWS:,} reviews",
        facts=_facts(note, epoch, distinct, options, extent, dense),
    )


def _by_torch(
    note: NoteModel, packed: TorchNote, padded: TorchNote, epoch: Epoch, share: float
) -> list[Contestant]:
    ready = batches(epoch.part, epoch.plan, note.steps)
    some = [ready[k] for k in evenly(ready, share)]
    few = ready[:WARM]
    beginning = [(ids, lengths.clamp(max=WARM_STEPS), targets) for ids, lengths, targets in few[:1]]
    return [
        Contestant(
            PACKED, partial(packed.train, some), _warming(packed, beginning if share < 1 else few),
            share=len(some) / len(ready),
            setting=lambda: f"{packed.setting()}; {len(some)} of {len(ready)} batches",
        ),
        Contestant(
            PADDED, partial(padded.train, ready), _warming(padded, few), padded=True, setting=padded.setting
        ),
    ]  # fmt: skip


def _warming(model: TorchNote, few: list[Batch]) -> partial[None]:
    return partial(model.warm, partial(model.train, few))


def evenly(given: Sequence[object], share: float) -> list[int]:
    """Numbers of a share of what is given, at least one, evenly spaced."""
    count = max(1, round(share * len(given)))
    return ((np.arange(count) + 0.5) * len(given) / count).astype(int).tolist()


def agreement(
    check: Check,
    ours: OurNote,
    packed: TorchNote,
    padded: TorchNote,
    keras: Sequence[tuple[KerasModel, list[Arrays]]],
) -> list[str]:
    """Sentences of what agreed, outputs and gradients; raises DisagreementError where they do not."""
    mine_full, padded_ragged = ours.results(check.full), padded.results(check.ragged)
    mine = ours.results(check.ragged)
    found = [
        agree("ragged lengths, gatelight and torch packed", packed.results(check.ragged), mine),
        agree("full lengths, gatelight and torch padded", padded.results(check.full), mine_full),
    ]
    for model, (full, ragged) in keras:
        found += [
            agree(f"full lengths, gatelight and {model.name}", full, mine_full),
            agree(f"ragged lengths computed padded, torch and {model.name}", ragged, padded_ragged),
        ]
    return found


def on_end(every: Reviews, count: int, steps: int) -> Reviews:
    """The first reviews on end, cut into `count` pieces of `steps`."""
    return Reviews(
        every.ids[: count * steps], np.full(count, steps, np.int64), every.targets[:count],
        every.vocabulary_size, every.origin,
    )  # fmt: skip


def _facts(
    note: NoteModel, epoch: Epoch, distinct: int, options: Options, extent: Extent, dense: bool
) -> Mapping[str, object]:
    every, part = epoch.every, epoch.part
    missing = [
        *([] if options.keras else ["Keras, left out on request"]),
        *options.missing(extent.slow),
        *(["Keras on dense arrays"] if options.keras and not (dense or note.one_hot) else []),
    ]
    return {
        "reviews": f"{len(every):,}, {every.origin}",
        "steps": f"{every.lengths.mean():.1f} real ones a review, {note.steps} padded",
        "a turn": f"{len(part):,} reviews in {len(epoch.plan)} batches of {BATCH}, "
        f"{'all there are' if options.whole else 'evenly spaced by length'}, "
        f"{part.lengths.mean():.1f} steps a review",
        "distinct tokens a batch": f"{distinct / len(epoch.plan):,.0f}",
        "not measured": missing,
    }
