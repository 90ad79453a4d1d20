"""`python -m benchmarks`: run workloads, print a line of each, write RESULTS.md and RESULTS.json."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from pathlib import Path

import torch

from benchmarks import (
    results,
    w1_word_model,
    w2_character_model,
    w3_bidirectional,
    w4_layers,
    w5_peephole,
    w6_throughput,
    w7_latency,
    w8_training,
    w9_growth,
    w10_reading,
    w11_cold_start,
    w12_accelerate,
    w13_language_model,
    w14_sampling,
)
from benchmarks.keras_process import installed, stop_all
from benchmarks.machine import describe
from benchmarks.reviews import SCRATCH
from benchmarks.workload import Options, Workload

MODULES = (
    w1_word_model, w2_character_model, w3_bidirectional, w4_layers, w5_peephole, w6_throughput, w7_latency,
    w8_training, w9_growth, w10_reading, w11_cold_start, w12_accelerate, w13_language_model, w14_sampling,
)  # fmt: skip
WORKLOADS: dict[str, Workload] = {module.WORKLOAD.name: module.WORKLOAD for module in MODULES}
BUSY = 0.25  # load for each core above which times are not to be trusted


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; 1 when a workload fails or a quick run misses a goal, 2 when none can run."""
    asked = _parser().parse_args(arguments)
    if not asked.without_keras and not installed():
        _tell("Keras, TensorFlow or JAX is not installed: use make bench, or leave them out: --without-keras")
        return 2
    options = Options(asked.quick, asked.steps, asked.turns, asked.whole_epoch, keras=not asked.without_keras)
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > BUSY * (os.cpu_count() or 1):
        _tell(f"the machine is busy (load {os.getloadavg()[0]:.1f}): these times say little")
    # A small slice must not take the place of what was really measured.
    folder = SCRATCH / "quick" if asked.quick else Path(__file__).parent
    torch.set_num_threads(1)  # each contestant is given the threads that serve it best
    met = whole = True
    try:
        # Keras's dense arrays take nearly all memory: before the others have left anything there.
        for name in asked.only or sorted(WORKLOADS, key=lambda name: name != "W8"):
            if WORKLOADS[name].needs_keras and not options.keras:
                _tell(f"{name} compares with Keras, which is left out: not run")
            else:
                try:
                    met &= _run(WORKLOADS[name], options, folder)
                except (RuntimeError, OSError) as error:  # as of a peer that the system ended for its memory
                    _tell(f"{name} is not measured, the others go on: {error}")
                    whole = False
    finally:
        stop_all()
    _tell(f"written to {folder / 'RESULTS.md'}")
    return int(not whole or (asked.quick and not met))


def _run(workload: Workload, options: Options, folder: Path) -> bool:
    machine, began = describe(), time.perf_counter()
    findings = []
    for finding in workload.run(options, lambda line: _tell(f"{workload.name}: {line}")):
        for outcome in finding.outcomes:
            _tell(results.goal_line(workload.name, outcome))
        findings.append(finding)
    one = results.record(workload, findings, machine, time.perf_counter() - began)
    results.write(folder, {workload.name: one})
    print(results.line(workload.name, one), flush=True)
    return bool(one["met"])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--only", type=_workloads, metavar="W4,W5", help="these workloads only")
    parser.add_argument("--steps", type=_positive, help="batches of a turn, where a workload trains")
    parser.add_argument("--turns", type=_positive, help="turns of each contestant")
    parser.add_argument("--without-keras", action="store_true", help="leave Keras out, and say so")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="a small slice; 1 when a goal is not met; keeps RESULTS.md",
    )
    parser.add_argument("--whole-epoch", action="store_true", help="W1, W2: whole epochs, not a slice")
    return parser


def _workloads(text: str) -> list[str]:
    names = [name.strip().upper() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"there is no {text!r}; there are {', '.join(WORKLOADS)}")
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(f"{text} is below 1")
    return number


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    code = main()
    gc.freeze()  # nobody looks for cycles in what goes with the process
    sys.exit(code)
