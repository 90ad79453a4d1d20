"""Which named data sets there are: where each comes from, its checksum, its licence."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple


class File(NamedTuple):
    """A file's name in the cache, its SHA-256 in hexadecimal and its size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class DataSet:
    """A named set of the kind "texts", "vectors" or "pairs"; `catalogue.toml` says what the fields mean."""

    name: str
    kind: str
    about: str
    licence: str
    origin: str
    format: str
    files: tuple[File, ...]
    classes: tuple[str, ...] | None = None
    folder: str = ""
    member: str = ""
    archive: File | None = None

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return sum(file.size for file in self.files)


def _read(path: Path) -> Mapping[str, DataSet]:
    sets = {}
    for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items():
        files = tuple(File(*file) for file in entry.pop("files"))
        archive = File(*entry.pop("archive")) if "archive" in entry else None
        classes = tuple(entry.pop("classes")) if "classes" in entry else None
        origin = entry.pop("from")
        sets[name] = DataSet(name, origin=origin, files=files, archive=archive, classes=classes, **entry)
    return MappingProxyType(sets)


DATASETS = _read(Path(__file__).with_name("catalogue.toml"))
"""The data sets there are, by name."""
