"""Files of word vectors; of a file only the wanted rows stay in memory.

Read: word2vec `.bin` and `.txt`, GloVe `.txt`, fastText `.vec`, each also gzipped, and `.npy` beside a word
list; told apart by content. Written: `.bin`, `.txt`, `.vec`, `.npy`.
"""

from __future__ import annotations

import gzip
import tokenize
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError
from gatelight.files import file_written_aside

Matrix = npt.NDArray[np.float32]
Found = tuple[list[str], Matrix, Sequence[int]]
Wanted = frozenset[str] | None

CHUNK = 1 << 22
LONGEST_LINE = 1 << 22  # 100,000 numbers; a binary file without line ends is never read whole as a line
LONGEST_WORD = 1 << 16
LARGEST_DIM = 100_000
WORD_LIST_ENDING = ".words.txt"
ENDINGS = (".npy", ".txt", ".vec", ".bin")

_FOREIGN = {
    b"PK\x03\x04": "a zip archive; unpack it and give one of its files",
    b"\x89HDF": "an HDF5 file",
    b"\xba\x16\x4f\x2f": "a fastText model; give the .vec file that lies beside it",
    b"\x80": "a Python pickle, which could run code; in gensim write it with save_word2vec_format",
}
_EXPECTED = (
    "expected word2vec .bin or .txt, GloVe .txt, fastText .vec (each also .gz), or .npy with a word list"
)


def read(path: Path, wanted: Wanted, word_list: Path | None) -> Found:
    """Return the wanted words that the file has, in its order, their vectors float32 [n, D] and rows.

    Of a word that comes twice the first row counts. Raises DataError, with line or row, for a file that is
    damaged, cut short, empty or of another kind.
    """
    if path.is_dir():
        arrays = sorted(path.glob("*.npy"))
        if len(arrays) != 1:
            raise DataError(f"{path} holds {len(arrays)} .npy files; name the file of word vectors itself")
        path = arrays[0]
    try:
        with _opened(path) as file:
            head = file.read(LONGEST_LINE)
        if head.startswith(b"\x93NUMPY"):
            return _read_npy(path, wanted, word_list)
        for magic, kind in _FOREIGN.items():
            if head.startswith(magic):
                raise DataError(f"{path} is {kind}")
        if not head.strip():
            raise DataError(f"{path} is empty; {_EXPECTED}")
        with _opened(path) as file:
            return _read_rows(path, file, head, wanted)
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


# --- text and binary ------------------------------------------------------------------------------

Wants = Callable[[bytes], bool]
Rows = Iterator[tuple[bytes, int, bytes]]
"""Of each row that is wanted the word, the place from 0 and the vector's bytes."""


def _read_rows(path: Path, file: IO[bytes], head: bytes, wanted: Wanted) -> Found:
    first, _, rest = head.partition(b"\n")
    if header := _header(path, first):
        count, dim = header
        file.readline()
        fields = _cleaned(rest.partition(b"\n")[0]).rsplit(b" ", dim)
        binary = len(fields) != dim + 1 or _numbers(fields[1:]) is None
    else:
        count, dim, binary = None, _numbers_at_the_end(first), False
        if dim == 0:
            raise DataError(f"{path} begins with {first[:40]!r}, which is no word and vector; {_EXPECTED}")
    # Compared as bytes: a word that is not wanted is never decoded, nor its numbers read.
    names = None if wanted is None else {word.encode("utf-8", "surrogatepass") for word in wanted}
    seen: set[bytes] = set()

    def wants(word: bytes) -> bool:
        new = word not in seen and (names is None or word in names)
        if new:
            seen.add(word)
        return new

    words, places, values = [], [], bytearray()
    rows = _binary_rows if binary else _text_rows
    for word, place, vector in rows(path, file, count, dim, wants):
        words.append(_decoded(word))
        places.append(place)
        values += vector
    return words, np.frombuffer(values, dtype=np.float32).reshape(len(words), dim), places


def _header(path: Path, line: bytes) -> tuple[int, int] | None:
    """Return the number of words and D of a word2vec header, None when the line is not one."""
    fields = line.split()
    if len(fields) != 2 or not all(field.isdigit() and len(field) < 16 for field in fields):
        return None
    count, dim = map(int, fields)
    if count == 0 or not 1 <= dim <= LARGEST_DIM:
        raise DataError(
            f"{path}: the header is {line[:40]!r}; expected the number of words and their length, "
            f"both at least 1 and the length at most {LARGEST_DIM:,}"
        )
    return count, dim


def _cleaned(line: bytes) -> bytes:
    return line.replace(b"\t", b" ").rstrip(b" \r\n")  # fastText ends each line with a space


def _numbers(fields: Sequence[bytes]) -> Matrix | None:
    try:
        with np.errstate(over="ignore"):  # what overflows is refused as infinity, with its word
            return np.array(list(map(float, fields)), np.float32)
    except ValueError:
        return None


def _numbers_at_the_end(line: bytes) -> int:
    """Return how many numbers end the line, the word itself (which may be a number, or hold spaces) aside."""
    fields = _cleaned(line).split(b" ")
    numbers = 0
    while numbers < len(fields) - 1 and _numbers([fields[-1 - numbers]]) is not None:
        numbers += 1
    return numbers


def _text_rows(path: Path, file: IO[bytes], count: int | None, dim: int, wants: Wants) -> Rows:
    found, number = 0, 0 if count is None else 1
    while line := file.readline(LONGEST_LINE):
        number += 1
        if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
            raise DataError(f"{path}, line {number}: longer than {LONGEST_LINE:,} bytes; {_EXPECTED}")
        line = _cleaned(line)
        if not line:
            continue
        columns = line.count(b" ")
        word = line[: line.index(b" ")] if columns == dim else line.rsplit(b" ", dim)[0]
        # More columns: the word holds spaces, as ". . ." in GloVe 840B, unless what ends it is a number too.
        if columns < dim or (columns > dim and _numbers(word.rsplit(b" ", 1)[1:]) is not None):
            raise DataError(
                f"{path}, line {number}: {columns} numbers after {_decoded(line[:40]).split(' ')[0]!r}, "
                f"expected {dim} as in the first line: the file is cut short or damaged"
            )
        if wants(word):
            numbers = _numbers(line[len(word) + 1 :].split(b" "))
            if numbers is None:
                raise DataError(f"{path}, line {number}: expected {dim} numbers after {_decoded(word)!r}")
            yield word, found, numbers.tobytes()
        found += 1
    if count is not None and found != count:
        raise DataError(
            f"{path}: the header promises {count:,} words, the file has {found:,}: "
            + ("it is cut short" if found < count else "header and rows are from different files")
        )


def _binary_rows(path: Path, file: IO[bytes], count: int | None, dim: int, wants: Wants) -> Rows:
    assert count is not None
    size, buffer, start, line_feeds = 4 * dim, b"", 0, False
    for row in range(count):
        while (space := buffer.find(b" ", start)) < 0 or len(buffer) < space + 1 + size:
            if space < 0 and len(buffer) - start > LONGEST_WORD:
                raise DataError(f"{path}, word {row + 1:,}: the word has no end; {_EXPECTED}")
            more = file.read(max(CHUNK, size))
            if not more:
                raise DataError(
                    f"{path}: the header promises {count:,} words of {dim} numbers, "
                    f"the file ends in word {row + 1:,}: it is cut short or damaged"
                )
            buffer, start = buffer[start:] + more, 0
        word, vector = buffer[start:space], buffer[space + 1 : space + 1 + size]
        start = space + 1 + size
        # Some writers end each vector with a line feed, some do not. A file that does both has lost bytes.
        if row == 1:
            line_feeds = word.startswith(b"\n")
        if row and line_feeds != word.startswith(b"\n"):
            raise DataError(
                f"{path}, word {row + 1:,}: begins in the middle of other data: the file is damaged"
            )
        word = word.removeprefix(b"\n")
        if wants(word):
            yield word, row, vector
    if buffer[start:].strip() or file.read(64).strip():
        raise DataError(
            f"{path}: more data follow the {count:,} words that the header promises: it is damaged"
        )


def _decoded(word: bytes) -> str:
    # Old word2vec models hold words cut in the middle of a character: they keep their bytes.
    try:
        return word.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return word.decode("utf-8", "surrogateescape")


# --- arrays with word lists -----------------------------------------------------------------------


def _read_npy(path: Path, wanted: Wanted, word_list: Path | None) -> Found:
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
    rows: dict[str, int] = {}
    total = 0
    for word in _listed(word_list):
        if word is not None and (wanted is None or word in wanted):
            rows.setdefault(word, total)
        total += 1
    if total != len(matrix):
        raise DataError(
            f"{word_list} lists {total:,} words, {path.name} has {len(matrix):,} rows: "
            "they are not from the same vectors, or one is cut short"
        )
    places = list(rows.values())
    return list(rows), np.asarray(matrix[places], dtype=np.float32), places


def _list_beside(path: Path) -> Path:
    """Find `x.words.txt`, `x.txt` or `x.parquet` beside `x.npy`, else the only Parquet or text file there."""
    beside = [path.with_suffix(ending) for ending in (WORD_LIST_ENDING, ".txt", ".parquet")]
    others = [*path.parent.glob("*.parquet")] or [*path.parent.glob("*.txt")]
    found = [file for file in beside if file.is_file()] or (others if len(others) == 1 else [])
    if not found:
        raise DataError(
            f"no word list was found beside {path}; expected {beside[0].name} with one word a line, or "
            f"{beside[2].name}; or give it as word_list"
        )
    return found[0]


def _listed(word_list: Path) -> Iterator[str | None]:
    if not word_list.is_file():
        raise DataError(f"there is no word list at {word_list}")
    with _opened(word_list) as file:
        if file.read(4) == b"PAR1":
            yield from _parquet_words(word_list)
            return
    with _opened(word_list) as file:
        number = 0
        while line := file.readline(LONGEST_LINE):
            number += 1
            try:
                yield line.rstrip(b"\r\n").decode("utf-8", "surrogatepass")
            except UnicodeDecodeError as error:
                raise DataError(f"{word_list}, line {number}: not UTF-8 ({error.reason})") from error


def _parquet_words(word_list: Path) -> list[str | None]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(word_list) as file:
            texts = [field.name for field in file.schema_arrow if str(field.type).endswith("string")]
            if len(texts) != 1:
                raise DataError(f"{word_list} has {len(texts)} columns of words; expected one")
            words: list[str | None] = file.read(texts).column(0).to_pylist()
            return words
    except pyarrow.ArrowException as error:
        raise DataError(f"{word_list} is no readable Parquet file: {error}") from error


# --- writing --------------------------------------------------------------------------------------


def write(path: Path, words: Sequence[str], matrix: Matrix) -> None:
    """Write words and vectors float32 [n, D] in the format of the path's ending; aside first, then renamed.

    Raises DataError for another ending or a word that the format cannot hold.
    """
    if path.suffix not in ENDINGS:
        raise DataError(
            f"{path.name}: word vectors are written as {', '.join(ENDINGS)}; choose one of these endings"
        )
    if path.suffix != ".npy":
        _write_rows(path, words, matrix)
        return
    for word in words:
        if "\n" in word or word.endswith("\r"):
            raise DataError(f"a word list of one word a line cannot hold {word!r}")
    with file_written_aside(path.with_suffix(WORD_LIST_ENDING)) as aside, aside.open("wb") as file:
        file.writelines(word.encode("utf-8", "surrogatepass") + b"\n" for word in words)
    with file_written_aside(path) as aside, aside.open("wb") as file:
        np.save(file, matrix, allow_pickle=False)


def _write_rows(path: Path, words: Sequence[str], matrix: Matrix) -> None:
    binary = path.suffix == ".bin"
    with file_written_aside(path) as aside, aside.open("wb") as file:
        file.write(f"{len(words)} {matrix.shape[1]}\n".encode("ascii"))
        for word, row in zip(words, matrix, strict=True):
            if word.split() != [word]:
                raise DataError(
                    f"{path.suffix} cannot hold the word {word!r} with its white space; save as .npy"
                )
            # Nine digits bring every float32 back exactly.
            values = row.tobytes() if binary else (" ".join(map("{:.9g}".format, row)) + "\n").encode("ascii")
            file.write(word.encode("utf-8", "surrogatepass") + b" " + values)
