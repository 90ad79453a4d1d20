"""Untrusted archives and compressed files, read in one pass, every size bounded.

Nothing is ever unpacked onto the disk, so no path can leave a target folder; even so an archive that
*tries* (absolute names, `..`, links, devices) is refused as a whole, because it was not made in good faith.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from gatelight.errors import DataError

MAX_BYTES = 8 << 30
"""Most bytes that a compressed source may unpack to, unless the caller says otherwise."""

MAX_RATIO = 200
"""Most bytes out per byte in; English text packs about 4 to 1, a decompression bomb 1000 to 1."""

RATIO_FLOOR = 64 << 20
"""Bytes that may come out before the ratio is looked at: small repetitive files are no danger."""

LONGEST_TEXT = 1 << 28
"""Most bytes of one text, be it a line or a whole file, unless the caller gives a bound of their own."""

_CHUNK = 1 << 16
_DAMAGED = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)

_OPENERS: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw, mode="rb"),  # type: ignore[dict-item,return-value]
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
_TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_COMPRESSION_OF = {".tgz": ".gz", ".tbz2": ".bz2", ".txz": ".xz"}


def is_zip(path: Path) -> bool:
    """Say whether the name is that of a zip archive."""
    return path.suffix.lower() in (".zip", ".whl", ".keras")


def is_archive(path: Path) -> bool:
    """Say whether the name is that of an archive that can be read."""
    return path.name.lower().endswith(_TAR_ENDINGS) or is_zip(path)


def compression(path: Path) -> str | None:
    """Return `.gz`, `.bz2` or `.xz` when the name says that the file is compressed, else None."""
    suffix = path.suffix.lower()
    suffix = _COMPRESSION_OF.get(suffix, suffix)
    return suffix if suffix in _OPENERS else None


def _check_size(origin: str, size: int, limit: int) -> None:
    if not 0 <= size <= limit:
        raise DataError(
            f"{origin} claims {size:,} bytes or more, {limit:,} are allowed; "
            "if you trust it, read it with a larger max_bytes"
        )


def _check_ratio(origin: str, unpacked: int, packed: int) -> None:
    if unpacked > RATIO_FLOOR and unpacked > MAX_RATIO * packed:
        raise DataError(
            f"{origin}: unpacks to more than {MAX_RATIO} times its size, like a bomb; "
            "if you trust it, read it with max_bytes set"
        )


def _damaged(origin: str, error: Exception | str) -> DataError:
    return DataError(f"{origin}: damaged or incomplete ({error}); get or copy the file again")


class BoundedReader(io.BufferedIOBase):
    """A readable byte stream that decompresses, counts and refuses to grow past its bounds.

    `origin` names the source, `offset` is the number of bytes given out so far, `tail` the last 512 of
    them. Raises DataError when the source is damaged, when more than `max_bytes` come out, or when more
    than `MAX_RATIO` bytes come out per byte that went in; a caller who gives `max_bytes` has looked, and
    the ratio is not checked.
    """

    def __init__(self, raw: IO[bytes], origin: str, packing: str | None, max_bytes: int | None) -> None:
        self._raw = raw
        self._source = _OPENERS[packing](raw) if packing else raw
        self._read1 = getattr(self._source, "read1", self._source.read)
        self.origin = origin
        self._ratio = packing is not None and max_bytes is None
        self._limit = max_bytes if max_bytes is not None else (MAX_BYTES if packing else sys.maxsize)
        self.offset = 0
        self.tail = b""

    def readable(self) -> bool:
        """Say that bytes can be read."""
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return exactly `size` bytes, fewer only at the end; all that is left when `size` is negative."""
        if size is None or size < 0:
            return b"".join(iter(self.read1, b""))
        pieces, missing = [], size
        while missing and (piece := self._take(self._source.read, min(missing, 1 << 20))):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def read1(self, size: int = -1) -> bytes:
        """Return the bytes that one read gives: at least one, unless the end is reached."""
        return self._take(self._read1, max(size, _CHUNK))

    def _take(self, read: Callable[[int], bytes], size: int) -> bytes:
        try:
            piece = read(size)
        except (*_DAMAGED, OSError) as error:
            if getattr(error, "errno", None) is not None:  # a fault of the disk, not of the data
                raise
            raise _damaged(self.origin, error) from error
        self.offset += len(piece)
        self.tail = (self.tail + piece[-512:])[-512:]
        _check_size(self.origin, self.offset, self._limit)
        if self._ratio:
            _check_ratio(self.origin, self.offset, self._raw.tell())
        return piece


@contextmanager
def opened(path: Path, max_bytes: int | None = None) -> Iterator[BoundedReader]:
    """Open a file for reading bytes, decompressed where its name ends in .gz, .bz2 or .xz."""
    with path.open("rb") as raw:
        yield BoundedReader(raw, str(path), compression(path), max_bytes)


def members(
    path: Path, wanted: Callable[[str], bool] = lambda name: True, max_bytes: int | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each wanted file of a tar or zip archive, or of a folder, one at a time.

    An archive's files come in its order, a folder's sorted, with the folder's own name in front.

    Raises DataError for a damaged archive, a name that leads outside, a link or device, or a broken bound.
    A wanted file of more than `LONGEST_TEXT` bytes is refused too, unless `max_bytes` is given.
    """
    for name, content in _entries(path, wanted, max_bytes):
        if content is not None:
            yield name, content


def member_names(path: Path, max_bytes: int | None = None) -> Iterator[str]:
    """Yield the name of each file of an archive or folder, checked as `members` checks them."""
    for name, _ in _entries(path, lambda name: False, max_bytes):
        yield name


Entries = Iterator[tuple[str, bytes | None]]
"""Each file's name, and its content where it is wanted."""


def _entries(path: Path, wanted: Callable[[str], bool], max_bytes: int | None) -> Entries:
    kind = _folder_entries if path.is_dir() else _zip_entries if is_zip(path) else _tar_entries
    return kind(path, wanted, max_bytes)


def _folder_entries(path: Path, wanted: Callable[[str], bool], max_bytes: int | None) -> Entries:
    root = path.resolve()
    for folder, inner, files in os.walk(root):
        inner.sort()
        for file in (Path(folder) / name for name in sorted(files)):
            name = file.relative_to(root.parent).as_posix()
            needed = wanted(name)
            if needed:
                _check_size(f"{path}: {name!r}", file.stat().st_size, max_bytes or LONGEST_TEXT)
            yield name, file.read_bytes() if needed else None


def _check_member(origin: str, name: str, kind: str) -> None:
    """Raise DataError for a name that leads outside of the archive, or a `kind` of entry that is no file."""
    outside = name.startswith("/") or "\\" in name or name[1:2] == ":" or ".." in name.split("/")
    if outside or not name or "\0" in name:
        kind = "a name that points outside the archive"
    if kind:
        raise DataError(f"{origin}: refused, its member {name!r} is {kind}")


def _tar_entries(path: Path, wanted: Callable[[str], bool], max_bytes: int | None) -> Entries:
    origin = str(path)
    with opened(path, max_bytes) as stream:
        try:
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for entry in tar:
                    tar.members = []  # type: ignore[attr-defined]  # else 100,000 headers stay in memory
                    # Of a sparse file ten kilobytes can stand for gigabytes of holes.
                    kind = "a sparse file" if entry.issparse() else "a link or a device"
                    plain = entry.isdir() or (entry.isreg() and not entry.issparse())
                    _check_member(origin, entry.name, "" if plain else kind)
                    if entry.isdir():
                        continue
                    needed = wanted(entry.name)
                    limit = max_bytes or (LONGEST_TEXT if needed else MAX_BYTES)
                    _check_size(f"{origin}: {entry.name!r}", entry.size, limit)
                    yield entry.name, _tar_content(tar, entry) if needed else None
        except tarfile.TarError as error:
            raise _damaged(origin, error) from error
        # Python's reader takes an archive cut between two members, or inside a header, for a whole one.
        if stream.tail.strip(b"\0"):
            raise _damaged(origin, "the archive ends too early")
        while stream.read1():  # to the compressed stream's own end, where its checksum stands
            pass


def _tar_content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry)
    content = file.read() if file is not None else b""
    if len(content) != entry.size:
        raise tarfile.ReadError(f"{entry.name!r} has {len(content)} of its {entry.size} bytes")
    return content


def _zip_entries(path: Path, wanted: Callable[[str], bool], max_bytes: int | None) -> Entries:
    origin = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            for entry in entries:
                # The upper half of the attributes is the Unix mode; 0o120000 marks a symbolic link.
                link = (entry.external_attr >> 16) & 0o170000 == 0o120000
                _check_member(origin, entry.filename, "a link" if link else "")
            total = sum(entry.file_size for entry in entries)
            _check_size(origin, total, max_bytes or MAX_BYTES)
            if max_bytes is None:
                _check_ratio(origin, total, path.stat().st_size)
            for entry in entries:
                needed = not entry.is_dir() and wanted(entry.filename)
                if needed:
                    _check_size(f"{origin}: {entry.filename!r}", entry.file_size, max_bytes or LONGEST_TEXT)
                if not entry.is_dir():
                    yield entry.filename, archive.read(entry) if needed else None
    except DataError:
        raise
    except (*_DAMAGED, zipfile.BadZipFile, RuntimeError, ValueError, struct.error, OSError) as error:
        # An offset that leads before the file's start comes back as the system's "invalid argument".
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        raise _damaged(origin, error) from error
