"""Errors at the command line: one line and the right exit code for the user's, a traceback for ours."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gatelight.cli.faults import Stopped, exit_code
from gatelight.cli.options import in_options
from gatelight.errors import DataError, ModelFileError


def failing(error: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("no such column"), 2, "gatelight: no such column\n"),
        (ModelFileError("two\nlines\x1b[2J"), 2, "gatelight: two lines [2J\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "model/x"),
            2,
            "gatelight: model/x: No space left on device\n",
        ),
        (FileNotFoundError(2, "No such file or directory", "a.csv"), 2, None),
        (MemoryError("Unable to allocate 8.00 GiB"), 2, None),
        (KeyboardInterrupt(), 130, "gatelight: stopped\n"),
        (Stopped("stopped after epoch 1; --resume goes on"), 130, None),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), 141, ""),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(
    error: BaseException, code: int, line: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script branches on the code; a person reads the line; nobody is shown a traceback."""
    assert exit_code(failing(error)) == code
    said = capsys.readouterr().err
    assert said.count("\n") == (0 if line == "" else 1)
    assert "Traceback" not in said
    if line is not None:
        assert said == line


def test_our_own_faults_keep_their_traceback() -> None:
    """A bug that is disguised as the user's mistake is never reported to us."""
    with pytest.raises(ZeroDivisionError):
        exit_code(failing(ZeroDivisionError("ours")))


def gatelight(*arguments: str, **how: Any) -> subprocess.CompletedProcess[str]:
    program = "from gatelight.cli.main import run; run()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], stderr=subprocess.PIPE, text=True, timeout=60, **how
    )


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_a_full_disk_behind_stdout_is_one_line() -> None:
    """Buffered output fails only at the last flush, after the command has returned; it must still be told."""
    with Path("/dev/full").open("w") as stdout:
        done = gatelight("summary", "--preset", "note-200", stdout=stdout)
    assert done.returncode == 2
    assert done.stderr == "gatelight: No space left on device\n"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("a.csv: no label; name it with label_column", "a.csv: no label; name it with --label-column"),
        ("go on with encoding_errors='replace'", "go on with --encoding-errors replace"),
        ("(train_vectors=False); give vectors=, a", "(--no-train-vectors); give --vectors, a"),
        ("truncation='head+tail'.", "--truncation head+tail."),
        ("the columns are 'label_column', 'min_count=2'", "the columns are 'label_column', 'min_count=2'"),
        ("max_bytes.csv: the format of two layers", "max_bytes.csv: the format of two layers"),
    ],
)
def test_a_message_names_what_can_be_typed(said: str, shown: str) -> None:
    """`label_column` at a shell leads to `No such option`; a user's own names must stay as they are."""
    names = [
        "label_column", "encoding", "encoding_errors", "layers", "layer_dropout", "train_vectors", "vectors",
        "max_bytes", "min_count", "truncation", "format",
    ]  # fmt: skip
    assert in_options(said, {name: "--" + name.replace("_", "-") for name in names}) == shown
