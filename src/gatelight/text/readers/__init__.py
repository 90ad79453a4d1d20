"""One function per format, each `(source, options) -> iterator of examples`; a new format is one line here.

Knows which format a path has; knows nothing of corpora, splits or named data sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from gatelight.errors import DataError
from gatelight.text import archives
from gatelight.text.readers import streams
from gatelight.text.readers.aclimdb import gather_aclimdb, is_review, read_aclimdb
from gatelight.text.readers.classfolders import folder_names, read_classfolders
from gatelight.text.readers.delimited import read_csv, read_tsv
from gatelight.text.readers.example import Example, Label, Options
from gatelight.text.readers.fasttext import PREFIX, read_fasttext
from gatelight.text.readers.jsonl import read_jsonl
from gatelight.text.readers.lines import read_lines
from gatelight.text.readers.parquet import read_parquet

__all__ = ["FORMATS", "Example", "Label", "Options", "detect", "examples", "gather"]

Reader = Callable[[str | Path, Options], Iterator[Example]]

FORMATS: dict[str, Reader] = {
    "aclimdb": read_aclimdb,
    "classes": read_classfolders,
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
    if path.is_dir():
        # With its own name in front, so that the `train` folder alone is known as well.
        name = path.resolve().name
        return "aclimdb" if any(is_review(f"{name}/{inner}") for inner in folder_names(path)) else "classes"
    if archives.is_tar(path) or archives.is_zip(path):
        return "aclimdb" if any(map(is_review, archives.member_names(path, options.max_bytes))) else "classes"
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
    return _reader(source, options, format)(source, options)


def gather(source: str | Path, options: Options, format: str | None = None) -> list[Example]:
    """Return the texts of a source at once, where that is quicker than one by one."""
    reader = _reader(source, options, format)
    return gather_aclimdb(source, options) if reader is read_aclimdb else list(reader(source, options))


def _reader(source: str | Path, options: Options, format: str | None) -> Reader:
    if format is None:
        return FORMATS[detect(source, options)]
    if format not in FORMATS:
        raise DataError(f"no format {format!r}; the formats are {', '.join(FORMATS)}")
    if streams.is_stdin(source) and format in _WHOLE:
        raise DataError(f"standard input cannot be read as {format}; give a path")
    if not streams.is_stdin(source):
        _existing(source)
    return FORMATS[format]


def _existing(source: str | Path) -> Path:
    path = Path(source)
    if not path.exists():
        raise DataError(f"{source}: no such file or folder")
    return path
