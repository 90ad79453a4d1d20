"""The program `gatelight`: gathers the verbs and runs them. Knows no verb's work.

Nothing heavy (torch, scikit-learn, numba) is imported here or at the top of a verb's module, so
that `gatelight --help` answers at once; and of a verb that is typed, no other verb's module.
"""

from __future__ import annotations

import gc
import io
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from gatelight import __version__
from gatelight.cli.faults import USER_MISTAKE, FaultTolerantGroup

VERBS = {
    "train": "train",
    "evaluate": "evaluate",
    "explain": "explain",
    "faithfulness": "explain",
    "trace": "inside",
    "units": "inside",
    "ablate": "inside",
    "errors": "errors",
    "audit": "audit",
    "compare": "compare",
    "train-lm": "train_lm",
    "generate": "generate",
    "predict": "predict",
    "report": "report",
    "serve": "serve",
    "summary": "summary",
    "embed": "embed",
    "neighbours": "embed",
    "import": "import_",
    "export": "export",
    "status": "status",
}
"""Each verb's module, in which a function has its name."""
GROUPS = ("data", "vectors", "lab")
"""Modules with verbs of their own, under `app`."""
COLLECTED_AFTER = 50_000
"""New objects after which cycles are looked for; by Python's 700 that is a tenth of importing and reading."""
NEED_NOTHING = {"summary", "status"}  # the others show their help when nothing is given


def program(only: str | None = None) -> typer.Typer:
    """Return the command line: with every verb, or with the one that is wanted."""
    app = typer.Typer(
        name="gatelight",
        cls=FaultTolerantGroup,
        help="Recurrent text models that train fast on a CPU and show what they remembered.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    app.callback()(_options)
    for verb in VERBS if only not in VERBS else (only,):
        module = import_module(f"gatelight.cli.{VERBS[verb]}")
        function = getattr(module, verb.replace("-", "_") + "_" * (verb == "import"))
        app.command(verb, no_args_is_help=verb not in NEED_NOTHING)(function)
    for group in () if only in VERBS else GROUPS:
        app.add_typer(import_module(f"gatelight.cli.{group}").app, name=group)
    return app


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module 'gatelight.cli.main' has no attribute {name!r}")
    value = globals()["app"] = program()
    return value


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gatelight {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


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
        program(sys.argv[1] if len(sys.argv) > 1 else None)()
    finally:
        # What is left goes with the process: Python would look for cycles in it, a second after a training.
        gc.freeze()
