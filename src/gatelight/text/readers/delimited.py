"""CSV and TSV with a header line; knows no other format."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from gatelight.errors import DataError
from gatelight.text.archives import LONGEST_TEXT
from gatelight.text.readers import columns, streams
from gatelight.text.readers.example import Example, Options

_SAMPLE = 1000  # lines


def read_csv(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each row of a file with quoted fields; the delimiter is read off the header unless it is given.

    Raises DataError naming the line of a row with too many or too few fields, of a quote that is never
    closed, or of a missing label; and the columns there are when one is not found.
    """
    with streams.text_stream(source, options, "") as stream:
        lines = streams.bounded_lines(stream, source)
        first = next(lines, "")
        rows = _quoted(itertools.chain([first], lines), options.delimiter or _delimiter(first), str(source))
        yield from _examples(rows, options, str(source))


def read_tsv(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each row of a tab-separated file, whether its quotes quote or (as in many such files) are text.

    A file whose first lines, cut at every tab, all have as many fields as the header is cut at every tab;
    a field that is quoted as a whole is still unquoted. Any other file is read as CSV with tabs.
    """
    with streams.text_stream(source, options, "") as stream:
        lines = streams.bounded_lines(stream, source)
        sample = list(itertools.islice(lines, _SAMPLE))
        delimiter = options.delimiter or "\t"
        lines = itertools.chain(sample, lines)
        widths = {line.count(delimiter) for line in sample if line.strip("\r\n")}
        rows = _cut(lines, delimiter) if len(widths) <= 1 else _quoted(lines, delimiter, str(source))
        yield from _examples(rows, options, str(source))


def _quoted(lines: Iterable[str], delimiter: str, origin: str) -> Iterator[tuple[int, list[str]]]:
    try:
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
    except (TypeError, ValueError) as error:
        raise DataError(f"delimiter {delimiter!r}: {error}") from None
    while True:
        line = reader.line_num + 1
        # The limit belongs to the whole process, so it is lifted for one row at a time.
        before = csv.field_size_limit(LONGEST_TEXT)
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{origin}: the row that starts in line {line} cannot be read ({error}); a quote inside "
                "a quoted field must be doubled, and each opened quote closed"
            ) from error
        finally:
            csv.field_size_limit(before)
        yield line, row


def _cut(lines: Iterable[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(lines, 1):
        yield number, [_unquoted(field) for field in line.rstrip("\r\n").split(delimiter)]


def _unquoted(field: str) -> str:
    if len(field) >= 2 and field[0] == field[-1] == '"':
        inner = field[1:-1]
        if '"' not in inner.replace('""', ""):
            return inner.replace('""', '"')
    return field


def _delimiter(header: str) -> str:
    bare = "".join(header.split('"')[::2])  # what stands outside of quotes
    return max(",;\t|", key=lambda sign: (bare.count(sign) > 0 and sign == ",", bare.count(sign)))


def _examples(rows: Iterator[tuple[int, list[str]]], options: Options, origin: str) -> Iterator[Example]:
    _, header = next(rows, (0, []))
    names = [name.strip() for name in header]
    if not any(names):
        raise DataError(f"{origin}: is empty; expected a header line with the names of the columns")
    chosen = columns.choose(names, options, origin)
    text = names.index(chosen.text)
    label, group, own_id, part = (
        None if name is None else names.index(name)
        for name in (chosen.label, chosen.group, chosen.id, chosen.part)
    )
    for count, (line, row) in enumerate(rows, 1):
        if len(row) != len(names):
            if not any(row):
                continue
            raise DataError(
                f"{origin}: the row in line {line} has {len(row)} fields, the header {len(names)}; "
                "a field that holds the delimiter or a line break must be quoted"
            )
        its_part = None if part is None else row[part].strip() or None
        if not options.wants(its_part):
            continue
        yield Example(
            text=row[text],
            label=None
            if label is None
            else columns.label_of(row[label], f"{origin}: line {line}", options.labelled),
            group=None if group is None else row[group].strip() or None,
            id=(None if own_id is None else row[own_id].strip()) or str(count),
            part=its_part,
        )
