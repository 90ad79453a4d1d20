"""Traces as files: .npz for NumPy, .parquet for whoever reads tables; block by block, in bounded memory."""

from __future__ import annotations

import tempfile
import zipfile
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import DataError
from gatelight.estimators.tracing import Trace
from gatelight.files import file_written_aside

ENDINGS = (".npz", ".parquet")
PIECE = 1 << 24  # bytes copied at a time
MOST_CHARACTERS = 100  # of a word in an .npz file


class Traceable(Protocol):
    """A model that yields traces of texts, block by block."""

    def traces(self, texts: Iterable[str]) -> Iterable[Trace]:
        """Yield traces."""


def write_trace(
    model: Traceable,
    texts: list[str],
    path: str | Path,
    on_texts: Callable[[int], object] = lambda done: None,
) -> int:
    """Write what a model's gates and states were on texts; returns the number of tokens.

    .npz: each quantity as float32 [N, layers, directions, H], N tokens text after text; `lengths` [B];
    `token` int32 [N], numbers of `words` (100 characters of each at most). .parquet: a row per text, step,
    layer and direction, each quantity a list of H numbers.
    `on_texts` is told how many texts are done. Raises DataError for another ending or no text.
    """
    target = Path(path)
    if target.suffix not in ENDINGS:
        raise DataError(f"{path}: a trace is written as {' or '.join(ENDINGS)}; end the name so")
    if not texts:
        raise DataError("there is no text to trace; give at least one")
    with file_written_aside(target) as aside:
        write = _write_npz if target.suffix == ".npz" else _write_parquet
        return write(_told(model.traces(texts), on_texts), aside)


def _told(traces: Iterable[Trace], on_texts: Callable[[int], object]) -> Iterable[Trace]:
    done = 0
    for trace in traces:
        yield trace
        done += len(trace)
        on_texts(done)


def _write_npz(traces: Iterable[Trace], path: Path) -> int:
    lengths: list[int] = []
    numbers: dict[str, int] = {}
    tokens = array("i")
    with tempfile.TemporaryDirectory(prefix=".trace-", dir=path.parent) as folder:
        # A zip file is written one member after the other; a trace gives all of them side by side.
        raw: dict[str, Any] = {}
        shape: tuple[int, ...] = ()
        try:
            for trace in traces:
                shape = trace.layers, trace.directions, trace.hidden_size
                for text, steps in enumerate(trace.steps):
                    lengths.append(len(steps))
                    tokens.extend(numbers.setdefault(token, len(numbers)) for token in steps.tokens)
                    for name, values in trace.of_text(text).items():
                        if name not in raw:
                            raw[name] = (Path(folder) / name).open("w+b")
                        raw[name].write(np.ascontiguousarray(values, np.float32).tobytes())
            with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
                _member(archive, "lengths", np.array(lengths, np.int64))
                _member(archive, "token", np.array(tokens, np.int32))
                # Each takes as much as the longest; an array of objects could only be read by running it.
                _member(archive, "words", np.array([word[:MOST_CHARACTERS] for word in numbers], str))
                for name, file in raw.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                        header = {"descr": "<f4", "fortran_order": False, "shape": (len(tokens), *shape)}
                        np.lib.format.write_array_header_1_0(member, header)
                        file.seek(0)
                        while piece := file.read(PIECE):
                            member.write(piece)
        finally:
            for file in raw.values():
                file.close()
    return len(tokens)


def _member(archive: zipfile.ZipFile, name: str, array: NDArray[Any]) -> None:
    with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
        np.lib.format.write_array(member, array, allow_pickle=False)


def _write_parquet(traces: Iterable[Trace], path: Path) -> int:
    import pyarrow
    import pyarrow.parquet

    writer: Any = None
    before = count = 0
    try:
        for trace in traces:
            for text, steps in enumerate(trace.steps):
                values = trace.of_text(text)
                places = np.indices((len(steps), trace.layers, trace.directions), np.int32).reshape(3, -1)
                tokens = [token.encode("utf-8", "replace").decode() for token in steps.tokens]
                columns = {
                    "text": np.full(places.shape[1], before + text, np.int32),
                    "step": places[0],
                    "token": pyarrow.array(tokens, pyarrow.string()).take(pyarrow.array(places[0])),
                    "layer": places[1].astype(np.int8),
                    "direction": places[2].astype(np.int8),
                }
                for name in trace.names:
                    flat = pyarrow.array(np.ascontiguousarray(values[name], np.float32).ravel())
                    columns[name] = pyarrow.FixedSizeListArray.from_arrays(flat, trace.hidden_size)
                table = pyarrow.table(columns)
                writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema)
                writer.write_table(table)
                count += len(steps)
            before += len(trace)
    finally:
        if writer is not None:
            writer.close()
    return count
