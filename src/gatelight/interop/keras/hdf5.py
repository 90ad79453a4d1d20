"""HDF5 files of untrusted origin as plain groups, words and arrays.

A process of its own reads each (`hdf5_process`), so that a damaged file can end, slow down or swell nothing
but that. Whatever goes wrong there becomes one ModelFileError.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import prod
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import MissingExtraError, ModelFileError

MAGIC = b"\x89HDF\r\n\x1a\n"
RATIO, SMALL = 16, 1 << 20  # as in the process
MOST_CHUNKS = 10_000
SECONDS = 30.0  # the process ends itself much sooner, where the system can do that

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Group:
    """A group of a file: attributes as words, by group, and arrays, or why one was not read, by path."""

    file: str
    path: str
    attributes: Mapping[str, Mapping[str, list[str]]]
    arrays: Mapping[str, Array | str]

    def words(self, name: str) -> list[str] | None:
        """An attribute as strings; None where there is none, or one of another kind.

        A long list is put together again where Keras had to cut it: name0, name1, …
        """
        own = self.attributes[self.path]
        if name in own or f"{name}0" not in own:
            return own.get(name)
        parts = iter(own.get(f"{name}{number}") for number in range(MOST_CHUNKS))
        return [word for part in iter(lambda: next(parts, None), None) for word in part]

    def group(self, path: str) -> Group | None:
        """The group of this name; None where there is none."""
        inside = self._inside(path)
        return replace(self, path=inside) if inside in self.attributes else None

    def numbered(self) -> list[Array]:
        """The arrays named 0, 1, 2, … in that order."""
        found: list[Array] = []
        while self._inside(str(len(found))) in self.arrays:
            found.append(self.array(str(len(found))))
        return found

    def array(self, path: str) -> Array:
        """An array; ModelFileError when it is missing, was not read (which says why) or is not finite."""
        inside = self._inside(path)
        what, found = f"{self.file}: {inside!r:.120}", self.arrays.get(inside)
        if found is None:
            raise ModelFileError(f"{what} is missing; the file is incomplete")
        if isinstance(found, str):
            raise ModelFileError(f"{what} {found}")
        if not np.isfinite(found).all():
            raise ModelFileError(f"{what} holds infinite or undefined numbers: training diverged")
        return found

    def _inside(self, path: str) -> str:
        return f"{self.path}/{path}" if self.path else path


def opened(source: Path | bytes, name: str) -> Group:
    """Return the root group of a file, or of the bytes of one; `name` is for messages.

    Raises ModelFileError for a file that is damaged, MissingExtraError without h5py.
    """
    if find_spec("h5py") is None:
        raise MissingExtraError("h5py", "keras", "reading Keras's HDF5 files")
    # -P: the script's folder must not shadow what h5py imports.
    command = [sys.executable, "-P", str(Path(__file__).with_name("hdf5_process.py"))]
    content = source if isinstance(source, bytes) else b""
    if isinstance(source, Path):
        command.append(str(source.resolve()))
    try:
        done = subprocess.run(command, input=content, capture_output=True, check=True, timeout=SECONDS)
        end = done.stdout.index(b"\n") + 1
        answer = json.loads(done.stdout[:end])
        if "error" in answer:
            raise ModelFileError(f"{name} is damaged or no model ({answer['error']}); copy it again")
        arrays: dict[str, Array | str] = {}
        for path, shape in answer["arrays"].items():
            if isinstance(shape, str):
                arrays[path] = shape
                continue
            found = np.frombuffer(done.stdout, np.float32, prod(shape), end)
            arrays[path] = found.reshape(shape).copy()
            end += found.nbytes
    except (subprocess.SubprocessError, ValueError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{name} is damaged (HDF5 could not cope with it); copy it again") from None
    return Group(name, "", answer["attributes"], arrays)
