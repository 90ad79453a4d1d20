"""The command line, run in the test's own process or in one of its own, and made-up reviews to run it on."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatelight.cli.main import main

PRAISE, BLAME = ["wonderful", "moving", "clever", "great"], ["dull", "awful", "boring", "messy"]
SETTINGS = {
    "epochs": 4,
    "hidden-size": 8,
    "embedding-dim": 8,
    "batch-size": 16,
    "min-count": 1,
    "learning-rate": 0.03,
    "max-length": 30,
    "validation-fraction": 0.2,
    "embedding-dropout": 0.1,
    "word-dropout": 0.05,
    "vectors": "none",
}
TINY = ["--no-wide", *(part for name, value in SETTINGS.items() for part in (f"--{name}", str(value)))]
LANGUAGE = {"hidden-size": 8, "embedding-dim": 6, "batch-size": 2, "steps": 8, "min-count": 1}
SMALL = [part for name, value in LANGUAGE.items() for part in (f"--{name}", str(value))]
PROGRAM = [sys.executable, "-m", "gatelight"]


@dataclass(frozen=True)
class Result:
    """What a run in this process wrote, and how it ended."""

    exit_code: int
    stdout: str
    stderr: str
    exception: BaseException | None = None

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


def gatelight(*arguments: object, given: str | bytes = b"") -> Result:
    """Run the command line in this process, with `given` on standard input."""
    typed = given.encode() if isinstance(given, str) else given
    before = sys.stdin, sys.stdout, sys.stderr
    files = io.BytesIO(typed), io.BytesIO(), io.BytesIO()
    streams = [
        io.TextIOWrapper(file, "utf-8", errors="backslashreplace", write_through=True) for file in files
    ]
    sys.stdin, sys.stdout, sys.stderr = streams
    error: BaseException | None = None
    try:
        code = main([str(argument) for argument in arguments])
    except Exception as ours:
        code, error = 1, ours
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
    out, err = (file.getvalue().decode() for file in files[1:])
    return Result(code, out, err, error)


def succeeded(*arguments: object, given: str | bytes = b"") -> Result:
    """Run the command line in this process, and check that it did what it was asked for."""
    result = gatelight(*arguments, given=given)
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def start(*arguments: object, **how: Any) -> subprocess.Popen[bytes]:
    """Start the command line in a process of its own, whose output is buffered as it is for users."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen([*PROGRAM, *map(str, arguments)], env=environment, **how)


def apart(*arguments: object) -> Result:
    """Run the command line in a process of its own, to its end."""
    with start(*arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        out, err = run.communicate(timeout=120)
    return Result(run.returncode, out.decode(), err.decode())


def one_line_and_two(result: Result) -> str:
    """Check that a run ended as a user's mistake must, and return its line."""
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert result.stderr.count("\n") == 1, result.stderr
    assert result.stderr.startswith("gatelight: ")
    assert "Traceback" not in result.output
    return str(result.stderr)


def json_lines(output: str) -> list[dict[str, Any]]:
    """Read every line as one JSON object."""
    return [json.loads(line) for line in output.splitlines()]


def write_reviews(path: Path, number: int = 160, seed: int = 1) -> Path:
    """Write made-up reviews of 20 films in three columns: text, label, film."""
    draw = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label", "film"])
        for row in range(number):
            word = draw.choice((BLAME, PRAISE)[row % 2])
            rows.writerow(
                [
                    f"the film {row % 23} was {word}, and so is its music",
                    ("neg", "pos")[row % 2],
                    f"f{row % 20}",
                ]
            )
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return every file under a folder with its bytes."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
