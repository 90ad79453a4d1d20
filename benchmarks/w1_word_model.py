"""W1, the note's word model: one training epoch of 20,000 reviews, cut or padded to 400 steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.agreement import agree
from benchmarks.keras_words import KerasWords
from benchmarks.ours_words import OurWords
from benchmarks.reviews import Reviews, load_reviews
from benchmarks.torch_words import TorchWords, batches
from benchmarks.word_weights import random_weights
from benchmarks.workload import Contestant, Options, Prepared, Workload
from gatelight.models.batches import plan_batches

REVIEWS, STEPS, DIM, HIDDEN, BATCH, DROPOUT = 20_000, 400, 300, 50, 32, 0.2
FULL = 8  # reviews of full length in the check
WARM = 3  # batches


def prepare(options: Options) -> Prepared:
    """Load, build every contestant from the same weights, and let them agree before anything is timed."""
    every = load_reviews(REVIEWS, STEPS)
    weights = random_weights(every.vocabulary_size, DIM, HIDDEN, STEPS)
    ours = OurWords(weights)
    packed, padded = (TorchWords(weights, packed=yes, dropout=DROPOUT) for yes in (True, False))
    whole = options.steps is None
    keras = {
        f"Keras on TensorFlow, {name}": KerasWords(weights, dense, dropout=DROPOUT)
        for name, dense in (("frozen embedding", False), ("dense arrays", True))
        if options.keras and not (dense and whole)  # 20,000 reviews would be 9.6 GB of vectors
    }
    agreed = _agree(every, ours, packed, padded, keras)

    part = every if options.steps is None else every.select(every.spread(options.steps * BATCH))
    plan = plan_batches(
        part.lengths, BATCH, seed=ours.config.seed, epoch=0, bucket=ours.config.bucket
    )  # what `train` will draw
    ready = batches(part, plan, STEPS)
    few = ready[:WARM]
    warm = part.select(np.concatenate(plan[:WARM]))
    contestants = [
        Contestant("gatelight", partial(ours.epoch, part), partial(ours.epoch, warm), ours=True),
        *(
            Contestant(
                f"torch.nn.LSTM, {name}", partial(model.train, ready), partial(model.warm, few),
                padded=model is padded, setting=model.setting,
            )
            for name, model in (("packed", packed), ("padded", padded))
        ),
    ]  # fmt: skip
    ordered = part.select(np.concatenate(plan))
    contestants += [_fitted(name, model, ordered) for name, model in keras.items()]
    distinct = sum(len(np.unique(_ids(part, index))) for index in plan)
    return Prepared(
        contestants=contestants,
        agreed=agreed,
        scale=len(every) / len(part),
        work=necessary_work(len(part.ids), distinct),
        facts={
            "reviews": f"{len(every):,}, {every.origin}",
            "steps": f"{every.lengths.mean():.1f} real ones a review, {STEPS} padded",
            "a turn": f"{len(part):,} reviews in {len(plan)} batches of {BATCH}, "
            f"{'all there are' if whole else 'evenly spaced by length'}, "
            f"{part.lengths.mean():.1f} steps a review",
            "distinct tokens a batch": f"{distinct / len(plan):,.0f}",
            "not measured": [
                *([] if options.keras else ["Keras on TensorFlow, left out on request"]),
                *(["Keras on dense arrays: 9.6 GB for a whole epoch"] if whole and options.keras else []),
            ],
        },
    )


def necessary_work(rows: int, distinct: int) -> float:
    """Floating-point operations of the matrix products that a step cannot do without, forward and backward.

    The input product of each distinct token of a batch and its weights' gradient (the vectors are frozen);
    for each real step the recurrent product, its gradient for the state before and for the weights, and the
    dense layer with both gradients. Gates and optimiser are not counted.
    """
    gates = 4 * HIDDEN
    return 2.0 * (2 * distinct * DIM * gates + 3 * rows * HIDDEN * gates + 3 * rows * HIDDEN)


def _agree(
    every: Reviews, ours: OurWords, packed: TorchWords, padded: TorchWords, keras: Mapping[str, KerasWords]
) -> list[str]:
    ragged = every.select(every.spread(BATCH))
    # Without a padded step all must say the same: the first texts on end, cut into pieces of full length.
    full = Reviews(
        every.ids[: FULL * STEPS], np.full(FULL, STEPS, np.int64), every.targets[:FULL],
        every.vocabulary_size, every.origin,
    )  # fmt: skip
    mine_full, padded_ragged = ours.results(full), padded.results(ragged)
    found = [
        agree("ragged lengths, gatelight and torch packed", packed.results(ragged), ours.results(ragged)),
        agree("full lengths, gatelight and torch padded", padded.results(full), mine_full),
    ]
    for name, model in keras.items():
        found += [
            agree(f"full lengths, gatelight and {name}", model.results(full), mine_full),
            agree(f"ragged lengths computed padded, torch and {name}", padded_ragged, model.results(ragged)),
        ]
    return found


def _fitted(name: str, keras: KerasWords, ordered: Reviews) -> Contestant:
    inputs, targets = keras.inputs(ordered), ordered.targets
    few = WARM * BATCH
    warm: Callable[[], None] = partial(keras.fit, inputs[:few], targets[:few], BATCH)
    return Contestant(name, partial(keras.fit, inputs, targets, BATCH), warm, padded=True)


def _ids(part: Reviews, index: NDArray[np.int64]) -> NDArray[np.int32]:
    return part.select(index).ids


WORKLOAD = Workload(
    name="W1",
    title=f"the note's word model: T={STEPS}, D={DIM} frozen vectors, LSTM {HIDDEN} over all steps, "
    f"dropout {DROPOUT}, flatten, dense 1, RMSprop, batch {BATCH}",
    measured=f"one training epoch of {REVIEWS:,} reviews",
    goal=8.0,
    prepare=prepare,
)
