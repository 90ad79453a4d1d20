"""Rows with named columns, of CSV, TSV, JSON Lines or Parquet: which is the text, the label, the group."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatelight.errors import DataError
from gatelight.text.archives import LONGEST_TEXT
from gatelight.text.readers import streams
from gatelight.text.readers.example import Example, Label, Options

# The first name of a list wins wherever it stands; of the others just one may be there.
TEXT = (
    "text", "review", "sentence", "content", "comment", "body", "message", "document", "tweet", "snippet",
    "review_text", "reviewtext", "review_body", "comment_text", "phrase", "utterance", "input",
)  # fmt: skip
LABEL = (
    "label", "labels", "sentiment", "class", "target", "category", "polarity", "intent", "topic", "output",
    "y",
)  # fmt: skip
# For the rest, which nothing depends on, the earlier name is taken.
GROUP = (
    "group", "group_id", "film", "film_id", "film_name", "movie", "movie_id", "movie_name", "movie_title",
    "product", "product_id", "item_id", "business_id", "asin",
)  # fmt: skip
ID = ("id", "uid", "text_id", "review_id", "document_id", "doc_id", "comment_id")
SPLIT = ("part", "split", "partition")

_SAMPLE = 1000  # lines
_BATCH = 4096  # rows


# --- which column is what -------------------------------------------------------------------------


@dataclass(frozen=True)
class Columns:
    """Names of the columns that matter; None where there is none."""

    text: str
    label: str | None
    group: str | None
    id: str | None
    split: str | None

    def names(self) -> list[str]:
        """Return the columns to read."""
        return [n for n in (self.text, self.label, self.group, self.id, self.split) if n is not None]


def choose(names: Sequence[str], options: Options, origin: str) -> Columns:
    """Find the columns asked for, and by their usual names those that are not.

    Raises DataError, naming the columns there are, when one asked for is absent or stands twice, when no
    text column is obvious, and when `options.labelled` and no label column is.
    """
    shown = [repr(name if len(name) <= 40 else name[:39] + "…") for name in names[:30]]
    there_are = f"the columns are {', '.join(shown)}{' …' * (len(names) > 30)}"

    def once(column: str) -> str:
        if names.count(column) > 1:
            raise DataError(
                f"{origin}: column {column!r} stands {names.count(column)} times; {there_are}; "
                "rename all but one"
            )
        return column

    def named(column: str | None) -> str | None:
        if column is not None and column not in names:
            raise DataError(f"{origin}: no column {column!r}; {there_are}")
        return None if column is None else once(column)

    def usual(known: tuple[str, ...], *taken: str | None) -> list[str]:
        by_name = {name.strip().lower(): name for name in reversed(names) if name not in taken}
        return [by_name[name] for name in known if name in by_name]

    def obvious(known: tuple[str, ...], taken: str | None, what: str, needed: bool) -> str | None:
        found = usual(known, taken)
        if found and (len(found) == 1 or found[0].strip().lower() == known[0]):
            return once(found[0])
        if needed:
            problem = f"columns {', '.join(map(repr, found))} all look like" if found else ""
            raise DataError(
                f"{origin}: {problem or 'no column is obviously'} the {what}; {there_are}; "
                f"name it with {what}_column"
            )
        return None

    def first(known: tuple[str, ...]) -> str | None:
        found = usual(known, text, label)
        return found[0] if found and names.count(found[0]) == 1 else None

    label = named(options.label_column) or obvious(LABEL, options.text_column, "label", options.labelled)
    others = set(names) - {label}
    text = named(options.text_column) or obvious(TEXT, label, "text", len(others) != 1)
    if text is None:  # a single column is left
        text = once(others.pop())
    if text == label:
        raise DataError(f"{origin}: column {text!r} cannot be text and label at once; {there_are}")
    group, own_id = named(options.group_column) or first(GROUP), named(options.id_column) or first(ID)
    return Columns(text, label, group, own_id, first(SPLIT))


# --- cells ----------------------------------------------------------------------------------------


def _example(
    row: Mapping[str, Any], chosen: Columns, place: str, number: int, options: Options
) -> Example | None:
    """Turn a row into a text with what is said of it; None where its split is not asked for."""

    def cell(column: str | None, what: str) -> str | None:
        return None if column is None else _plain(row.get(column), place, what)

    split = cell(chosen.split, "split")
    if not options.wants(split):
        return None
    if chosen.text not in row:
        raise DataError(f"{place} has no {chosen.text!r}; its keys are {', '.join(map(repr, row))}")
    return Example(
        text=_text(row[chosen.text], place, options.encoding_errors),
        label=_label(row.get(chosen.label), place, options.labelled) if chosen.label else None,
        group=cell(chosen.group, "group"),
        id=cell(chosen.id, "id") or str(number),
        split=split,
    )


def _label(value: object, place: str, labelled: bool) -> Label:
    """Strip text, take `.0` off whole numbers, make a list several labels."""
    if isinstance(value, list | tuple):
        return tuple(part for item in value if (part := _plain(item, place, "label")) is not None)
    label = _plain(value, place, "label")
    if label is None and labelled:
        raise DataError(f"{place}: the label is missing; give each text a label, or read it as unlabelled")
    return label


def _plain(value: object, place: str, what: str) -> str | None:
    """Turn a cell into a stripped string, None when it is empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value).strip() or None
    raise DataError(f"{place}: the {what} is {type(value).__name__} {value!r:.60}, expected text or a number")


def _text(value: object, place: str, encoding_errors: str) -> str:
    if not isinstance(value, str):
        came = "missing" if value is None else f"{type(value).__name__} {value!r:.60}"
        raise DataError(f"{place}: the text is {came}, expected a string")
    if value.isascii():
        return value
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        if encoding_errors == "strict":
            raise DataError(
                f"{place}: character {error.start} of the text is half of a surrogate pair; "
                "mend it, or go on over such with encoding_errors='replace'"
            ) from None
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return value


# --- CSV and TSV ----------------------------------------------------------------------------------


def read_csv(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each row of a file with quoted fields; the delimiter is read off the header unless it is given.

    Raises DataError naming the line of a row with too many or too few fields, of a quote that is never
    closed, or of a missing label; and the columns there are when one is not found.
    """
    with streams.text_stream(source, options, "") as stream:
        lines = streams.bounded_lines(stream, source)
        yield from _of_rows(csv_rows(lines, options.delimiter, str(source)), options, str(source))


def read_tsv(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each row of a tab-separated file, whether its quotes quote or (as in many such files) are text.

    A file whose first lines, cut at every tab, all have as many fields as the header is cut at every tab;
    a field that is quoted as a whole is still unquoted. Any other file is read as CSV with tabs.
    """
    with streams.text_stream(source, options, "") as stream:
        lines = streams.bounded_lines(stream, source)
        yield from _of_rows(tsv_rows(lines, options.delimiter, str(source)), options, str(source))


def csv_rows(lines: Iterator[str], delimiter: str | None, origin: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each row, as `read_csv` reads them, the header first."""
    first = next(lines, "")
    return _quoted(itertools.chain([first], lines), delimiter or _delimiter(first), origin)


def tsv_rows(lines: Iterator[str], delimiter: str | None, origin: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and fields of each row, as `read_tsv` reads them, the header first."""
    sample, delimiter = list(itertools.islice(lines, _SAMPLE)), delimiter or "\t"
    widths = {line.count(delimiter) for line in sample if line.strip("\r\n")}
    every = itertools.chain(sample, lines)
    return _cut(every, delimiter) if len(widths) <= 1 else _quoted(every, delimiter, origin)


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


def _of_rows(rows: Iterator[tuple[int, list[str]]], options: Options, origin: str) -> Iterator[Example]:
    _, header = next(rows, (0, []))
    names = [name.strip() for name in header]
    if not any(names):
        raise DataError(f"{origin}: is empty; expected a header line with the names of the columns")
    chosen = choose(names, options, origin)
    used = {name: names.index(name) for name in chosen.names()}
    for count, (line, row) in enumerate(rows, 1):
        if len(row) != len(names):
            if not any(row):
                continue
            raise DataError(
                f"{origin}: the row in line {line} has {len(row)} fields, the header {len(names)}; "
                "a field that holds the delimiter or a line break must be quoted"
            )
        cells = {name: row[column] for name, column in used.items()}
        if (example := _example(cells, chosen, f"{origin}: line {line}", count, options)) is not None:
            yield example


# --- JSON Lines and Parquet -----------------------------------------------------------------------


def read_jsonl(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each line's object as a text; the first object's keys decide which are text, label and group.

    Raises DataError naming the line that is no JSON object, lacks its text, or lacks its label.
    """
    chosen: Columns | None = None
    for number, line in streams.lines(source, options):
        if not line.strip():
            continue
        place = f"{source}: line {number}"
        row = json_object(line, place)
        if chosen is None:
            chosen = choose(list(row), options, str(source))
        if (example := _example(row, chosen, place, number, options)) is not None:
            yield example


def json_object(line: str, place: str) -> dict[str, Any]:
    """Return the object that a line holds; DataError naming `place` where it is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place} is not JSON ({error}); expected one object a line") from None
    if not isinstance(row, dict):
        raise DataError(f"{place} is a JSON {type(row).__name__}; expected one object a line")
    return row


def read_parquet(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each row, reading only the columns that matter; class names kept by `datasets` are used.

    Raises DataError for a damaged file, or a row without text or label.
    """
    import pyarrow  # loaded here because it takes a while and other formats do not need it
    import pyarrow.parquet

    origin = str(source)
    try:
        with pyarrow.parquet.ParquetFile(Path(source)) as file:
            schema = file.schema_arrow
            chosen = choose(schema.names, options, origin)
            classes = _class_names(schema.metadata, chosen.label)
            batches = file.iter_batches(batch_size=_BATCH, columns=chosen.names())
            rows = itertools.chain.from_iterable(batch.to_pylist() for batch in batches)
            for number, row in enumerate(rows, 1):
                place = f"{origin}: row {number}"
                if classes is not None and isinstance(label := row[chosen.label], int):
                    if label >= len(classes):
                        raise DataError(f"{place}: label {label}, but the file names {len(classes)} classes")
                    row[chosen.label] = classes[label] if label >= 0 else None  # −1 marks unlabelled rows
                if (example := _example(row, chosen, place, number, options)) is not None:
                    yield example
    except pyarrow.ArrowException as error:
        first_line = str(error).partition("\n")[0]
        raise DataError(f"{origin}: not a whole Parquet file ({first_line})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{origin}: damaged Parquet file, its strings are not UTF-8 ({error})") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise DataError(f"{origin}: damaged Parquet file ({error})") from error


def _class_names(metadata: dict[bytes, bytes] | None, label: str | None) -> list[str] | None:
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return None  # not written by that library, or not a column of classes
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
