"""One function per format, `(source, options) -> iterator of examples`; a new format is one line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from gatelight.errors import DataError
from gatelight.text import archives
from gatelight.text.readers import streams
from gatelight.text.readers.example import Example, Label, Options
from gatelight.text.readers.folders import has_reviews, read_aclimdb, read_class_folders
from gatelight.text.readers.lines import PREFIX, read_fasttext, read_lines
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

_WHOLE = ("aclimdb", "classes", "parquet")  # cannot come through a pipe

_ENDINGS = {
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


def detect(source: str | Path, options: Options) -> str:
    """Return the format of a path by its name, a folder's or archive's by what is in it; `-` is plain lines.

    Raises DataError when there is nothing at the path.
    """
    if streams.is_stdin(source):
        return "lines"
    path = _existing(source)
    if path.is_dir() or archives.is_archive(path):
        return "aclimdb" if has_reviews(path, options) else "classes"
    ending = (path.with_suffix("") if archives.compression(path) else path).suffix.lower()
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    with archives.opened(path, options.max_bytes) as stream:
        start = stream.read1().removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(PREFIX.encode()):
        return "fasttext"
    if ending == ".json":
        if start.startswith(b"{"):
            return "jsonl"
        raise DataError(f"{source}: not JSON Lines; write one object a line and name the file .jsonl")
    return "lines"


def examples(source: str | Path, options: Options, format: str | None = None) -> Iterator[Example]:
    """Yield the texts of a source one by one, in its own order; raises what the format's reader raises."""
    if format is None:
        return FORMATS[detect(source, options)](source, options)
    if format not in FORMATS:
        raise DataError(f"no format {format!r}; the formats are {', '.join(FORMATS)}")
    if streams.is_stdin(source) and format in _WHOLE:
        raise DataError(f"standard input cannot be read as {format}; give a path")
    if not streams.is_stdin(source):
        _existing(source)
    return FORMATS[format](source, options)


def _existing(source: str | Path) -> Path:
    path = Path(source)
    if not path.exists():
        raise DataError(f"{source}: no such file or folder")
    return path
