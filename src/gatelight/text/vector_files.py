"""Files of word vectors, streamed: only wanted rows stay in memory. Knows nothing of vocabularies or tables.

A new format is one reader and one line in `_reader_for`, one writer and one line in `WRITERS`.
"""

from __future__ import annotations

import gzip
import zlib
from array import array
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError
from gatelight.files import file_written_aside
from gatelight.text.vector_arrays import read_npy, write_npy

Matrix = npt.NDArray[np.float32]
Wanted = frozenset[str] | None

CHUNK = 1 << 22
LONGEST_LINE = (
    1 << 22
)  # 100,000 numbers; so that a binary file without line ends is never read whole as a line
LONGEST_WORD = 1 << 16
LARGEST_DIM = 100_000

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

    Raises DataError, with line or row, for a file that is damaged, cut short, empty or of another kind.
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
            return read_npy(path, wanted, word_list)
        for magic, kind in _FOREIGN.items():
            if head.startswith(magic):
                raise DataError(f"{path} is {kind}")
        reader = _reader_for(path, head)
        with _opened(path) as file:
            kept, dim = reader(path, file, wanted)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the compressed data are damaged or cut short ({error})") from error
    matrix = np.frombuffer(kept.values, dtype=np.float32).reshape(len(kept.words), dim)
    return kept.words, matrix, kept.rows


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


Reader = Callable[[Path, IO[bytes], Wanted], "tuple[_Kept, int]"]


def _reader_for(path: Path, head: bytes) -> Reader:
    """Tell a text file from a binary one by its first vector."""
    if not head.strip():
        raise DataError(f"{path} is empty; {_EXPECTED}")
    first, _, rest = head.partition(b"\n")
    if header := _header(first):
        second = rest.partition(b"\n")[0].replace(b"\t", b" ").rstrip().rsplit(b" ", header[1])
        return _read_text if len(second) == header[1] + 1 and _numbers(second[1:]) else _read_bin
    if _headless_dim(first) == 0:
        raise DataError(f"{path} begins with {first[:40]!r}, which is no word and vector; {_EXPECTED}")
    return _read_text


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


class _Kept:
    """The rows that are wanted, first come first kept."""

    def __init__(self, wanted: Wanted) -> None:
        # Compared as bytes: a word that is not wanted is never decoded.
        self._wanted = None if wanted is None else {_encoded(word): word for word in wanted}
        self._seen: set[bytes] = set()
        self._row = -1
        self.words: list[str] = []
        self.rows = array("q")
        self.values = bytearray()

    def takes(self, word: bytes) -> bool:
        """Say whether the next row's word is wanted."""
        self._row += 1
        return (self._wanted is None or word in self._wanted) and word not in self._seen

    def add(self, word: bytes, row: bytes) -> None:
        self._seen.add(word)
        self.rows.append(self._row)
        self.words.append(_decoded(word) if self._wanted is None else self._wanted[word])
        self.values += row


def _encoded(word: str) -> bytes:
    return word.encode("utf-8", "surrogatepass")


def _decoded(word: bytes) -> str:
    # Old word2vec models hold words cut in the middle of a character: they keep their bytes.
    try:
        return word.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return word.decode("utf-8", "surrogateescape")


def _read_text(path: Path, file: IO[bytes], wanted: Wanted) -> tuple[_Kept, int]:
    line = file.readline(LONGEST_LINE)
    count, number = None, 1
    if _header(line):
        count, dim = _checked_header(path, line)
        line, number = file.readline(LONGEST_LINE), 2
    else:
        dim = _headless_dim(line)
    tabs = b"\t" in line
    kept, rows = _Kept(wanted), 0
    while line:
        if len(line) >= LONGEST_LINE and not line.endswith(b"\n"):
            raise DataError(f"{path}, line {number}: longer than {LONGEST_LINE:,} bytes; {_EXPECTED}")
        # fastText ends each line with a space.
        line = (line.replace(b"\t", b" ") if tabs else line).rstrip(b" \r\n")
        if line:
            rows += 1
            word = _word(path, number, line, dim)
            if kept.takes(word):
                numbers = _numbers(line.rsplit(b" ", dim)[1:])
                if numbers is None:
                    raise DataError(f"{path}, line {number}: expected {dim} numbers after {_decoded(word)!r}")
                with np.errstate(over="ignore"):  # what overflows is refused as infinity, with its word
                    kept.add(word, np.array(numbers, dtype=np.float32).tobytes())
        line, number = file.readline(LONGEST_LINE), number + 1
    if count is not None and rows != count:
        raise DataError(
            f"{path}: the header promises {count:,} words, the file has {rows:,}: "
            + ("it is cut short" if rows < count else "header and rows are from different files")
        )
    return kept, dim


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


def _read_bin(path: Path, file: IO[bytes], wanted: Wanted) -> tuple[_Kept, int]:
    count, dim = _checked_header(path, file.readline(64))
    size = 4 * dim
    kept, row, start, line_feeds = _Kept(wanted), 0, 0, False
    buffer = b""
    while row < count:
        space = buffer.find(b" ", start)
        if space < 0 or len(buffer) < space + 1 + size:
            if space < 0 and len(buffer) - start > LONGEST_WORD:
                raise DataError(f"{path}, word {row + 1:,}: the word has no end; {_EXPECTED}")
            more = file.read(max(CHUNK, size))
            if not more:
                raise DataError(
                    f"{path}: the header promises {count:,} words of {dim} numbers, "
                    f"the file ends in word {row + 1:,}: it is cut short or damaged"
                )
            buffer, start = buffer[start:] + more, 0
            continue
        word = buffer[start:space]
        start = space + 1 + size
        # Some writers end each vector with a line feed, some do not. A file that does both has lost bytes.
        if row == 1:
            line_feeds = word.startswith(b"\n")
        if row > 0 and line_feeds != word.startswith(b"\n"):
            raise DataError(
                f"{path}, word {row + 1:,}: begins in the middle of other data: the file is damaged"
            )
        word = word.removeprefix(b"\n")
        if kept.takes(word):
            kept.add(word, buffer[space + 1 : start])
        row += 1
    if buffer[start:].strip() or file.read(64).strip():
        raise DataError(
            f"{path}: more data follow the {count:,} words that the header promises: it is damaged"
        )
    return kept, dim


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


def _write_text(path: Path, words: Sequence[str], matrix: Matrix) -> None:
    with file_written_aside(path) as aside, aside.open("wb") as file:
        file.write(f"{len(words)} {matrix.shape[1]}\n".encode("ascii"))
        for word, row in zip(words, matrix, strict=True):
            # Nine digits bring every float32 back exactly.
            numbers = " ".join(map("{:.9g}".format, row.tolist()))
            file.write(_unspaced(path, word) + b" " + numbers.encode("ascii") + b"\n")


def _write_bin(path: Path, words: Sequence[str], matrix: Matrix) -> None:
    with file_written_aside(path) as aside, aside.open("wb") as file:
        file.write(f"{len(words)} {matrix.shape[1]}\n".encode("ascii"))
        for word, row in zip(words, matrix.astype("<f4", copy=False), strict=True):
            file.write(_unspaced(path, word) + b" " + row.tobytes())


def _unspaced(path: Path, word: str) -> bytes:
    if word.split() != [word]:
        raise DataError(f"{path.suffix} cannot hold the word {word!r} with its white space; save as .npy")
    return _encoded(word)


WRITERS: dict[str, Callable[[Path, Sequence[str], Matrix], None]] = {
    ".npy": write_npy,
    ".txt": _write_text,
    ".vec": _write_text,
    ".bin": _write_bin,
}
