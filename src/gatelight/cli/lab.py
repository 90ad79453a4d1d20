"""`gatelight lab`: who remembers how long. Gathers its verbs, knows none of their work."""

from __future__ import annotations

import typer

from gatelight.cli import lab_agreement, lab_tasks

app = typer.Typer(
    help="Who remembers how long: memory tasks, and agreement in sentences.", no_args_is_help=True
)
app.command("list")(lab_tasks.list_tasks)
app.command("run")(lab_tasks.run)
app.command("report", no_args_is_help=True)(lab_tasks.report)
app.command("agreement", no_args_is_help=True)(lab_agreement.agreement)
app.command("sentences", no_args_is_help=True)(lab_agreement.sentences)
