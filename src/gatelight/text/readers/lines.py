"""One text a line, no labels: plain files and standard input; knows no other format."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gatelight.errors import DataError
from gatelight.text.readers import streams
from gatelight.text.readers.example import Example, Options


def read_lines(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each line as a text, empty lines too, so that answers can be put beside the lines."""
    if options.labelled:
        raise DataError(
            f"{_name(source)}: plain lines carry no labels; expected an aclImdb folder or archive, CSV, "
            "TSV, JSONL, Parquet, a fastText file or a folder with one folder per class"
        )
    for number, line in streams.lines(source, options):
        yield Example(line, id=str(number))


def _name(source: str | Path) -> str:
    return "standard input" if streams.is_stdin(source) else str(source)
