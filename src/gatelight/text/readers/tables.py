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

    def found(asked: str | None, known: tuple[str, ...], *taken: str | None) -> list[str]:
        """The column asked for, else those of the usual names, by which the first wins."""
        if asked is not None:
            if asked not in names:
                raise DataError(f"{origin}: no column {asked!r}; {there_are}")
            return [asked]
        usual = {name.strip().lower(): name for name in reversed(names) if name not in taken}
        there = [usual[name] for name in known if name in usual]
        return there[:1] if known[0] in usual else there

    def one(columns: list[str], what: str, needed: bool) -> str | None:
        if len(columns) == 1 and names.count(columns[0]) > 1:
            times = names.count(columns[0])
            raise DataError(
                f"{origin}: column {columns[0]!r} stands {times} times; {there_are}; rename all but one"
            )
        if len(columns) != 1 and needed:
            problem = f"columns {', '.join(map(repr, columns))} all look like" if columns else ""
            raise DataError(
                f"{origin}: {problem or 'no column is obviously'} the {what}; {there_are}; "
                f"name it with {what}_column"
            )
        return columns[0] if len(columns) == 1 else None

    def first(asked: str | None, known: tuple[str, ...]) -> str | None:
        there = [name for name in found(asked, known, text, label) if asked or names.count(name) == 1]
        return one(there[:1], "", False)

    label = one(found(options.label_column, LABEL, options.text_column), "label", options.labelled)
    others = set(names) - {label}
    text = one(found(options.text_column, TEXT, label), "text", len(others) != 1)
    text = text or one(list(others), "text", True)  # a single column is left
    if text is None or text == label:
        raise DataError(f"{origin}: column {text!r} cannot be text and label at once; {there_are}")
    group, own_id = first(options.group_column, GROUP), first(options.id_column, ID)
    return Columns(text, label, group, own_id, first(None, SPLIT))


# --- cells ----------------------------------------------------------------------------------------


Rows = Iterator[tuple[str, int, Mapping[str, Any]]]
"""Of each row what errors call its place, the number that it goes by, and its cells."""


def _examples(rows: Rows, chosen: Columns, options: Options) -> Iterator[Example]:
    """Turn rows into texts with what is said of them, those of splits that are asked for."""
    for place, number, row in rows:
        split, group, own_id = (
            None if column is None else _plain(row.get(column), place, what)
            for column, what in ((chosen.split, "split"), (chosen.group, "group"), (chosen.id, "id"))
        )
        if not options.wants(split):
            continue
        if chosen.text not in row:
            raise DataError(f"{place} has no {chosen.text!r}; its keys are {', '.join(map(repr, row))}")
        text = _text(row[chosen.text], place, options.encoding_errors)
        label = _label(row.get(chosen.label), place, options.labelled) if chosen.label else None
        yield Example(text, label, group, own_id or str(number), split)


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
        yield from _of_fields(csv_rows(lines, options.delimiter, str(source)), options, str(source))


def read_tsv(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each row of a tab-separated file, whether its quotes quote or (as in many such files) are text.

    A file whose first lines, cut at every tab, all have as many fields as the header is cut at every tab;
    a field that is quoted as a whole is still unquoted. Any other file is read as CSV with tabs.
    """
    with streams.text_stream(source, options, "") as stream:
        lines = streams.bounded_lines(stream, source)
        yield from _of_fields(tsv_rows(lines, options.delimiter, str(source)), options, str(source))


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


def _of_fields(fields: Iterator[tuple[int, list[str]]], options: Options, origin: str) -> Iterator[Example]:
    names = [name.strip() for name in next(fields, (0, [""]))[1]]
    if not any(names):
        raise DataError(f"{origin}: is empty; expected a header line with the names of the columns")

    def rows() -> Rows:
        for count, (line, row) in enumerate(fields, 1):
            if len(row) == len(names):
                yield f"{origin}: line {line}", count, dict(zip(names, row, strict=True))
            elif any(row):
                raise DataError(
                    f"{origin}: the row in line {line} has {len(row)} fields, the header {len(names)}; "
                    "a field that holds the delimiter or a line break must be quoted"
                )

    return _examples(rows(), choose(names, options, origin), options)


# --- JSON Lines and Parquet -----------------------------------------------------------------------


def read_jsonl(source: str | Path, options: Options) -> Iterator[Example]:
    """Yield each line's object as a text; the first object's keys decide which are text, label and group.

    Raises DataError naming the line that is no JSON object, lacks its text, or lacks its label.
    """
    lines = (
        (f"{source}: line {number}", number, line)
        for number, line in streams.lines(source, options)
        if line.strip()
    )
    rows = ((place, number, json_object(line, place)) for place, number, line in lines)
    for first in rows:
        chosen = choose(list(first[2]), options, str(source))
        yield from _examples(itertools.chain([first], rows), chosen, options)


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
            cells = itertools.chain.from_iterable(batch.to_pylist() for batch in batches)
            rows = ((f"{origin}: row {number}", number, row) for number, row in enumerate(cells, 1))
            yield from _examples(_classified(rows, chosen.label, classes), chosen, options)
    except pyarrow.ArrowException as error:
        first_line = str(error).partition("\n")[0]
        raise DataError(f"{origin}: not a whole Parquet file ({first_line})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{origin}: damaged Parquet file, its strings are not UTF-8 ({error})") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise DataError(f"{origin}: damaged Parquet file ({error})") from error


def _classified(rows: Rows, label: str | None, classes: list[str] | None) -> Rows:
    """Put the names of classes in place of their numbers."""
    for place, number, row in rows:
        if classes is not None and label is not None and isinstance(value := row[label], int):
            if value >= len(classes):
                raise DataError(f"{place}: label {value}, but the file names {len(classes)} classes")
            row = {**row, label: classes[value] if value >= 0 else None}  # −1 marks unlabelled rows
        yield place, number, row


def _class_names(metadata: dict[bytes, bytes] | None, label: str | None) -> list[str] | None:
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return None  # not written by that library, or not a column of classes
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else None
