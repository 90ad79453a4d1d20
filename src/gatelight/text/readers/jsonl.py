"""JSON Lines, one object a line; knows no other format."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gatelight.errors import DataError
from gatelight.text.readers import columns, streams
from gatelight.text.readers.example import Example, Options


def read_jsonl(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each line's object as a text; the first object's keys decide which are text, label and group.

    Raises DataError naming the line that is no JSON object, lacks its text, or lacks its label.
    """
    chosen: columns.Columns | None = None
    for number, line in streams.lines(source, options):
        if not line.strip():
            continue
        place = f"{source}: line {number}"
        row = json_object(line, place)
        if chosen is None:
            chosen = columns.choose(list(row), options, str(source))
        if chosen.text not in row:
            raise DataError(f"{place} has no {chosen.text!r}; its keys are {', '.join(map(repr, row))}")
        part = columns.plain(row.get(chosen.part), place, "part") if chosen.part else None
        if not options.wants(part):
            continue
        yield Example(
            text=columns.text_of(row[chosen.text], place, options.encoding_errors),
            label=columns.label_of(row.get(chosen.label), place, options.labelled) if chosen.label else None,
            group=columns.plain(row.get(chosen.group), place, "group") if chosen.group else None,
            id=(columns.plain(row.get(chosen.id), place, "id") if chosen.id else None) or str(number),
            part=part,
        )


def json_object(line: str, place: str) -> dict[str, Any]:
    """Return the object that a line holds; DataError naming `place` where it is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not JSON ({error}); expected one object a line") from None
    if not isinstance(row, dict):
        raise DataError(f"{place} is a JSON {type(row).__name__}; expected one object a line")
    return row
