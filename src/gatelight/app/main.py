"""The program `gatelight`: gathers the verbs and runs them. Knows no verb's work.

Nothing heavy (torch, scikit-learn, numba) is imported here or at the top of a verb's module, so
that `gatelight --help` answers at once.
"""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from gatelight import __version__
from gatelight.app import (
    audit,
    compare,
    data,
    embed,
    errors,
    evaluate,
    explain,
    export,
    generate,
    import_,
    inside,
    lab,
    predict,
    report,
    serve,
    status,
    summary,
    train,
    train_lm,
    vectors,
)
from gatelight.app.faults import USER_MISTAKE, FaultTolerantGroup

app = typer.Typer(
    name="gatelight",
    cls=FaultTolerantGroup,
    help="Recurrent text models that train fast on a CPU and show what they remembered.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("train", no_args_is_help=True)(train.train)
app.command("evaluate", no_args_is_help=True)(evaluate.evaluate)
app.command("explain", no_args_is_help=True)(explain.explain)
app.command("faithfulness", no_args_is_help=True)(explain.faithfulness)
app.command("trace", no_args_is_help=True)(inside.trace)
app.command("units", no_args_is_help=True)(inside.units)
app.command("ablate", no_args_is_help=True)(inside.ablate)
app.command("errors", no_args_is_help=True)(errors.errors)
app.command("audit", no_args_is_help=True)(audit.audit)
app.command("compare", no_args_is_help=True)(compare.compare)
app.command("train-lm", no_args_is_help=True)(train_lm.train_lm)
app.command("generate", no_args_is_help=True)(generate.generate)
app.command("predict", no_args_is_help=True)(predict.predict)
app.command("report", no_args_is_help=True)(report.report)
app.command("serve", no_args_is_help=True)(serve.serve)
app.command("summary")(summary.summary)
app.command("embed", no_args_is_help=True)(embed.embed)
app.command("neighbours", no_args_is_help=True)(embed.neighbours)
app.command("import", no_args_is_help=True)(import_.import_)
app.command("export", no_args_is_help=True)(export.export)
app.command("status")(status.status)
app.add_typer(data.app, name="data")
app.add_typer(vectors.app, name="vectors")
app.add_typer(lab.app, name="lab")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gatelight {__version__}")
        raise typer.Exit


@app.callback()
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
    for stream in (sys.stdout, sys.stderr):
        # A text may hold what the terminal's encoding cannot write, and half a surrogate pair even in UTF-8.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()
