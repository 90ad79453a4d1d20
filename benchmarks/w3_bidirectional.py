"""W3, a model of today: a training epoch of a bidirectional LSTM with a trained embedding and max pool."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.agreement import agree
from benchmarks.bidirectional_models import BATCH, DIM, OurBidirectional, TorchBidirectional
from benchmarks.note_epoch import evenly, on_end
from benchmarks.note_torch import Batch
from benchmarks.reviews import Reviews, word_reviews
from benchmarks.turns import in_turns
from benchmarks.workload import Contestant, Finding, Goal, Options, Prepared, Tell, Workload
from gatelight.models.batches import plan_batches

REVIEWS, STEPS, WORDS = 24_000, 400, 50_000
PADDED, PACKED = "torch.nn.LSTM, padded to the longest of a batch", "torch.nn.LSTM, packed"
GOALS = {128: (2.5, 12.0), 256: (1.5, 15.0)}  # H: × padded, × packed
FULL, QUICK = (20, 3), (3, 1)  # batches of a turn, turns
PACKED_SHARE = {128: 0.25, 256: 0.1}  # of the batches, each of which takes seconds
WARM_STEPS = 40  # enough to choose threads by


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """One scene for each H."""
    every = frequent(word_reviews(REVIEWS, STEPS))
    steps, turns = options.extent(FULL, QUICK)
    for hidden in GOALS:
        tell(f"H={hidden}: preparing, and comparing outputs and gradients")
        prepared = prepare(every, hidden, steps, options.quick)
        if options.quick and hidden > 128:  # a packed batch of these takes many seconds
            facts = {**prepared.facts, "left out": f"{PACKED}, for it is slow here"}
            prepared = replace(
                prepared, contestants=prepared.contestants[:2], goals=prepared.goals[:1], facts=facts
            )
        yield in_turns(prepared, turns, options, tell)


def frequent(reviews: Reviews, words: int = WORDS) -> Reviews:
    """The reviews with all but the most frequent words unknown, as a model of today keeps them."""
    ids = np.where(reviews.ids < words, reviews.ids, 1).astype(np.int32)
    return Reviews(ids, reviews.lengths, reviews.targets, min(words, reviews.vocabulary_size), reviews.origin)


def prepare(every: Reviews, hidden: int, steps: int, quick: bool) -> Prepared:
    """Build all from the same weights, and let them agree before anything is timed."""
    ours = OurBidirectional(every.vocabulary_size, hidden)
    packed, padded = (TorchBidirectional(ours, packed=yes) for yes in (True, False))
    ragged, full = every.select(every.spread(8)).cut(100), on_end(every, 4, 60)
    agreed = [
        agree(f"H={hidden}, ragged lengths, gatelight and torch packed", packed.results(ragged),
              ours.results(ragged)),
        agree(f"H={hidden}, full lengths, gatelight and torch padded", padded.results(full),
              ours.results(full)),
    ]  # fmt: skip
    part = every.select(every.spread(steps * BATCH))
    plan = plan_batches(part.lengths, BATCH, seed=ours.config.seed, epoch=0, bucket=True)
    ready = [batch(part, index) for index in plan]
    # Its time grows with the square of the steps, so that what stands for all must be of every length.
    by_length = sorted(ready, key=lambda one: int(one[1].sum()))
    some = [by_length[k] for k in evenly(ready, 1 / steps if quick else PACKED_SHARE[hidden])]
    few = [_beginning(ready[0], WARM_STEPS)]
    warm = part.select(plan[0])
    distinct = sum(len(np.unique(part.select(index).ids)) for index in plan)
    over_padded, over_packed = GOALS[hidden]
    return Prepared(
        contestants=[
            Contestant("gatelight", partial(ours.epoch, part), partial(ours.epoch, warm), ours=True),
            Contestant(
                PADDED, partial(padded.steps, ready), partial(padded.warm, few), padded=True,
                setting=padded.setting,
            ),
            Contestant(
                PACKED, partial(packed.steps, some), partial(packed.warm, few),
                share=len(some) / len(ready),
                setting=lambda: f"{packed.setting()}; {len(some)} of {len(ready)} batches, evenly by length",
            ),
        ],
        agreed=agreed,
        goals=[Goal(over_padded, "torch padded", (PADDED,)), Goal(over_packed, "torch packed", (PACKED,))],
        scale=len(every) / len(part),
        work=necessary_work(len(part.ids), distinct, len(part), hidden),
        name=f"H={hidden}",
        measured=f"one training epoch of {len(every):,} reviews",
        facts={
            "reviews": f"{len(every):,}, {every.origin}; {every.vocabulary_size:,} words",
            "a turn": f"{len(part):,} reviews in {len(plan)} batches of {BATCH} of like length, "
            f"{part.lengths.mean():.1f} steps a review; "
            f"{sum(int(one[0].numel()) for one in ready) / len(part):.1f} with padding",
            "distinct tokens a batch": f"{distinct / len(plan):,.0f}",
        },
    )  # fmt: skip


def necessary_work(rows: int, distinct: int, reviews: int, hidden: int) -> float:
    """Floating-point operations of the matrix products that a step cannot do without, forward and backward.

    For both directions: input product of each distinct token, its gradients for weights and rows; recurrent
    product of each step with both gradients; the dense layer on each review's maximum.
    """
    gates = 2 * 4 * hidden
    return 2.0 * (3 * distinct * DIM * gates + 3 * rows * hidden * gates + 3 * reviews * 2 * hidden)


def batch(part: Reviews, index: NDArray[np.int64]) -> Batch:
    """Padded ids, lengths and targets of the reviews numbered `index`."""
    chosen = part.select(index)
    return (
        torch.from_numpy(chosen.padded(int(chosen.lengths.max()))), torch.from_numpy(chosen.lengths),
        torch.from_numpy(chosen.targets),
    )  # fmt: skip


def _beginning(one: Batch, steps: int) -> Batch:
    ids, lengths, targets = one
    return ids[:, :steps].contiguous(), lengths.clamp(max=steps), targets


WORKLOAD = Workload(
    name="W3",
    title=f"bidirectional LSTM, D={DIM} trained embedding, max pool, Adam, batch {BATCH} of like length",
    run=run,
)
