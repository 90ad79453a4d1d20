"""HDF5 files of untrusted origin as plain groups, words and arrays; knows nothing of Keras.

A process of its own reads them (`hdf5_process`), so that a damaged file can end, slow down or swell nothing
but that. Whatever goes wrong there becomes one ModelFileError.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import MissingExtraError, ModelFileError

MAGIC = b"\x89HDF\r\n\x1a\n"
RATIO, SMALL = 16, 1 << 20  # as in the process
MOST_ANSWER = 256 << 20  # bytes of names, attributes and shapes
MOST_CHUNKS = 10_000
SECONDS = 30.0  # the process ends itself much sooner, where the system can do that


class Group:
    """A group as it was read: its attributes, groups and arrays."""

    def __init__(self, tree: Tree, path: str) -> None:
        self._tree, self._path = tree, path

    def words(self, name: str) -> list[str] | None:
        """An attribute as strings; None where there is none, or one of another kind."""
        return self._tree.groups[self._path].get(name)

    def chunked_words(self, name: str) -> list[str] | None:
        """As `words`, put together again where Keras had to cut a long list: name0, name1, …"""
        whole = self.words(name)
        if whole is not None or self.words(f"{name}0") is None:
            return whole
        parts = iter(self.words(f"{name}{number}") for number in range(MOST_CHUNKS))
        return [word for part in iter(lambda: next(parts, None), None) for word in part]

    def group(self, path: str) -> Group | None:
        """The group of this name; None where there is none."""
        inside = self._inside(path)
        return Group(self._tree, inside) if inside in self._tree.groups else None

    def numbered(self) -> list[NDArray[np.float32]]:
        """The arrays named 0, 1, 2, … in that order."""
        found: list[NDArray[np.float32]] = []
        while self._inside(str(len(found))) in self._tree.shapes:
            found.append(self.array(str(len(found))))
        return found

    def array(self, path: str) -> NDArray[np.float32]:
        """An array; ModelFileError when it is missing, was not read (which says why) or is not finite."""
        inside = self._inside(path)
        what = f"{self._tree.name}: {inside!r:.120}"
        found = self._tree.shapes.get(inside)
        if found is None:
            raise ModelFileError(f"{what} is missing; the file is incomplete")
        if isinstance(found, str):
            raise ModelFileError(f"{what} {found}")
        array = self._tree.arrays[inside]
        if not np.isfinite(array).all():
            raise ModelFileError(f"{what} holds infinite or undefined numbers: training diverged")
        return array

    def _inside(self, path: str) -> str:
        return f"{self._path}/{path}" if self._path else path


class Tree:
    """A whole file: attributes by group, shapes (or why there is none) and arrays, by path."""

    def __init__(self, name: str, answer: Any, content: bytearray) -> None:
        self.name = name
        self.groups: dict[str, dict[str, list[str]]] = answer["groups"]
        self.shapes: dict[str, list[int] | str] = answer["shapes"]
        self.arrays: dict[str, NDArray[np.float32]] = {}
        at = 0
        for path, shape in self.shapes.items():
            if isinstance(shape, list):
                count = prod(shape)
                self.arrays[path] = np.frombuffer(content, np.float32, count, at).reshape(shape)
                at += 4 * count


class Reader:
    """A process that reads one file after another, begun anew when one has ended it."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, source: Path | bytes, name: str) -> Tree:
        """Read a file, or the bytes of one; ModelFileError when it is damaged."""
        if self._process is None or self._process.poll() is not None:
            self._process = _started()
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        watch = threading.Timer(SECONDS, process.kill)
        watch.start()
        try:
            request = {"bytes": len(source)} if isinstance(source, bytes) else {"path": str(source.resolve())}
            process.stdin.write(json.dumps(request).encode("ascii") + b"\n")
            if isinstance(source, bytes):
                process.stdin.write(source)
            process.stdin.flush()
            line = process.stdout.readline(MOST_ANSWER)
            answer: dict[str, Any] = {"error": "HDF5 could not cope with it"}
            if line.endswith(b"\n"):
                answer = json.loads(line)
            if "error" in answer:
                raise ModelFileError(f"{name} is damaged or no model ({answer['error']}); copy it again")
            count = sum(4 * prod(shape) for shape in answer["shapes"].values() if isinstance(shape, list))
            content = process.stdout.read(count)
            if len(content) != count:
                raise ModelFileError(f"{name} is damaged (reading it broke off); copy it again")
            return Tree(name, answer, bytearray(content))  # so that the arrays may be written to
        except (BrokenPipeError, json.JSONDecodeError):
            raise ModelFileError(f"{name} is damaged (HDF5 could not cope with it); copy it again") from None
        finally:
            watch.cancel()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def opened(source: Path | bytes, name: str) -> Group:
    """Return the root group of a file, or of the bytes of one; `name` is for messages.

    Raises ModelFileError for a file that is damaged, MissingExtraError without h5py.
    """
    if find_spec("h5py") is None:
        raise MissingExtraError("h5py", "keras", "reading Keras's HDF5 files")
    reader = Reader()
    try:
        return Group(reader.read(source, name), "")
    finally:
        reader.close()


def _started() -> subprocess.Popen[bytes]:
    script = Path(__file__).with_name("hdf5_process.py")
    # -P: the script's folder must not shadow what h5py imports.
    command = [sys.executable, "-P", str(script)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
