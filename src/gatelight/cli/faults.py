"""What the command line does when something goes wrong: one line and an exit code.

A mistake that the user can mend gives one line on stderr and exit code 2; Ctrl-C gives 130; a reader that
left (a broken pipe) ends the program without a word. Anything else is a fault of ours, with its traceback.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from gatelight.cli.output import abandon, complain
from gatelight.errors import GatelightError, ProcessLost
from gatelight.launched import processes, rank

USER_MISTAKE = 2
INTERRUPTED = 130
READER_LEFT = 141  # what a shell reports for a program that SIGPIPE ended, as `yes | head` does


class Stopped(KeyboardInterrupt):
    """Ctrl-C at a moment when there is something to say, such as how to go on."""


def end_with_the_others() -> None:
    """Of several processes: say why, when torchrun ends this one because another failed."""
    if processes() == 1:
        return

    def end(number: int, frame: FrameType | None) -> None:
        complain(str(ProcessLost("torchrun ends this one")))
        os._exit(USER_MISTAKE)

    signal.signal(signal.SIGTERM, end)


def exit_code(work: Callable[[], object], in_words: Callable[[str], str] = str) -> int:
    """Do `work` and return its exit code; what is to be said of an error goes to stderr in one line.

    `in_words` turns a message of the library into one for the shell.
    """
    try:
        work()
        sys.stdout.flush()  # a full disk behind stdout often shows only here
    except BrokenPipeError:
        abandon(sys.stdout)
        return READER_LEFT
    except KeyboardInterrupt as stop:
        if not rank():
            complain(str(stop) if isinstance(stop, Stopped) else "stopped")
        return INTERRUPTED
    except (GatelightError, OSError, MemoryError) as error:
        try:
            sys.stdout.flush()
        except OSError:
            abandon(sys.stdout)
        said = describe(error)
        if processes() > 1:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what it would say is said here
        if rank() and not isinstance(error, ProcessLost):
            return USER_MISTAKE  # the first process has the same mistake to tell
        complain(in_words(said) if isinstance(error, GatelightError) else said)
        return USER_MISTAKE
    return 0


def describe(error: Exception) -> str:
    """Say in one line what went wrong: for an OSError the reason and the file, without its number."""
    if isinstance(error, OSError) and error.strerror:
        names = [os.fspath(name) for name in (error.filename, error.filename2) if isinstance(name, str)]
        return f"{' -> '.join(names)}: {error.strerror}" if names else error.strerror
    if isinstance(error, MemoryError):
        what = f"memory does not suffice: {error}" if str(error) else "memory does not suffice"
        return f"{what}; give fewer texts (--limit), cut them shorter (--max-length) or train with --on-disk"
    return str(error) or type(error).__name__
