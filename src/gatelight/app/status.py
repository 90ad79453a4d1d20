"""`gatelight status`: which path computes the memory on this machine, and why."""

from __future__ import annotations

from dataclasses import asdict

from gatelight.app.options import Json
from gatelight.app.output import console, emit, say


def status(json: Json = False) -> None:
    """Say which path computes each cell here, and why."""
    from gatelight.memory import status as of_memory

    found = of_memory()
    if json:
        emit(asdict(found))
    else:
        to = console()
        for line in str(found).splitlines():
            say(to, line)
