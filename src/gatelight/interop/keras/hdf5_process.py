"""The process that alone touches HDF5 files: HDF5's own code may crash, hang or swell over a damaged one.

Run as a script by `hdf5`, so it imports h5py, NumPy and nothing of gatelight. The file is named as argument
or comes on stdin; the answer is a line of JSON with attributes by group and shapes by array, and then the
arrays as float32. No link is followed out of the file and no plugin is loaded.
"""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

RATIO = 16  # most bytes of all arrays per byte of the file; weights hardly pack at all
SMALL = 1 << 20  # bytes that are no danger whatever they came from
MOST_ENTRIES, DEEPEST = 20_000, 12
MOST_WORDS = 100_000
NOT_NEEDED = ("optimizer_weights", "optimizer", "training_config")
OWN_FILTERS = {1, 2, 3}  # deflate, shuffle, checksum; any other would load a plugin, which is code
SECONDS, BYTES_A_SECOND = 0.5, 50_000_000
SPARE = 1 << 30  # bytes of memory beside what the arrays take


class Refused(Exception):
    """What a file does that no model does."""


def main() -> None:
    """Answer."""
    h5py.h5pl.remove(0) if h5py.h5pl.size() else None
    source = sys.argv[1] if len(sys.argv) > 1 else io.BytesIO(sys.stdin.buffer.read())
    size = Path(source).stat().st_size if isinstance(source, str) else len(source.getbuffer())
    limit(size)
    try:
        with h5py.File(source, "r", locking=False) as file:
            answer, arrays = read(file, size * RATIO + SMALL)
    except Exception as error:  # told to the parent, which tells the user
        said = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error!s:.120}"
        answer, arrays = {"error": said}, []
    sys.stdout.buffer.write(json.dumps(answer).encode("ascii") + b"\n")
    for array in arrays:
        sys.stdout.buffer.write(array.tobytes())


def limit(size: int) -> None:
    """Let the system end this process when a file takes more time or memory than one of its size may."""
    if sys.platform == "win32":
        return
    import resource

    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_PROF, SECONDS + size / BYTES_A_SECOND)
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = SPARE + 3 * (size * RATIO + SMALL)
    with contextlib.suppress(ValueError, OSError):  # macOS may refuse any limit of this kind
        resource.setrlimit(resource.RLIMIT_AS, (most if hard < 0 else min(most, hard), hard))


def read(file: Any, left: int) -> tuple[dict[str, Any], list[Any]]:
    """Every group and array that a model may need, by path."""
    groups: dict[str, dict[str, Any]] = {}
    shapes: dict[str, Any] = {}
    arrays: list[Any] = []
    waiting = [("", file, 0)]
    while waiting:
        path, group, depth = waiting.pop()
        attributes = {name: found for name in group.attrs if (found := words(group, name)) is not None}
        groups[path] = attributes
        if depth > DEEPEST or len(groups) + len(shapes) + len(group) > MOST_ENTRIES:
            raise Refused("it holds more groups than a model can have")
        for name in group:
            if name in NOT_NEEDED and depth == 0:
                continue
            inside = f"{path}/{name}" if path else name
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                shapes[inside] = "leads somewhere else, which is not followed"
                continue
            found = group[name]
            if isinstance(found, h5py.Group):
                waiting.append((inside, found, depth + 1))
                continue
            if not isinstance(found, h5py.Dataset):
                continue
            problem, needed = checked(found)
            left -= needed
            if left < 0:
                raise Refused(
                    f"{inside!r:.120} has the shape {list(found.shape)}, more than the file can hold"
                )
            shapes[inside] = problem or list(found.shape)
            if problem is None:
                arrays.append(np.ascontiguousarray(found[...], np.float32))
    return {"attributes": groups, "arrays": shapes}, arrays


def words(group: Any, name: str) -> list[str] | None:
    """An attribute as strings; None for one of another kind."""
    if name in NOT_NEEDED:
        return None
    attribute = h5py.h5a.open(group.id, name.encode())
    # Keras writes an empty list of names as an empty list of numbers.
    if attribute.shape is None or 0 in attribute.shape:
        return []
    if attribute.get_type().get_class() != h5py.h5t.STRING:
        return None
    value = group.attrs[name]
    found = [value] if isinstance(value, str | bytes) else np.asarray(value).ravel().tolist()[:MOST_WORDS]
    return [word.decode("utf-8") if isinstance(word, bytes) else str(word) for word in found]


def checked(dataset: Any) -> tuple[str | None, int]:
    """Why an array is not read (None: it is), and the bytes that it takes."""
    if dataset.dtype.kind != "f" or dataset.dtype.itemsize not in (2, 4, 8):
        return f"holds {dataset.dtype}; expected floats of 16, 32 or 64 bits", 0
    plan = dataset.id.get_create_plist()
    if plan.get_layout() not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED):
        return "is put together from other files, which is not followed", 0
    if plan.get_external_count():
        return "lies in another file, which is not followed", 0
    filters = {int(plan.get_filter(number)[0]) for number in range(plan.get_nfilters())}
    if filters - OWN_FILTERS:
        return "is packed by a plugin, which would run code", 0
    if not dataset.shape or 0 in dataset.shape:
        return f"has the shape {list(dataset.shape or ())}; expected numbers", 0
    count = 1
    for side in dataset.shape:
        count *= int(side)
    stored = dataset.id.get_storage_size()
    if not filters and stored < count * dataset.dtype.itemsize:
        return f"has the shape {list(dataset.shape)}, but the file holds {stored:,} bytes of it", 0
    return None, count * max(dataset.dtype.itemsize, 4)


if __name__ == "__main__":
    main()
