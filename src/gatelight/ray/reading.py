"""Parquet, CSV, TSV and JSON Lines, of any file system of Arrow's, → Arrow tables with each row's place.

A row that is no text is not left out: it says what is wrong with it.
"""

from __future__ import annotations

import fnmatch
import io
import itertools
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.compute
import pyarrow.parquet
from pyarrow import fs

from gatelight.errors import DataError
from gatelight.ray.stages import ERROR, first_line
from gatelight.text.readers import Options, streams, tables

FILE, ROW = "source_file", "source_row"
WHOLE_FILE = 0
"""The row of an error that no other row of the file can be read after."""
BLOCK_ROWS = 1 << 13
ENDINGS = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
COMPRESSED = (".gz", ".bz2", ".zst")
_SURROGATE = re.compile("[\ud800-\udfff]")


def expanded(name: str, format: str | None) -> list[dict[str, str]]:
    """Return the files that a path, folder or glob stands for, each with its format, in order."""
    system, path = _place(name)
    prefix = name.removesuffix(path) if "://" in name and name.endswith(path) else ""
    begin = path
    while any(sign in begin for sign in "*?["):
        begin = begin.rpartition("/")[0] or "/"
    (info,) = system.get_file_info([begin])
    if info.type == fs.FileType.NotFound:
        raise DataError(f"{name}: no such file or folder")
    if info.type == fs.FileType.File:
        return [{"file": name, "format": _format_of(name, format)}]
    under = system.get_file_info(fs.FileSelector(begin, recursive=True))
    paths = sorted(one.path for one in under if one.type == fs.FileType.File)
    if begin != path:
        chosen = [one for one in paths if fnmatch.fnmatchcase(one, path)]
    else:
        chosen = [one for one in paths if not _hidden(one, begin) and (format or _known(one))]
    if not chosen:
        raise DataError(f"{name}: no Parquet, CSV, TSV or JSON Lines files there")
    return [{"file": prefix + one, "format": _format_of(one, format)} for one in chosen]


def _place(name: str) -> tuple[Any, str]:
    if "://" not in name:
        return fs.LocalFileSystem(), str(Path(name).absolute())
    try:
        return fs.FileSystem.from_uri(name)  # type: ignore[no-any-return]
    except (pyarrow.ArrowException, ValueError, OSError) as error:
        raise DataError(f"{name}: {first_line(error)}") from None


def _hidden(path: str, folder: str) -> bool:
    return any(part.startswith((".", "_")) for part in path.removeprefix(folder).split("/"))


def _known(name: str) -> str | None:
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    return ENDINGS.get(os.path.splitext(name)[1].lower())  # noqa: PTH122


def _format_of(name: str, format: str | None) -> str:
    found = format or _known(name) or ""
    if found not in ENDINGS.values():
        raise DataError(
            f"{name}: cannot be read by Ray; give .parquet, .csv, .tsv or .jsonl, or name the format"
        )
    return found


def columns_of(file: Mapping[str, str], options: Options) -> list[str]:
    """Return the names of a file's columns: of JSON Lines those of the first object."""
    with _opened(file) as stream:
        if file["format"] == "parquet":
            return list(pyarrow.parquet.read_schema(stream).names)
        lines = streams.bounded_lines(_text_of(stream, options), file["file"])
        if file["format"] == "jsonl":
            line = next((line for line in lines if line.strip()), "{}")
            return list(tables.json_object(line, f"{file['file']}: line 1"))
        return [name.strip() for name in next(_fields(file, lines, options), (0, []))[1]]


@contextmanager
def _opened(file: Mapping[str, str]) -> Iterator[Any]:
    name = file["file"]
    try:
        system, path = _place(name)
        opened = (
            system.open_input_file(path) if file["format"] == "parquet" else system.open_input_stream(path)
        )
        with opened as stream:
            yield stream
    except pyarrow.ArrowException as error:
        raise DataError(f"{name}: damaged, or not {file['format']} ({first_line(error)})") from None
    except UnicodeError as error:
        raise DataError(f"{name}: {error}; name its encoding, or encoding_errors='replace'") from None


def _text_of(stream: Any, options: Options) -> io.TextIOWrapper:
    return io.TextIOWrapper(stream, encoding=options.codec, errors=options.encoding_errors, newline="")


def _fields(
    file: Mapping[str, str], lines: Iterator[str], options: Options
) -> Iterator[tuple[int, list[str]]]:
    rows = tables.csv_rows if file["format"] == "csv" else tables.tsv_rows
    return rows(lines, options.delimiter, file["file"])


def read(files: pyarrow.Table, text: str, keys: list[str], options: Options) -> Iterator[pyarrow.Table]:
    """Yield the rows of files, a block at a time, with their place and what is wrong with them."""
    strings = [(name, pyarrow.string()) for name in (text, *keys, FILE, ERROR)]
    schema = pyarrow.schema([*strings, (ROW, pyarrow.int64())])
    for file in files.to_pylist():
        name = file["file"]
        try:
            with _opened(file) as stream:
                if file["format"] == "parquet":
                    yield from _read_parquet(stream, name, text, keys)
                    continue
                lines = streams.bounded_lines(_text_of(stream, options), name)
                if file["format"] == "jsonl":
                    rows = _read_jsonl(lines, text, keys)
                else:
                    rows = _read_fields(name, _fields(file, lines, options), text, keys)
                while block := list(itertools.islice(rows, BLOCK_ROWS)):
                    yield pyarrow.Table.from_pylist([{**row, FILE: name} for row in block], schema)
        except (DataError, OSError) as error:
            yield pyarrow.Table.from_pylist([{FILE: name, ROW: WHOLE_FILE, ERROR: str(error)}], schema)


def _read_parquet(stream: Any, name: str, text: str, keys: list[str]) -> Iterator[pyarrow.Table]:
    with pyarrow.parquet.ParquetFile(stream) as file:
        _check_there(name, file.schema_arrow.names, text, keys)
        row = 1
        for batch in file.iter_batches(batch_size=BLOCK_ROWS, columns=[text, *keys]):
            column, wrong = batch.column(text), pyarrow.nulls(len(batch), pyarrow.string())
            if pyarrow.types.is_dictionary(column.type):
                column = column.dictionary_decode()
            if not (pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type)):
                said = f"{column.type}, not a string"
                wrong, column = pyarrow.compute.if_else(column.is_valid(), said, wrong), wrong
            places = {FILE: [name] * len(batch), ROW: list(range(row, row + len(batch))), ERROR: wrong}
            yield pyarrow.table({text: column, **{key: batch.column(key) for key in keys}, **places})
            row += len(batch)


_Row = dict[str, Any]
"""Text and keys, the row's number, and what is wrong; what is missing is null."""


def _read_jsonl(lines: Iterator[str], text: str, keys: list[str]) -> Iterator[_Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _row(number, tables.json_object(line, "the line"), text, keys)
        except DataError as error:
            yield {ROW: number, ERROR: str(error)}


def _read_fields(
    name: str, rows: Iterator[tuple[int, list[str]]], text: str, keys: list[str]
) -> Iterator[_Row]:
    header = [column.strip() for column in next(rows, (0, []))[1]]
    _check_there(name, header, text, keys)
    for number, fields in rows:
        if len(fields) == len(header):
            yield _row(number, dict(zip(header, fields, strict=True)), text, keys)
        elif any(fields):
            yield {ROW: number, ERROR: f"{len(fields)} fields, the header has {len(header)}"}


def _row(number: int, cells: Mapping[str, Any], text: str, keys: list[str]) -> _Row:
    found, wrong = cells.get(text), None
    if found is not None and not isinstance(found, str):
        wrong = f"{type(found).__name__} {found!r:.60}, not a string"
    elif found is not None and _SURROGATE.search(found):
        wrong = "half of a surrogate pair in the text"
    kept = {key: _as_string(cells.get(key)) for key in keys}
    return {**kept, text: None if wrong else found, ROW: number, ERROR: wrong}


def _as_string(value: Any) -> str | None:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return None if value is None else json.dumps(value)


def _check_there(name: str, there: Sequence[str], text: str, keys: Sequence[str]) -> None:
    missing = [column for column in (text, *keys) if column not in there]
    if missing:
        raise DataError(f"{name} has no column {missing[0]!r}; there are {', '.join(there)}")
