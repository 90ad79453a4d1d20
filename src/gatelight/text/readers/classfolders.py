"""A folder or archive with one folder per class (`pos/1.txt`), or parts above them (`train/pos/1.txt`)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from gatelight.errors import DataError
from gatelight.text import archives
from gatelight.text.readers.example import Example, Options
from gatelight.text.readers.streams import decoded

PARTS = frozenset({"train", "test", "valid", "validation", "dev", "unsup"})


def read_classfolders(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each file as a text, its folder's name being its class; hidden files are left out.

    A file's id is its path. Files above the class folders (a README) are left out too. Raises DataError
    when there is no class folder with a file in it.
    """
    root = Path(source)
    names = folder_names(root) if root.is_dir() else archives.member_names(root, options.max_bytes)
    places = _places(names)
    if not places:
        raise DataError(f"{source}: no texts found; expected one folder per class with files in it")
    places = {name: place for name, place in places.items() if options.wants(place[0])}
    for name, content in _contents(root, places, options):
        part, label, own_id = places[name]
        text = decoded(content, options, f"{source}: {name}" if root.is_file() else str(root / name))
        yield Example(text, label, id=own_id, part=part)


def _contents(root: Path, names: Iterable[str], options: Options) -> Iterator[tuple[str, bytes]]:
    if root.is_dir():
        return ((name, archives.whole_file(root / name, options.max_bytes)) for name in names)
    wanted = set(names)
    return archives.members(root, lambda name: name in wanted, options.max_bytes)


def folder_names(root: Path) -> Iterator[str]:
    """Yield the relative path of each file below a folder, sorted within each folder."""
    for folder, inner, files in os.walk(root):
        inner.sort()
        prefix = Path(folder).relative_to(root)
        for name in sorted(files):
            yield (prefix / name).as_posix()


def _places(names: Iterable[str]) -> dict[str, tuple[str | None, str, str]]:
    """Part, class and id by file name; one folder around everything, as archives have, is looked through."""
    paths = {name: tuple(step for step in name.split("/") if step not in ("", ".")) for name in names}
    paths = {
        name: steps
        for name, steps in paths.items()
        if not any(step.startswith((".", "__MACOSX")) for step in steps)
    }
    outer = {steps[0] for steps in paths.values()}
    deep = any(len(steps) > 2 for steps in paths.values())
    if len(outer) == 1 and deep and not outer & PARTS:
        paths = {name: steps[1:] for name, steps in paths.items()}
    places: dict[str, tuple[str | None, str, str]] = {}
    for name, steps in paths.items():
        part, inner = (steps[0], steps[1:]) if steps[0] in PARTS else (None, steps)
        if len(inner) >= 2:
            places[name] = part, inner[0], "/".join(steps)
    return places
