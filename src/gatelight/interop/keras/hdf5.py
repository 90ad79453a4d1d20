"""HDF5 files of untrusted origin, read through h5py: no link out of the file, no plugin, every size bounded.

Knows groups, attributes and arrays, nothing of Keras. Whatever the library raises over a damaged file becomes
one ModelFileError.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gatelight.errors import GatelightError, MissingExtraError, ModelFileError

MAGIC = b"\x89HDF\r\n\x1a\n"
OWN_FILTERS = {1, 2, 3}  # deflate, shuffle, checksum; any other would load a plugin, which is code
RATIO = 64  # most bytes of all arrays per byte of the file; weights hardly pack at all
SMALL = 1 << 20  # bytes that are no danger whatever they came from
MOST_NAMES = 10_000
DAMAGED = (
    OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError,
    MemoryError,
)  # fmt: skip


@contextmanager
def opened(source: Path | bytes, name: str) -> Iterator[Group]:
    """Yield the root group of a file, or of the bytes of one; `name` is for messages.

    Raises ModelFileError for a file that is damaged, here or while the block reads it, MissingExtraError
    without h5py.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", "keras", "reading Keras's HDF5 files") from error
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    try:
        with h5py.File(
            io.BytesIO(source) if isinstance(source, bytes) else source, "r", locking=False
        ) as file:
            yield Group(file, name, [size * RATIO + SMALL])
    except GatelightError:
        raise
    except DAMAGED as error:
        raise ModelFileError(
            f"{name} is cut short or damaged ({type(error).__name__}: {error!s:.120}); copy it again"
        ) from None


class Group:
    """One group: its names, attributes, groups and arrays."""

    def __init__(self, group: Any, name: str, left: list[int]) -> None:
        self._group, self._name, self._left = group, name, left

    def names(self) -> list[str]:
        """The names of what it holds; ModelFileError for more than a model can have."""
        if len(self._group) > MOST_NAMES:
            raise ModelFileError(
                f"{self._name} holds {len(self._group):,} entries in one group; no model has so many"
            )
        return list(self._group)

    def words(self, name: str) -> list[str] | None:
        """An attribute as strings (one or many); None where there is none."""
        if name not in self._group.attrs:
            return None
        value = self._group.attrs[name]
        found = np.asarray(value).ravel().tolist() if not isinstance(value, (str, bytes)) else [value]
        if not all(isinstance(word, (str, bytes)) for word in found):
            raise ModelFileError(
                f"{self._name}: the attribute {name} holds {type(found[0]).__name__}, not text"
            )
        return [word.decode("utf-8") if isinstance(word, bytes) else str(word) for word in found]

    def chunked_words(self, name: str) -> list[str] | None:
        """As `words`, put together again where Keras had to cut a long list: name0, name1, …"""
        whole = self.words(name)
        if whole is not None or f"{name}0" not in self._group.attrs:
            return whole
        found: list[str] = []
        for number in range(MOST_NAMES):
            part = self.words(f"{name}{number}")
            if part is None:
                break
            found += part
        return found

    def group(self, path: str) -> Group | None:
        """The group of this name; None where there is none."""
        import h5py

        found = self._follow(path)
        return Group(found, self._name, self._left) if isinstance(found, h5py.Group) else None

    def array(self, path: str) -> NDArray[np.float32]:
        """An array of floating numbers, read whole as float32.

        Raises ModelFileError when it is missing, of another kind, not finite, or larger than the file vouches
        for.
        """
        import h5py

        dataset = self._follow(path)
        what = f"{self._name}: {path}"
        if not isinstance(dataset, h5py.Dataset):
            raise ModelFileError(f"{what} is missing; the file is incomplete")
        if dataset.dtype.kind != "f" or dataset.dtype.itemsize not in (2, 4, 8):
            raise ModelFileError(
                f"{what} holds {dataset.dtype}; expected floating numbers of 16, 32 or 64 bits"
            )
        plan = dataset.id.get_create_plist()
        if plan.get_layout() not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED):
            raise ModelFileError(f"{what} is put together from other files; that is not followed")
        if plan.get_external_count():
            raise ModelFileError(f"{what} lies in another file; that is not followed")
        filters = {int(plan.get_filter(number)[0]) for number in range(plan.get_nfilters())}
        if filters - OWN_FILTERS:
            raise ModelFileError(f"{what} is packed by a plugin, which would run code; save it without")
        if not dataset.shape or 0 in dataset.shape:
            raise ModelFileError(f"{what} has the shape {dataset.shape}; expected numbers")
        needed = 1
        for side in dataset.shape:
            needed *= int(side)
        needed *= dataset.dtype.itemsize
        stored = dataset.id.get_storage_size()
        self._left[0] -= max(needed, needed * 4 // dataset.dtype.itemsize)
        if (not filters and stored < needed) or self._left[0] < 0:
            raise ModelFileError(
                f"{what} has the shape {dataset.shape}, {needed:,} bytes, but the file holds {stored:,} of it"
            )
        array = np.asarray(dataset[...]).astype(np.float32)
        if not np.isfinite(array).all():
            raise ModelFileError(
                f"{what} holds infinite or undefined numbers; training diverged, or it is damaged"
            )
        return array

    def _follow(self, path: str) -> Any:
        """What a path leads to, by hard links only; None where there is nothing."""
        import h5py

        found = self._group
        for part in path.split("/"):
            if part in ("", ".", "..") or not isinstance(found, h5py.Group) or part not in found:
                return None
            if not isinstance(found.get(part, getlink=True), h5py.HardLink):
                raise ModelFileError(
                    f"{self._name}: {part} is a link to somewhere else; that is not followed"
                )
            found = found[part]
        return found
