"""One function per format, `(source, options) -> iterator of examples`; a new format is one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from gatelight.errors import DataError
from gatelight.text import archives
from gatelight.text.readers import streams
from gatelight.text.readers.example import Example, Label, Options
from gatelight.text.readers.folders import has_reviews, read_aclimdb, read_class_folders
from gatelight.text.readers.lines import PREFIX, read_fasttext, read_lines
from gatelight.text.readers.shards import ENDINGS, ending, shards
from gatelight.text.readers.tables import read_csv, read_jsonl, read_parquet, read_tsv

__all__ = ["FORMATS", "Example", "Label", "Options", "detect", "examples"]

FORMATS: dict[str, Callable[[str | Path, Options], Iterator[Example]]] = {
    "aclimdb": read_aclimdb,
    "classes": read_class_folders,
    "csv": read_csv,
    "tsv": read_tsv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "fasttext": read_fasttext,
    "lines": read_lines,
}

SHARDS = "shards"
_WHOLE = ("aclimdb", "classes", "parquet")  # cannot come through a pipe


def detect(source: str | Path, options: Options) -> str:
    """Return the format of a path by its name, a folder's or archive's by what is in it; `-` is plain lines.

    A folder of tables, or a glob, is "shards". Raises DataError when there is nothing at the path.
    """
    if streams.is_stdin(source):
        return "lines"
    path = Path(source)
    if path.exists() and (path.is_dir() or archives.is_archive(path)) and has_reviews(path, options):
        return "aclimdb"
    if shards(source):
        return SHARDS
    path = _existing(source)
    if path.is_dir() or archives.is_archive(path):
        return "classes"
    if (end := ending(path)) in ENDINGS:
        return ENDINGS[end]
    with archives.opened(path, options.max_bytes) as stream:
        start = stream.read1().removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(PREFIX.encode()):
        return "fasttext"
    if end == ".json":
        if start.startswith(b"{"):
            return "jsonl"
        raise DataError(f"{source}: not JSON Lines; write one object a line and name the file .jsonl")
    return "lines"


def examples(source: str | Path, options: Options, format: str | None = None) -> Iterator[Example]:
    """Yield the texts of a source one by one, in its own order; raises what the format's reader raises."""
    if format is None:
        format = detect(source, options)
        return _of_shards(source, options) if format == SHARDS else FORMATS[format](source, options)
    if format not in FORMATS:
        raise DataError(f"no format {format!r}; the formats are {', '.join(FORMATS)}")
    if streams.is_stdin(source) and format in _WHOLE:
        raise DataError(f"standard input cannot be read as {format}; give a path")
    if format in ENDINGS.values() and shards(source):
        return _of_shards(source, options, format)
    if not streams.is_stdin(source):
        _existing(source)
    return FORMATS[format](source, options)


def _of_shards(source: str | Path, options: Options, format: str | None = None) -> Iterator[Example]:
    """Read one table after the other, with its path before each text's id: a row's number is not unique."""
    for path, split in shards(source).items():
        if split is not None and not options.wants(split):
            continue
        own = replace(options, splits=None) if split is not None else options
        found = False
        for example in examples(path, own, format):
            found = True
            yield example._replace(id=f"{path}:{example.id}", split=split or example.split)
        if not found and own.splits is None:
            raise DataError(f"{path}: is empty; expected at least one text; complete it or take it away")


def _existing(source: str | Path) -> Path:
    path = Path(source)
    if not path.exists():
        raise DataError(f"{source}: no such file or folder")
    return path
