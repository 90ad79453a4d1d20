"""Texts and numbers in files that are mapped, not read: as many as a disk takes.

The files have no name: they vanish with the process, however it ends.
"""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from gatelight.text.encoding import Storage, in_memory

BLOCK_TEXTS, BLOCK_BYTES = 1 << 12, 1 << 24


class MappedTexts(Sequence[str]):
    """Texts [n] of an Arrow file in `folder`, or those at `rows`: strings only when they are asked for."""

    def __init__(self, folder: Path, blocks: Sequence[Any], rows: NDArray[np.integer[Any]] | None = None):
        """Take over the file's blocks, Arrow arrays of the bytes of UTF-8."""
        self.folder, self._blocks, self._rows = folder, blocks, rows
        self._ends = np.cumsum([len(block) for block in blocks], dtype=np.int64)

    def __len__(self) -> int:
        """Return n."""
        if self._rows is not None:
            return len(self._rows)
        return int(self._ends[-1]) if len(self._ends) else 0

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> MappedTexts: ...
    def __getitem__(self, place: int | slice) -> str | MappedTexts:
        """Return one text, or several that stay where they are."""
        if isinstance(place, slice):
            return self.take(np.arange(len(self))[place])
        row = range(len(self))[place]
        return next(self._at(np.array([row]) if self._rows is None else self._rows[[row]]))

    def __iter__(self) -> Iterator[str]:
        """Yield the texts, a block in memory at a time."""
        if self._rows is None:
            for block in self._blocks:
                yield from map(_text, block.to_pylist())
        else:
            for begin in range(0, len(self._rows), BLOCK_TEXTS):
                yield from self._at(self._rows[begin : begin + BLOCK_TEXTS])

    def take(self, rows: NDArray[np.integer[Any]]) -> MappedTexts:
        """Return the texts at these positions, in this order; none of them is copied."""
        return MappedTexts(self.folder, self._blocks, rows if self._rows is None else self._rows[rows])

    def _at(self, rows: NDArray[np.integer[Any]]) -> Iterator[str]:
        numbers = np.searchsorted(self._ends, rows, "right")
        places = rows - np.append(0, self._ends)[numbers]
        for number, place in zip(numbers.tolist(), places.tolist(), strict=True):
            yield _text(self._blocks[number][place].as_py())


class TextsFile:
    """A file in `folder`, which is made if need be, that texts are appended to and then mapped from."""

    def __init__(self, folder: Path) -> None:
        """Begin it; OSError here and later when the disk refuses."""
        import pyarrow.ipc

        self.folder, self._file = folder, _nameless(folder)
        self._kind = pyarrow.schema({"text": pyarrow.binary()})
        self._writer = pyarrow.ipc.new_file(self._file, self._kind)
        self._block, self._bytes = list[bytes](), 0

    def append(self, text: str) -> None:
        """Add a text, which may have lone surrogates."""
        self._block.append(text.encode("utf-8", "surrogatepass"))
        self._bytes += len(self._block[-1])
        if len(self._block) == BLOCK_TEXTS or self._bytes >= BLOCK_BYTES:
            self._write()

    def mapped(self) -> MappedTexts:
        """End it and return its texts."""
        import pyarrow.ipc

        self._write()
        with _named(self.folder):
            self._writer.close()
            self._file.flush()
        reader = pyarrow.ipc.open_file(pyarrow.py_buffer(_mapped(self._file)))
        return MappedTexts(
            self.folder, [reader.get_batch(k).column(0) for k in range(reader.num_record_batches)]
        )

    def _write(self) -> None:
        import pyarrow

        with _named(self.folder):
            block = pyarrow.record_batch([pyarrow.array(self._block, pyarrow.binary())], self._kind)
            self._writer.write(block)
        self._block, self._bytes = [], 0


def storage_of(texts: Iterable[str]) -> Storage:
    """Return where the tokens of texts go: in memory, or in files beside those of mapped texts."""
    return partial(_in_file, texts.folder) if isinstance(texts, MappedTexts) else in_memory


def taken(items: Sequence[Any], rows: NDArray[np.integer[Any]]) -> Sequence[Any]:
    """Return the items at these positions, in this order; mapped ones stay where they are."""
    return items.take(rows) if isinstance(items, MappedTexts) else [items[row] for row in rows.tolist()]


def _in_file(folder: Path, parts: Iterable[bytes]) -> NDArray[np.int32]:
    with _named(folder), _nameless(folder) as file:
        file.writelines(parts)
        file.flush()
        return np.frombuffer(_mapped(file), np.int32) if file.tell() else np.zeros(0, np.int32)


def _nameless(folder: Path) -> BinaryIO:
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryFile(dir=folder, buffering=1 << 20)  # type: ignore[return-value]


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Say of a full disk which one it is."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, str(folder)) from error


def _mapped(file: BinaryIO) -> mmap.mmap:
    # Not read-only, for which compiled code would be compiled once more.
    return mmap.mmap(file.fileno(), 0)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")
