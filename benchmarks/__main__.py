"""`python -m benchmarks`: run workloads, print a line of each, write RESULTS.md and results.svg.

With `--against FOLDER` the same workloads with the code of another checkout, in turns with this one's.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.agreement import DisagreementError
from benchmarks.texts import SCRATCH
from benchmarks.workloads import WORKLOADS, Options

BUSY = 0.25  # load for each core above which times are not to be trusted


def main(arguments: list[str] | None = None) -> int:
    """Run what is asked for; 1 when a workload fails, 2 when none can run."""
    asked = _parser().parse_args(arguments)
    if asked.against is not None and not (asked.against / "src" / "gatelight").is_dir():
        _tell(f"{asked.against} holds no src/gatelight; name a checkout of gatelight")
        return 2
    if asked.against is None and not asked.without_keras and not _installed():
        _tell("Keras or TensorFlow is not installed: use make bench, or leave them out: --without-keras")
        return 2
    if hasattr(os, "getloadavg") and os.getloadavg()[0] > BUSY * (os.cpu_count() or 1):
        _tell(f"the machine is busy (load {os.getloadavg()[0]:.1f}): these times say little")
    against = None if asked.against is None else asked.against.resolve()
    options = Options(asked.quick, asked.rounds, not asked.without_keras, against)
    findings, failed = [], False
    for name in asked.only or WORKLOADS:
        try:
            found = WORKLOADS[name](options, _tell)
        except (RuntimeError, ValueError, DisagreementError) as error:
            _tell(f"{name} is not measured, the others go on: {error}")
            failed = True
            continue
        findings.append(found)
        print(found.line(), flush=True)
    if against is not None:
        print(report.table(findings))
    elif findings:
        # What was not measured in full must not take the place of what was.
        whole = not (asked.quick or asked.only or asked.without_keras or failed)
        _tell(f"written to {report.write(Path(__file__).parent if whole else SCRATCH, findings)}")
    return int(failed)


def _installed() -> bool:
    return all(importlib.util.find_spec(name) is not None for name in ("keras", "tensorflow"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("--only", type=_names, metavar="NAME,…", help=f"some of {', '.join(WORKLOADS)}")
    parser.add_argument("--rounds", type=int, help="turns of each contestant")
    parser.add_argument("--quick", action="store_true", help="a small slice, in three minutes")
    parser.add_argument("--without-keras", action="store_true", help="leave Keras out")
    parser.add_argument(
        "--against", type=Path, metavar="FOLDER", help="another checkout of gatelight, instead of the peers"
    )
    return parser


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in WORKLOADS]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"there is no {text!r}; there are {', '.join(WORKLOADS)}")
    return names


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
