"""W8, files to a saved model: `gatelight train` with note-400, and the note's way in Keras, dense arrays."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.agreement import DisagreementError
from benchmarks.keras_process import stop_all
from benchmarks.measured_process import Run, gatelight, measure
from benchmarks.note_models import WORDS
from benchmarks.review_files import archive, vectors
from benchmarks.workload import Finding, Options, Outcome, Tell, Workload

REVIEWS = 16_000  # dense arrays of all 25,000 are 12 GB, which Keras holds nearly twice
QUICK = (480, 2400)  # two sizes, from which the time for REVIEWS follows; of the script the first is enough
RUNS = 2  # of ours before the script and as many after it, for a machine's speed drifts
TIME_GOAL, MEMORY_GOAL = 8.0, 8.0
SAME_LENGTH = (
    0.05  # words a review as both read them; ours tells of its training part, four fifths of the texts
)
FLOAT32 = 4  # bytes
KERAS = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}


def run(options: Options, tell: Tell) -> Iterator[Finding]:
    """One table."""
    stop_all()  # the memory of Keras's other processes is needed here
    vectors()
    with tempfile.TemporaryDirectory() as folder:
        runs = []
        if options.quick:
            small, large = (ours(count, Path(folder)) for count in QUICK)
            mine, compared = scaled(small, large, *QUICK), small
            tell(f"gatelight: {QUICK} reviews in {small.seconds:.1f} and {large.seconds:.1f} s")
        else:
            runs = [_told(ours(REVIEWS, Path(folder)), tell) for _ in range(RUNS)]
            compared = runs[0]
        count = QUICK[0] if options.quick else REVIEWS
        keras = by_keras(count, Path(folder))
        tell(f"Keras: {keras.seconds:.1f} s, {keras.peak / 2**30:.2f} GiB; {_last_line(keras)['stages']}")
        theirs = scaled_by_stages(keras, count) if options.quick else keras
        if runs:
            runs += [_told(ours(REVIEWS, Path(folder)), tell) for _ in range(RUNS)]
            mine = middle(runs)
        found = {"gatelight train": mine, "Keras on TensorFlow, dense arrays": theirs}
    yield Finding(
        name="",
        measured="files to saved model",
        outcomes=outcomes(found),
        agreed=[same_reading(compared, keras)],
        table=[
            ["files to saved model", "seconds", "largest memory, GiB"],
            *([name, f"{one.seconds:.1f}", f"{one.peak / 2**30:.2f}"] for name, one in found.items()),
        ],
        facts={
            "reviews": f"{REVIEWS:,}, a fifth held out, two epochs, vectors from a file; no baseline, "
            "which the script has not either",
            "gatelight train": f"the middle of {len(runs)} runs, half of them before the script: "
            f"{', '.join(f'{one.seconds:.1f}' for one in runs)} s"
            if runs
            else "",
            "scaled": f"from {QUICK[0]} and {QUICK[1]} reviews, the script from {QUICK[0]}"
            if options.quick
            else "",
        },
    )


def ours(count: int, folder: Path) -> Run:
    """`gatelight train` from an archive to a folder."""
    return measure(
        gatelight(
            "train", str(archive(count)), "--preset", "note-400", "--vectors", str(vectors()),
            "--no-baseline", "--json", "--out", str(folder / f"model-{count}"),
        )
    )  # fmt: skip


def by_keras(count: int, folder: Path) -> Run:
    """The script from the same archive to a file."""
    script = [sys.executable, "-m", "benchmarks.keras_note_script"]
    return measure([*script, str(archive(count)), str(vectors()), str(folder / "model.keras")], KERAS)


def same_reading(ours: Run, keras: Run) -> str:
    """Say that both read the same words; raises DisagreementError where they do not."""
    mine = _last_line(ours)["lengths"]["average"]
    other = _last_line(keras)["mean_length"]
    if abs(mine - other) > SAME_LENGTH * other:
        raise DisagreementError(f"gatelight read {mine:.1f} words a review, the script {other:.1f}")
    return f"words with a vector a review: gatelight {mine:.1f} (training part), the script {other:.1f} (all)"


def middle(runs: Sequence[Run]) -> Run:
    """The median of the runs' seconds, and the most memory that any took."""
    seconds = statistics.median(one.seconds for one in runs)
    return Run(seconds, max(one.peak for one in runs), runs[0].printed)


def _told(run: Run, tell: Tell) -> Run:
    tell(f"gatelight: {run.seconds:.1f} s, {run.peak / 2**30:.2f} GiB")
    return run


def scaled(small: Run, large: Run, few: int, many: int) -> Run:
    """What two sizes say of REVIEWS: a fixed part, and a part for each review."""

    def grown(low: float, high: float) -> float:
        return high + max(0.0, high - low) / (many - few) * (REVIEWS - many)

    return Run(grown(small.seconds, large.seconds), int(grown(small.peak, large.peak)), large.printed)


def scaled_by_stages(keras: Run, count: int) -> Run:
    """What the script's stages say of REVIEWS: what grows with the reviews, and what does not.

    The second epoch is what an epoch takes; what the first takes longer is compiling, once. Of memory only
    the dense array itself is taken to grow, though parts of it may be held twice.
    """
    stages: Mapping[str, Any] = _last_line(keras)["stages"]
    seconds = {name: taken for name, (taken, _) in stages.items()}
    growing = seconds["tokens"] + seconds["arrays"] + 2 * seconds["epoch 2"]
    return Run(
        keras.seconds + growing * (REVIEWS - count) / count,
        keras.peak + WORDS.steps * WORDS.dim * FLOAT32 * (REVIEWS - count),
        keras.printed,
    )


def outcomes(found: Mapping[str, Run]) -> list[Outcome]:
    """Time and memory against the script's."""
    mine, other = found.values()
    return [
        Outcome("time", other.seconds / mine.seconds, TIME_GOAL),
        Outcome("memory", other.peak / mine.peak, MEMORY_GOAL),
    ]


def _last_line(run: Run) -> Any:
    return json.loads(run.printed.strip().splitlines()[-1])


WORKLOAD = Workload(
    name="W8",
    title="`gatelight train` with note-400 against the note's way in Keras: files to saved model, "
    "wall time and largest memory",
    run=run,
    needs_keras=True,
)
