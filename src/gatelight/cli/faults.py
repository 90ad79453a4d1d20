"""What the command line does when something goes wrong: one line and an exit code. Knows no verb.

A mistake that the user can mend gives one line on stderr and exit code 2; Ctrl-C gives 130; a
reader that left (a broken pipe) ends the program without a word. Anything else is a fault of ours
and keeps its traceback (exit code 1).
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from gatelight.cli.options import in_options
from gatelight.cli.output import one_line
from gatelight.errors import GatelightError

USER_MISTAKE = 2
INTERRUPTED = 130
# What a shell reports for a program that SIGPIPE ended, as `yes | head` does.
READER_LEFT = 141


class Stopped(KeyboardInterrupt):
    """Ctrl-C at a moment when there is something to say, such as how to go on."""


class FaultTolerantGroup(TyperGroup):
    """The root of all verbs, around which errors become exit codes."""

    def invoke(self, ctx: Any) -> Any:
        with exit_codes():
            return super().invoke(ctx)


@contextlib.contextmanager
def exit_codes() -> Iterator[None]:
    """Turn the errors of the block into one line on stderr and typer.Exit with the right code."""
    try:
        yield
        # A full disk behind stdout often shows only here.
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon_stdout()
        raise typer.Exit(READER_LEFT) from None
    except KeyboardInterrupt as stop:
        _complain(str(stop) if isinstance(stop, Stopped) else "stopped")
        raise typer.Exit(INTERRUPTED) from None
    except (GatelightError, OSError) as error:
        _abandon_stdout_if_broken()
        _complain(describe(error))
        raise typer.Exit(USER_MISTAKE) from None


@contextlib.contextmanager
def keeping_runs(out: Path) -> Iterator[None]:
    """Make Ctrl-C in the block say that the runs that ended are kept in `out`, and how to go on."""
    from gatelight.models.history import Interrupted

    try:
        yield
    except (Interrupted, KeyboardInterrupt):
        raise Stopped(
            f"stopped; what the finished runs found is in {out}, and the same command goes on"
        ) from None


def describe(error: Exception) -> str:
    """Say in one line what went wrong: for an OSError the reason and the file, without its number.

    What the library calls by a parameter's name is called by the option's here.
    """
    if isinstance(error, OSError) and error.strerror:
        names = [os.fspath(name) for name in (error.filename, error.filename2) if isinstance(name, str)]
        return f"{' -> '.join(names)}: {error.strerror}" if names else error.strerror
    said = str(error) or type(error).__name__
    return in_options(said) if isinstance(error, GatelightError) else said


def _complain(message: str) -> None:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.write(f"gatelight: {one_line(message)}\n")
        sys.stderr.flush()


def _abandon_stdout_if_broken() -> None:
    try:
        sys.stdout.flush()
    except OSError:
        _abandon_stdout()


def _abandon_stdout() -> None:
    # Otherwise the interpreter flushes once more on its way out and prints a second error.
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
