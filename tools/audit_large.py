"""Audits a made-up file of any size in a process of its own and prints what it took. Judges no finding.

    python tools/audit_large.py --megabytes 1000

The texts are random words by Zipf's law with slips of the pen: distinct words keep coming, as in prose.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TYPES = 100_000
SLIPS = 0.002  # of the words are misspelt in a way of their own
AT_ONCE = 500  # texts


def write(path: Path, megabytes: int, words: int) -> None:
    """Write JSON lines of texts of about `words` words in two classes."""
    draw = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    types = np.array(["".join(draw.choice(letters, 1 + min(9, int(np.log2(i + 2))))) for i in range(TYPES)])
    shares = 1 / np.arange(1, TYPES + 1)
    edges = np.cumsum(shares / shares.sum())
    written = number = 0
    with path.open("w", encoding="ascii") as file:
        while written < megabytes * 1_000_000:
            chosen = types[np.searchsorted(edges, draw.random((AT_ONCE, words)))].astype(object)
            slips = draw.random((AT_ONCE, words)) < SLIPS
            chosen[slips] += ["".join(draw.choice(letters, 5)) for _ in range(int(slips.sum()))]
            for row in chosen:
                number += 1
                written += file.write(json.dumps({"text": " ".join(row), "label": "ab"[number % 2]}) + "\n")


def main() -> None:
    """Write the file, audit it, print seconds and the largest memory of the process."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--megabytes", type=int, default=1000)
    options.add_argument("--words", type=int, default=230)
    options.add_argument(
        "--folder", type=Path, default=None, help="where there is room for three times as much"
    )
    given = options.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "large.jsonl"
        write(path, given.megabytes, given.words)
        command = [
            sys.executable,
            "-c",
            "from gatelight.cli.main import run; run()",
            "audit",
            str(path),
            "--json",
        ]
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        seconds = time.perf_counter() - began
        found = json.loads(done.stdout)
        record = {
            "bytes": path.stat().st_size,
            "texts": found["texts"],
            "findings": {finding["name"]: finding["count"] for finding in found["findings"]},
            "all_types": found["all_types"],
            "searched": found["searched"],
            "seconds": round(seconds, 1),
            "peak_megabytes": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000),
        }
        print(json.dumps(record))


if __name__ == "__main__":
    main()
