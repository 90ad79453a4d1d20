"""Texts → thought vectors, and the files that hold them; the arithmetic is in `models`.

Vectors are written block by block, so that a file may hold more than the memory does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.texts import blocks, checked_texts
from gatelight.files import file_written_aside
from gatelight.models.batches import Sequences
from gatelight.models.subwords import Subwords
from gatelight.models.thought_vectors import check_summary, thought_vectors

if TYPE_CHECKING:
    from gatelight.models.classifier import Classifier
    from gatelight.models.language_model import LanguageModel

Vectors = NDArray[np.float32]
Write = Callable[[Vectors, Sequence[str], Sequence[str | None], Sequence[str]], None]
"""Takes a block: its vectors [n, F], and the id, label and text of each."""
Read = Callable[[Sequence[str]], tuple[NDArray[np.int32], NDArray[np.int64], Subwords | None]]
"""Gives the flat ids of a block of texts, their lengths, and what unknown words' ids are made of."""
BLOCK = 8192  # texts read together


def embed_with(
    network: Classifier | LanguageModel, read: Read, texts: Iterable[str], pool: str = "last"
) -> Vectors:
    """Return a network's summary of each text, float32 [n, F], as `models.thought_vectors` says.

    `read` turns a block of texts into ids. F is the hidden size, of two directions twice that.
    A vector has the same bits alone and in any batch; a text of no words has zeros, or in a language model
    what the mark before a text leaves.
    """
    check_summary(network, pool)
    found = [np.zeros((0, network.config.features), np.float32)]
    for block in blocks(checked_texts(texts), BLOCK):
        ids, lengths, subwords = read(block)
        found.append(thought_vectors(network, Sequences.of(ids, lengths), pool, subwords))
    return np.concatenate(found)


@contextmanager
def vectors_written(path: Path, width: int) -> Iterator[Write]:
    """Yield what appends blocks of vectors [n, F] to a new .npy or .parquet file; it is there when all is.

    .npy holds float32 [texts, F] only; .parquet the columns `id`, `label`, `text` and `vector`. Raises
    DataError for another ending, OSError when the disk refuses.
    """
    writer = WRITERS.get(path.suffix)
    if writer is None:
        raise DataError(f"{path} must end in one of {', '.join(WRITERS)}, which says in what format to write")
    with file_written_aside(path) as aside, writer(aside, width) as write:
        yield write


@contextmanager
def _npy(path: Path, width: int) -> Iterator[Write]:
    written = 0

    def head(file: Any) -> None:
        shape = {"descr": "<f4", "fortran_order": False, "shape": (written, width)}
        np.lib.format.write_array_header_1_0(file, shape)  # leaves room for the count to grow

    with path.open("wb") as file:

        def write(vectors: Vectors, *named: Sequence[str | None]) -> None:
            nonlocal written
            file.write(np.ascontiguousarray(vectors, "<f4").data)
            written += len(vectors)

        head(file)
        yield write
        file.seek(0)
        head(file)


@contextmanager
def _parquet(path: Path, width: int) -> Iterator[Write]:
    import pyarrow
    from pyarrow import parquet

    kind = pyarrow.list_(pyarrow.float32(), width)
    names = ("id", "label", "text")
    schema = pyarrow.schema([*((name, pyarrow.string()) for name in names), ("vector", kind)])
    with parquet.ParquetWriter(path, schema) as file:

        def write(vectors: Vectors, *named: Sequence[str | None]) -> None:
            columns = [[None if value is None else _unicode(value) for value in column] for column in named]
            rows = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.ravel()), width)
            file.write_table(pyarrow.table([*columns, rows], schema=schema))

        yield write


def _unicode(text: str) -> str:
    # Half a surrogate pair cannot be written.
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


WRITERS: dict[str, Callable[[Path, int], Any]] = {".npy": _npy, ".parquet": _parquet}
