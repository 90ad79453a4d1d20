"""`python -m benchmarks`: run workloads, print a line of each, write RESULTS.md and RESULTS.json."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from benchmarks import keras_words, results, w1_word_model
from benchmarks.machine import describe, matrix_rate
from benchmarks.reviews import SCRATCH
from benchmarks.turns import standing, take_turns
from benchmarks.workload import Options, Workload

WORKLOADS: dict[str, Workload] = {one.name: one for one in (w1_word_model.WORKLOAD,)}
QUICK = Options(steps=8, turns=3)
WHOLE_TURNS = 2
BUSY = 0.25  # load for each core above which times are not to be trusted


def main(arguments: list[str] | None = None) -> int:
    """Run what the arguments ask for; 1 when a quick run misses a goal, 2 when it cannot be run, else 0."""
    asked = _parser().parse_args(arguments)
    if not asked.without_keras and not keras_words.installed():
        _tell("Keras and TensorFlow are not installed: use make bench, or leave them out by --without-keras")
        return 2
    options = _options(asked)
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > BUSY * (os.cpu_count() or 1):
        _tell(f"the machine is busy (load {os.getloadavg()[0]:.1f}): these times say little")
    # A small slice must not take the place of what was really measured.
    folder = SCRATCH / "quick" if asked.quick else Path(__file__).parent
    records = {}
    for name in asked.workload or WORKLOADS:
        workload = WORKLOADS[name]
        machine = describe()
        _tell(f"{name}: preparing, and comparing outputs and gradients")
        prepared = workload.prepare(options)
        for sentence in prepared.agreed:
            _tell(sentence)
        seconds, rates = take_turns(prepared.contestants, options.turns, matrix_rate, _tell)
        found = standing(prepared, seconds, rates)
        records[name] = results.record(workload, prepared, found, machine, options)
        results.write(folder, {name: records[name]})
    _tell(f"written to {folder / 'RESULTS.md'}")
    for name, one in records.items():
        print(results.line(name, one))
    return int(asked.quick and not all(one["met"] for one in records.values()))


def _options(asked: argparse.Namespace) -> Options:
    keras = not asked.without_keras
    default = QUICK if asked.quick else Options()
    if asked.whole_epoch:
        return Options(None, asked.turns or WHOLE_TURNS, keras)
    return Options(asked.steps or default.steps, asked.turns or default.turns, keras)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--workload", action="append", choices=list(WORKLOADS), help="only this one; may be repeated"
    )
    parser.add_argument("--steps", type=_positive, help="batches of a turn")
    parser.add_argument("--turns", type=_positive, help="turns of each contestant")
    parser.add_argument("--without-keras", action="store_true", help="leave Keras out, and say so")
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument(
        "--quick",
        action="store_true",
        help="a small slice; 1 when a goal is not met; keeps RESULTS.md",
    )
    extent.add_argument("--whole-epoch", action="store_true", help="whole epochs instead of a slice")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(f"{text} is below 1")
    return number


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
