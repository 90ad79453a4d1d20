"""W2, the note's character model: one training epoch of 20,000 reviews, cut or padded to 1500 characters."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.note_epoch import PACKED, Extent, prepare
from benchmarks.note_models import BATCH, CHARACTERS
from benchmarks.turns import in_turns
from benchmarks.workload import Finding, Goal, Options, Tell, Workload

GOALS = (Goal(8.0), Goal(60.0, "torch packed", (PACKED,)))
FULL, QUICK = (30, 5), (2, 2)  # batches of a turn, turns
PACKED_SHARE = 0.2
SLOW = ("tensorflow",)  # three times JAX


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """One scene."""
    steps, turns = options.extent(FULL, QUICK)
    prepared = prepare(CHARACTERS, GOALS, options, Extent(steps, PACKED_SHARE, SLOW), tell)
    yield in_turns(prepared, turns, options, tell)


WORKLOAD = Workload(
    name="W2",
    title=f"the note's character model: T={CHARACTERS.steps}, {CHARACTERS.dim} symbols, LSTM "
    f"{CHARACTERS.hidden} over all steps, dropout {CHARACTERS.dropout}, flatten, dense 1, RMSprop, "
    f"batch {BATCH}",
    run=run,
)
