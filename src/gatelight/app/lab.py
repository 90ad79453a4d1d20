"""`gatelight lab`: who remembers how long. Gathers its verbs, knows none of their work."""

from __future__ import annotations

import typer

from gatelight.app import lab_agreement

app = typer.Typer(
    help="Who remembers how long: memory tasks, and agreement in sentences.", no_args_is_help=True
)
app.command("agreement", no_args_is_help=True)(lab_agreement.agreement)
app.command("sentences", no_args_is_help=True)(lab_agreement.sentences)
