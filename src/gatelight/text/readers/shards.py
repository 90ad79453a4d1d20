"""A folder or glob of tables, each of which is read as a file of its own, one after the other by name."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable
from pathlib import Path

from gatelight.text import archives
from gatelight.text.readers.folders import SPLITS

ENDINGS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".ft": "fasttext",
    ".fasttext": "fasttext",
}

_SPLIT = re.compile(rf"({'|'.join(SPLITS)})(?![^\W_])")


def ending(path: Path) -> str:
    """Return the ending of a file's name, in lower case, below that of its compression."""
    return (path.with_suffix("") if archives.compression(path) else path).suffix.lower()


def shards(source: str | Path) -> dict[Path, str | None]:
    """Return the tables that a folder or glob stands for, in order, each with its split; none for a file.

    In a folder, a file whose name begins with that of a split ("train-00001.parquet"), or that lies in a
    folder of that name, is of this split. A glob says itself which files are meant.
    """
    root = Path(source)
    if root.is_dir():
        names = {path: path.relative_to(root).parts for path in _tables(root.rglob("*"))}
        shown = {path: steps for path, steps in names.items() if not any(step[0] in "._" for step in steps)}
        return {path: _split(steps) for path, steps in shown.items()}
    if root.exists() or not glob.has_magic(str(source)):
        return {}
    return dict.fromkeys(_tables(map(Path, glob.glob(str(source), recursive=True))))  # noqa: PTH207


def _tables(paths: Iterable[Path]) -> list[Path]:
    return sorted(path for path in paths if ending(path) in ENDINGS and path.is_file())


def _split(steps: tuple[str, ...]) -> str | None:
    found = (_SPLIT.match(step) for step in steps)
    return next((match[1] for match in found if match), None)
