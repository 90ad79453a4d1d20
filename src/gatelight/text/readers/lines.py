"""One text a line: plain lines without labels, and fastText's `__label__a __label__b the text`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from gatelight.errors import DataError
from gatelight.text.readers import streams
from gatelight.text.readers.example import Example, Label, Options

PREFIX = "__label__"

# fastText cuts words at these characters only, not at every Unicode space.
_LABEL = re.compile(rf"[ \t\v\f\r\0]*{PREFIX}([^ \t\v\f\r\0]*)[ \t\v\f\r\0]*")


def read_lines(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each line as a text, empty lines too, so that answers can be put beside the lines."""
    if options.labelled:
        raise DataError(
            f"{streams.name_of(source)}: plain lines carry no labels; expected an aclImdb folder or archive, "
            "CSV, TSV, JSONL, Parquet, a fastText file or a folder with one folder per class"
        )
    for number, line in streams.lines(source, options):
        yield Example(line, id=str(number))


def read_fasttext(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each line as a text; words with the prefix at its start are its labels; blank lines are skipped.

    Raises DataError for a line without a label where labels are needed.
    """
    for number, line in streams.lines(source, options):
        if not line.strip():
            continue
        labels: list[str] = []
        start = 0
        while found := _LABEL.match(line, start):
            labels.append(found[1])
            start = found.end()
        if "" in labels:
            raise DataError(f"{source}: line {number} has the prefix {PREFIX} with no name behind it")
        if not labels and options.labelled:
            raise DataError(
                f"{source}: line {number} starts with no {PREFIX}…; give each line at least one label"
            )
        label: Label = tuple(dict.fromkeys(labels)) if len(labels) > 1 else labels[0] if labels else None
        yield Example(line[start:], label, id=str(number))
