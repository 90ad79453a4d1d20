"""Files of word vectors; of a file only the wanted rows stay in memory.

Read: word2vec `.bin` and `.txt`, GloVe `.txt`, fastText `.vec`, each also gzipped, and `.npy` beside a word
list; told apart by content. Written: `.bin`, `.txt`, `.vec`, `.npy`.
"""

from __future__ import annotations

import gzip
import tokenize
import zlib
from array import array
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError
from gatelight.files import file_written_aside

Matrix = npt.NDArray[np.float32]
Wanted = frozenset[str] | None

CHUNK = 1 << 22
LONGEST_LINE = 1 << 22  # 100,000 numbers; a binary file without line ends is never read whole as a line
LONGEST_WORD = 1 << 16
LARGEST_DIM = 100_000
WORD_LIST_ENDING = ".words.txt"
WORD_COLUMNS = ("word", "words", "token", "tokens", "index")

_FOREIGN = {
    b"PK\x03\x04": "a zip archive; unpack it and give one of its files",
    b"\x89HDF": "an HDF5 file",
    b"\xba\x16\x4f\x2f": "a fastText model; give the .vec file that lies beside it",
    b"\x80": "a Python pickle, which could run code; in gensim write it with save_word2vec_format",
}
_EXPECTED = (
    "expected word2vec .bin or .txt, GloVe .txt, fastText .vec (each also .gz), or .npy with a word list"
)


def read(path: Path, wanted: Wanted, word_list: Path | None) -> tuple[list[str], Matrix, Sequence[int]]:
    """Return the wanted words that the file has, in its order, their vectors float32 [n, D] and rows.

    Of a word that comes twice the first row counts. Raises DataError, with line or row, for a file that is
    damaged, cut short, empty or of another kind.
    """
    if path.is_dir():
        arrays = sorted(path.glob("*.npy"))
        if len(arrays) != 1:
            raise DataError(f"{path} holds {len(arrays)} .npy files; name the file of word vectors itself")
        path = arrays[0]
    if not path.exists():
        raise DataError(f"there is no file of word vectors at {path}")
    try:
        with _opened(path) as file:
            head = file.read(LONGEST_LINE)
        if head.startswith(b"\x93NUMPY"):
            return _read_npy(path, wanted, word_list)
        for magic, kind in _FOREIGN.items():
            if head.startswith(magic):
                raise DataError(f"{path} is {kind}")
        with _opened(path) as file:
            if _is_binary(path, head):
                count, dim = _checked_header(path, file.readline(64))
                rows = _binary_rows(path, file, count, dim)
                return _kept(rows, dim, wanted, lambda vector, number: vector)
            first = file.readline(LONGEST_LINE)
            promised, dim = _checked_header(path, first) if _header(first) else (None, _headless_dim(first))
            lines = _text_rows(path, file, None if promised else first, promised, dim)
            return _kept(lines, dim, wanted, partial(_text_vector, path, dim))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the compressed data are damaged or cut short ({error})") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as plain:
        compressed = plain.read(2) == b"\x1f\x8b"
        plain.seek(0)
        with gzip.GzipFile(fileobj=plain) if compressed else plain as file:
            # Windows' editors put a byte order mark first, which is no part of the first word.
            if file.read(len(BOM_UTF8)) != BOM_UTF8:
                file.seek(0)
            yield file  # type: ignore[misc]


Rows = Iterator[tuple[bytes, bytes, int]]
"""Of each row the word, the vector as it stands in the file, and the number of the line."""


def _kept(
    rows: Rows, dim: int, wanted: Wanted, as_float32: Callable[[bytes, int], bytes]
) -> tuple[list[str], Matrix, Sequence[int]]:
    # Compared as bytes: a word that is not wanted is never decoded, nor its numbers read.
    names = None if wanted is None else {word.encode("utf-8", "surrogatepass"): word for word in wanted}
    seen: set[bytes] = set()
    words, places, values = [], array("q"), bytearray()
    for place, (word, vector, number) in enumerate(rows):
        if word not in seen and (names is None or word in names):
            seen.add(word)
            words.append(_decoded(word) if names is None else names[word])
            places.append(place)
            values += as_float32(vector, number)
    return words, np.frombuffer(values, dtype=np.float32).reshape(len(words), dim), places


def _decoded(word: bytes) -> str:
    # Old word2vec models hold words cut in the middle of a character: they keep their bytes.
    try:
        return word.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return word.decode("utf-8", "surrogateescape")


# --- text and binary ------------------------------------------------------------------------------


def _is_binary(path: Path, head: bytes) -> bool:
    """Tell a binary file from one of text by its first vector."""
    if not head.strip():
        raise DataError(f"{path} is empty; {_EXPECTED}")
    first, _, rest = head.partition(b"\n")
    if header := _header(first):
        fields = rest.partition(b"\n")[0].replace(b"\t", b" ").rstrip().rsplit(b" ", header[1])
        return len(fields) != header[1] + 1 or not _numbers(fields[1:])
    if _headless_dim(first) == 0:
        raise DataError(f"{path} begins with {first[:40]!r}, which is no word and vector; {_EXPECTED}")
    return False


def _header(line: bytes) -> tuple[int, int] | None:
    """Return the number of words and D of a word2vec header, None when the line is not one."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() and len(field) < 16 for field in fields):
        return None
    return int(fields[0]), int(fields[1])


def _checked_header(path: Path, line: bytes) -> tuple[int, int]:
    header = _header(line)
    if header is None or header[0] == 0 or not 1 <= header[1] <= LARGEST_DIM:
        raise DataError(
            f"{path}: the header is {line[:40]!r}; expected the number of words and their length, "
            f"both at least 1 and the length at most {LARGEST_DIM:,}"
        )
    return header


def _numbers(fields: Sequence[bytes]) -> list[float] | None:
    try:
        return list(map(float, fields))
    except ValueError:
        return None


def _headless_dim(line: bytes) -> int:
    """Return how many numbers end the line, the word itself (which may be a number, or hold spaces) aside."""
    fields = line.replace(b"\t", b" ").rstrip().split(b" ")
    numbers = 0
    while numbers < len(fields) - 1 and _numbers(fields[-1 - numbers :][:1]):
        numbers += 1
    return numbers


def _text_rows(path: Path, file: IO[bytes], first: bytes | None, count: int | None, dim: int) -> Rows:
    line, number, found = (file.readline(LONGEST_LINE), 2, 0) if first is None else (first, 1, 0)
    while line:
        if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
            raise DataError(f"{path}, line {number}: longer than {LONGEST_LINE:,} bytes; {_EXPECTED}")
        # fastText ends each line with a space.
        line = line.replace(b"\t", b" ").rstrip(b" \r\n")
        if line:
            found += 1
            yield _word(path, number, line, dim), line, number
        line, number = file.readline(LONGEST_LINE), number + 1
    if count is not None and found != count:
        raise DataError(
            f"{path}: the header promises {count:,} words, the file has {found:,}: "
            + ("it is cut short" if found < count else "header and rows are from different files")
        )


def _text_vector(path: Path, dim: int, line: bytes, number: int) -> bytes:
    word, *fields = line.rsplit(b" ", dim)
    numbers = _numbers(fields)
    if numbers is None:
        raise DataError(f"{path}, line {number}: expected {dim} numbers after {_decoded(word)!r}")
    with np.errstate(over="ignore"):  # what overflows is refused as infinity, with its word
        return np.array(numbers, dtype=np.float32).tobytes()


def _word(path: Path, number: int, line: bytes, dim: int) -> bytes:
    columns = line.count(b" ")
    if columns == dim:
        return line[: line.index(b" ")]
    # More: the word holds spaces, as ". . ." in GloVe 840B, unless what ends it is a number as well.
    word = line.rsplit(b" ", dim)[0]
    if columns < dim or _numbers(word.rsplit(b" ", 1)[1:]):
        raise DataError(
            f"{path}, line {number}: {columns} numbers after {_decoded(line[:40]).split(' ')[0]!r}, "
            f"expected {dim} as in the first line: the file is cut short or damaged"
        )
    return word


def _binary_rows(path: Path, file: IO[bytes], count: int, dim: int) -> Rows:
    size, buffer, start, line_feeds = 4 * dim, b"", 0, False
    for row in range(1, count + 1):
        while (space := buffer.find(b" ", start)) < 0 or len(buffer) < space + 1 + size:
            if space < 0 and len(buffer) - start > LONGEST_WORD:
                raise DataError(f"{path}, word {row:,}: the word has no end; {_EXPECTED}")
            more = file.read(max(CHUNK, size))
            if not more:
                raise DataError(
                    f"{path}: the header promises {count:,} words of {dim} numbers, "
                    f"the file ends in word {row:,}: it is cut short or damaged"
                )
            buffer, start = buffer[start:] + more, 0
        word, vector = buffer[start:space], buffer[space + 1 : space + 1 + size]
        start = space + 1 + size
        # Some writers end each vector with a line feed, some do not. A file that does both has lost bytes.
        if row == 2:
            line_feeds = word.startswith(b"\n")
        if row > 1 and line_feeds != word.startswith(b"\n"):
            raise DataError(f"{path}, word {row:,}: begins in the middle of other data: the file is damaged")
        yield word.removeprefix(b"\n"), vector, row
    if buffer[start:].strip() or file.read(64).strip():
        raise DataError(
            f"{path}: more data follow the {count:,} words that the header promises: it is damaged"
        )


# --- arrays with word lists -----------------------------------------------------------------------


def _read_npy(path: Path, wanted: Wanted, word_list: Path | None) -> tuple[list[str], Matrix, Sequence[int]]:
    word_list = word_list or _list_beside(path)
    try:
        matrix: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, TypeError, SyntaxError, OverflowError, tokenize.TokenError) as error:
        raise DataError(f"{path} is no readable .npy array, or is cut short: {error}") from error
    if matrix.dtype.kind != "f" or matrix.ndim != 2 or min(matrix.shape) < 1:
        raise DataError(
            f"{path} holds {matrix.dtype} {list(matrix.shape)}; expected floating-point numbers "
            "[words, length], at least one"
        )
    words: dict[str, int] = {}
    total = 0
    for word in _listed(word_list):
        if word is not None and (wanted is None or word in wanted):
            words.setdefault(word, total)
        total += 1
    if total != len(matrix):
        raise DataError(
            f"{word_list} lists {total:,} words, {path.name} has {len(matrix):,} rows: "
            "they are not from the same vectors, or one is cut short"
        )
    rows = list(words.values())
    return list(words), np.asarray(matrix[rows], dtype=np.float32), rows


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
    with _opened(word_list) as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            try:
                yield line.rstrip(b"\r\n").decode("utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise DataError(f"{word_list}, line {number}: not UTF-8 ({error.reason})") from error


def _parquet_words(word_list: Path) -> Iterator[str | None]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(word_list)
        schema, types = table.schema_arrow, pyarrow.types
        texts = [
            field.name for field in schema if types.is_string(field.type) or types.is_large_string(field.type)
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


# --- writing --------------------------------------------------------------------------------------


def write(path: Path, words: Sequence[str], matrix: Matrix) -> None:
    """Write words and vectors float32 [n, D] in the format of the path's ending; aside first, then renamed.

    Raises DataError for another ending or a word that the format cannot hold.
    """
    if path.suffix not in WRITERS:
        raise DataError(
            f"{path.name}: word vectors are written as {', '.join(WRITERS)}; choose one of these endings"
        )
    WRITERS[path.suffix](path, words, matrix)


def _write_npy(path: Path, words: Sequence[str], matrix: Matrix) -> None:
    for word in words:
        if "\n" in word or word.endswith("\r"):
            raise DataError(f"a word list of one word a line cannot hold {word!r}")
    with file_written_aside(path.with_suffix(WORD_LIST_ENDING)) as aside, aside.open("wb") as file:
        file.writelines(word.encode("utf-8", "surrogatepass") + b"\n" for word in words)
    with file_written_aside(path) as aside, aside.open("wb") as file:
        np.save(file, matrix, allow_pickle=False)


def _write_text(path: Path, words: Sequence[str], matrix: Matrix) -> None:
    # Nine digits bring every float32 back exactly.
    _write_rows(path, words, matrix, lambda row: " ".join(map("{:.9g}".format, row)).encode("ascii") + b"\n")


def _write_bin(path: Path, words: Sequence[str], matrix: Matrix) -> None:
    _write_rows(path, words, matrix.astype("<f4", copy=False), lambda row: row.tobytes())


def _write_rows(path: Path, words: Sequence[str], matrix: Matrix, row_as: Callable[[Any], bytes]) -> None:
    with file_written_aside(path) as aside, aside.open("wb") as file:
        file.write(f"{len(words)} {matrix.shape[1]}\n".encode("ascii"))
        for word, row in zip(words, matrix, strict=True):
            if word.split() != [word]:
                raise DataError(
                    f"{path.suffix} cannot hold the word {word!r} with its white space; save as .npy"
                )
            file.write(word.encode("utf-8", "surrogatepass") + b" " + row_as(row))


WRITERS: dict[str, Callable[[Path, Sequence[str], Matrix], None]] = {
    ".npy": _write_npy,
    ".txt": _write_text,
    ".vec": _write_text,
    ".bin": _write_bin,
}
