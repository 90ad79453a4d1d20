"""`gatelight data list` and `data get`: which named data sets there are, and getting them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gatelight.cli.options import JSON, argument, option
from gatelight.cli.output import emit, say, table

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(kw_only=True)
class List:
    """List the named data sets, their licences, and what is here."""

    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.cli.output import size
        from gatelight.text.datasets import DATASETS, cache_folder, cached

        found = [(entry, cached(entry.name)) for entry in DATASETS.values()]
        if self.json:
            for entry, path in found:
                of = {"name": entry.name, "kind": entry.kind, "about": entry.about, "licence": entry.licence}
                emit({**of, "bytes": entry.size, "path": None if path is None else str(path)})
            return
        rows = [
            [entry.name, entry.kind, size(entry.size), "here" if path else "not here yet"]
            for entry, path in found
        ]
        to.print(table(["name", "kind", "size", ""], rows))
        for entry, _ in found:
            say(to, f"{entry.name}: {entry.about}")
            say(to, f"  licence: {entry.licence}")
        say(to, f"kept in {cache_folder()}")


@dataclass(kw_only=True)
class Get:
    """Fetch a named data set, check it and keep it."""

    name: str = argument("the data set's name", "NAME")
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.cli.progress import Meter, download
        from gatelight.text import datasets

        with Meter(to) as meter:
            path = datasets.get(self.name, download(meter, self.name))
        entry = datasets.DATASETS[self.name]
        if self.json:
            emit({"name": self.name, "path": str(path), "licence": entry.licence})
            return
        say(to, f"{self.name}: {entry.about}")
        say(to, f"licence: {entry.licence}")
        say(to, f"kept in {path}")
