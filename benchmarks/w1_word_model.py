"""W1, the note's word model: one training epoch of 20,000 reviews, cut or padded to 400 steps."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.note_epoch import Extent, prepare
from benchmarks.note_models import BATCH, WORDS
from benchmarks.turns import in_turns
from benchmarks.workload import Finding, Goal, Options, Tell, Workload

GOALS = (Goal(8.0),)
FULL, QUICK = (60, 5), (6, 2)  # batches of a turn, turns
PACKED_SHARE = (1.0, 0.25)  # of the batches: full, quick


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """One scene."""
    steps, turns = options.extent(FULL, QUICK)
    prepared = prepare(WORDS, GOALS, options, Extent(steps, PACKED_SHARE[options.quick]), tell)
    yield in_turns(prepared, turns, options, tell)


WORKLOAD = Workload(
    name="W1",
    title=f"the note's word model: T={WORDS.steps}, D={WORDS.dim} frozen vectors, LSTM {WORDS.hidden} over "
    f"all steps, dropout {WORDS.dropout}, flatten, dense 1, RMSprop, batch {BATCH}",
    run=run,
)
