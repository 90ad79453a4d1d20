"""Word vectors as a NumPy array with a word list beside it. Knows neither vocabularies nor other formats."""

from __future__ import annotations

import tokenize
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError
from gatelight.files import file_written_aside

Matrix = npt.NDArray[np.float32]

LONGEST_LINE = 1 << 22
WORD_LIST_ENDING = ".words.txt"
WORD_COLUMNS = ("word", "words", "token", "tokens", "index")


def read_npy(
    path: Path, wanted: frozenset[str] | None, word_list: Path | None
) -> tuple[list[str], Matrix, list[int]]:
    """Return the wanted words in the file's order, their vectors float32 [n, D], read alone, and rows.

    The array may be float16, float32 or float64 [words, D]. Without `word_list` it is looked for beside the
    array. Raises DataError when list and array do not fit, and for objects, other shapes or a file cut short.
    """
    word_list = word_list or _list_beside(path)
    words: list[str] = []
    rows: list[int] = []
    seen: set[str] = set()
    total = 0
    for word in _listed(word_list):
        if word is not None and (wanted is None or word in wanted) and word not in seen:
            seen.add(word)
            words.append(word)
            rows.append(total)
        total += 1
    with path.open("rb") as file:
        shape, fortran, dtype = _array_header(path, file)
        if total != shape[0]:
            raise DataError(
                f"{word_list} lists {total:,} words, {path.name} has {shape[0]:,} rows: "
                "they are not from the same vectors, or one is cut short"
            )
        read = _columns if fortran else _rows
        return words, read(file, np.array(rows, dtype=np.int64), shape, dtype), rows


def _array_header(path: Path, file: IO[bytes]) -> tuple[tuple[int, int], bool, np.dtype[np.floating]]:
    form = np.lib.format
    try:
        version = form.read_magic(file)
        readers = {(1, 0): form.read_array_header_1_0, (2, 0): form.read_array_header_2_0}
        if version not in readers:
            raise DataError(f"{path} is of .npy version {version}; expected 1.0 or 2.0")
        shape, fortran, dtype = readers[version](file)
    except (
        ValueError,
        TypeError,
        SyntaxError,
        tokenize.TokenError,
    ) as error:  # NumPy parses it as Python text
        raise DataError(f"{path} is no readable .npy array: {error}") from error
    if dtype.kind != "f" or len(shape) != 2:
        raise DataError(
            f"{path} holds {dtype} {list(shape)}; expected floating-point numbers [words, length]"
        )
    if min(shape) < 1:
        raise DataError(f"{path} is empty: its shape is {list(shape)}")
    expected = file.tell() + shape[0] * shape[1] * dtype.itemsize
    if (size := path.stat().st_size) < expected:
        raise DataError(f"{path} is cut short: {size:,} bytes of {expected:,}")
    return shape, fortran, dtype


def _rows(
    file: IO[bytes], rows: npt.NDArray[np.int64], shape: tuple[int, int], dtype: np.dtype[np.floating]
) -> Matrix:
    # Sought and read, not mapped: the pages of a mapped file count as this process's memory.
    start, length = file.tell(), shape[1] * dtype.itemsize
    matrix = np.empty((len(rows), shape[1]), dtype=np.float32)
    runs = np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1) if len(rows) else []
    for run in runs:
        for part in range(0, len(run), block := max(1, (1 << 22) // length)):
            places = run[part : part + block]
            file.seek(start + int(rows[places[0]]) * length)
            data = np.frombuffer(file.read(len(places) * length), dtype=dtype)
            matrix[places[0] : places[-1] + 1] = data.reshape(len(places), shape[1])
    return matrix


def _columns(
    file: IO[bytes], rows: npt.NDArray[np.int64], shape: tuple[int, int], dtype: np.dtype[np.floating]
) -> Matrix:
    matrix = np.empty((len(rows), shape[1]), dtype=np.float32)
    for column in range(shape[1]):
        matrix[:, column] = np.frombuffer(file.read(shape[0] * dtype.itemsize), dtype=dtype)[rows]
    return matrix


def _list_beside(path: Path) -> Path:
    """Find `x.words.txt`, `x.txt` or `x.parquet` beside `x.npy`, else the only Parquet or text file there."""
    for ending in (WORD_LIST_ENDING, ".txt", ".parquet"):
        if (beside := path.with_suffix(ending)).is_file():
            return beside
    others = [*path.parent.glob("*.parquet")] or [*path.parent.glob("*.txt")]
    if len(others) == 1:
        return others[0]
    raise DataError(
        f"no word list was found beside {path}; expected {path.with_suffix(WORD_LIST_ENDING).name} with one "
        f"word a line, or {path.with_suffix('.parquet').name}; or give it as word_list"
    )


def _listed(word_list: Path) -> Iterator[str | None]:
    if not word_list.is_file():
        raise DataError(f"there is no word list at {word_list}")
    with word_list.open("rb") as file:
        parquet = file.read(4) == b"PAR1"
    return _parquet_words(word_list) if parquet else _text_words(word_list)


def _text_words(word_list: Path) -> Iterator[str]:
    with word_list.open("rb") as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            try:
                if number == 1:
                    line = line.removeprefix(BOM_UTF8)
                yield line.rstrip(b"\r\n").decode("utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise DataError(f"{word_list}, line {number}: not UTF-8 ({error.reason})") from error


def _parquet_words(word_list: Path) -> Iterator[str | None]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(word_list)
        schema = table.schema_arrow
        texts = [
            field.name
            for field in schema
            if pyarrow.types.is_string(field.type) or pyarrow.types.is_large_string(field.type)
        ]
        named = [name for name in WORD_COLUMNS if name in texts] or texts
        if not texts or (len(named) > 1 and named is texts):
            raise DataError(
                f"{word_list} has the columns {schema.names}; expected one of words, named 'word'"
            )
        for batch in table.iter_batches(batch_size=1 << 16, columns=named[:1]):
            yield from batch.column(0).to_pylist()
    except pyarrow.ArrowException as error:
        raise DataError(f"{word_list} is no readable Parquet file: {error}") from error


def write_npy(path: Path, words: Sequence[str], matrix: Matrix) -> None:
    """Write float32 [n, D] to `path` and the words, one a line, to the `.words.txt` beside it.

    Raises DataError for a word with a line break in it.
    """
    for word in words:
        if "\n" in word or word.endswith("\r"):
            raise DataError(f"a word list of one word a line cannot hold {word!r}")
    with file_written_aside(path.with_suffix(WORD_LIST_ENDING)) as aside, aside.open("wb") as file:
        file.writelines(word.encode("utf-8", "surrogatepass") + b"\n" for word in words)
    with file_written_aside(path) as aside, aside.open("wb") as file:
        np.save(file, matrix, allow_pickle=False)
