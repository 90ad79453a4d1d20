"""`gatelight predict` for a model that came from elsewhere: JSON arrays in, its outputs out, line by line.

Where the model's vocabulary is known, texts are taken instead. Knows no model's inside.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gatelight.cli.output import as_json, one_line
from gatelight.errors import DataError

if TYPE_CHECKING:
    from gatelight.interop.keras.imported import ImportedModel

AT_ONCE = 1024
STDIN = "-"


def predict(model: ImportedModel, given: list[str], as_records: bool) -> None:
    """Answer every argument; or every line of one file; or with - every line of standard input."""
    for batch in _batches(given):
        sys.stdout.write("".join(_answers(model, batch, as_records)))
        sys.stdout.flush()


def _batches(given: list[str]) -> Iterator[list[str]]:
    from gatelight.cli.lines import Lines

    if len(given) > 1:
        yield given
    elif given[0] == STDIN:
        yield from Lines(sys.stdin.buffer, "standard input", "utf-8", "strict").batches(AT_ONCE)
    elif _is_file(given[0]):
        with closing(Path(given[0]).open("rb")) as file:
            yield from Lines(file, given[0], "utf-8", "strict").batches(AT_ONCE)
    else:
        yield given


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long or too strange for a path
        return False


def _answers(model: ImportedModel, lines: list[str], as_records: bool) -> Iterator[str]:
    texts = model.reading is not None
    given: list[Any] = list(lines) if texts else [_sequence(line) for line in lines]
    outputs = model.predict(given)
    labels = model.judge(outputs) if not isinstance(outputs, list) else None
    for number, (line, sequence, row) in enumerate(zip(lines, given, outputs, strict=True)):
        label = {} if labels is None else {"label": labels[number]}
        if as_records:
            record = {**label, "output": row.tolist(), "text" if texts else "sequence": sequence}
            yield as_json(record) + "\n"
            continue
        shown = json.dumps(row.astype(float).round(6).tolist())
        yield "\t".join([*label.values(), shown, one_line(line)]) + "\n"


def _sequence(line: str) -> Any:
    try:
        sequence = json.loads(line)
    except (ValueError, RecursionError):
        sequence = None
    if not isinstance(sequence, list):
        raise DataError(
            f"{line!r:.60} came; this model's vocabulary is not known, so it takes each sequence as a JSON "
            "array: of ids like [12, 7, 0], or of rows of numbers. For texts import it with --vocabulary"
        )
    return sequence
