"""The program `gatelight`: finds the command that was typed and runs it.

Nothing heavy (torch, scikit-learn, numba) is imported here or at the top of a command's module, so that
`gatelight --help` answers at once; and of a command that is typed, no other command's module.
"""

from __future__ import annotations

import gc
import inspect
import io
import sys
from collections.abc import Sequence
from importlib import import_module

from gatelight import __version__
from gatelight.cli.faults import USER_MISTAKE, exit_code
from gatelight.cli.options import Command, Parser, in_options, meant
from gatelight.cli.output import console, set_going_on
from gatelight.errors import DataError

COMMANDS = {
    "train": {
        "train": "train:Train",
        "train-lm": "train:TrainLanguageModel",
        "compare": "compare:Compare",
        "tune": "tune:Tune",
    },
    "use": {
        "predict": "predict:Predict",
        "evaluate": "use:Evaluate",
        "generate": "use:Generate",
        "embed": "embed:Embed",
        "serve": "serve:Serve",
        "import": "exchange:Import",
        "export": "exchange:Export",
    },
    "look inside": {
        "explain": "inside:Explain",
        "trace": "inside:Trace",
        "summary": "inside:Summary",
        "report": "report:Report",
        "errors": "errors:Errors",
    },
    "data": {"audit": "audit:Audit", "data list": "data:List", "data get": "data:Get"},
    "memory tasks": {
        "lab list": "lab:List",
        "lab run": "lab:Run",
        "lab report": "lab:Report",
        "lab agreement": "lab_agreement:Agreement",
    },
}
"""Each command's module and class, by what it is for."""
COLLECTED_AFTER = 50_000
"""New objects after which cycles are looked for; by Python's 700 that is a tenth of importing and reading."""
_PLACES = {name: place for group in COMMANDS.values() for name, place in group.items()}


def run() -> None:
    """Run the command line on sys.argv; exit codes: 0 done, 1 our fault, 2 the user's, 130 interrupted."""
    if sys.stdout is None or sys.stderr is None:
        sys.exit(USER_MISTAKE)
    gc.set_threshold(COLLECTED_AFTER)
    for stream in (sys.stdout, sys.stderr):
        # A text may hold what the terminal's encoding cannot write, and half a surrogate pair even in UTF-8.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        sys.exit(main(sys.argv[1:]))
    finally:
        # What is left goes with the process: Python would look for cycles in it, a second after a training.
        gc.freeze()


def main(typed: Sequence[str]) -> int:
    """Run what was typed after `gatelight` and return the exit code."""
    flags: dict[str, str] = {}

    def work() -> None:
        command = _command(list(typed), flags)
        if command is not None:
            set_going_on(getattr(command, "GOES_ON", ""))
            if hasattr(command, "threads"):
                from gatelight.nn.threads import set_threads

                set_threads(command.threads)
            # What only writes lines needs no console, whose import takes longer than a text.
            shows = bool(inspect.signature(command.run).parameters)
            command.run(*([console(machine=getattr(command, "json", False))] if shows else []))

    return exit_code(work, lambda said: in_options(said, flags) if flags else said)


def _command(typed: list[str], flags: dict[str, str]) -> Command | None:
    """The command, and into `flags` its options by the names that the library knows them by."""
    words = 2 if typed and any(name.startswith(f"{typed[0]} ") for name in _PLACES) else 1
    name, rest = " ".join(typed[:words]), typed[words:]
    if name == "--version":
        print(f"gatelight {__version__}")
    elif name in ("", "--help", "-h"):
        print(_overview(list(_PLACES)))
    elif words == 2 and (len(typed) == 1 or typed[1] in ("--help", "-h")):
        print(_overview([other for other in _PLACES if other.startswith(f"{typed[0]} ")]))
    elif name not in _PLACES:
        raise DataError(f"there is no command {name!r}{meant(name, _PLACES)}; see gatelight --help")
    else:
        parser = _parser(name)
        flags |= parser.flags
        if "--help" in rest or rest == ["-h"] or (not rest and parser.needs_something):
            parser.print_help()
        else:
            return parser.command(rest)
    return None


def _described(name: str) -> type:
    module, _, described = _PLACES[name].partition(":")
    return getattr(import_module(f"gatelight.cli.{module}"), described)  # type: ignore[no-any-return]


def _parser(name: str) -> Parser:
    found = _described(name)
    return Parser(name, found, getattr(found, "SETTINGS", list)())


def _about(name: str) -> str:
    return (_described(name).__doc__ or "").partition("\n")[0]


def _overview(names: Sequence[str]) -> str:
    """The commands by what they are for, a line each."""
    lines = ["Usage: gatelight COMMAND …", ""]
    lines += ["Recurrent text models that train fast on a CPU and show what they remembered.", ""]
    for group, commands in COMMANDS.items():
        own = [name for name in commands if name in names]
        lines += [f"{group}:", *(f"  {name:<15} {_about(name)}" for name in own), ""] if own else []
    lines.append("gatelight COMMAND --help shows its options; gatelight --version the version.")
    return "\n".join(lines)
