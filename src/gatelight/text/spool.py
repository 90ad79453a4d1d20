"""Byte records, appended and read back by number, in memory or beyond a bound on disk; knows no text."""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Iterator
from types import TracebackType

IN_MEMORY = 64 << 20


class Spool:
    """Records in a temporary file that nobody else sees, which stays in memory up to `in_memory` bytes.

    8 bytes of memory for each record come on top. A full disk raises OSError.
    """

    def __init__(self, in_memory: int = IN_MEMORY) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=in_memory)  # noqa: SIM115
        self._ends = array("q", [0])

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, pieces: Iterable[bytes]) -> None:
        """Add one record, given in pieces; only before the first one is read."""
        end = self._ends[-1]
        for piece in pieces:
            end += self._file.write(piece)
        self._ends.append(end)

    def read(self, number: int, most: int | None = None) -> bytes:
        """Return a record, or its first `most` bytes."""
        start, end = self._ends[number], self._ends[number + 1]
        self._file.seek(start)
        return self._file.read(end - start if most is None else min(end - start, most))

    def runs(self, most: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield runs of records as (first, last + 1, their bytes), of `most` bytes or of a single record."""
        first = 0
        while first < len(self):
            last = first + 1
            while last < len(self) and self._ends[last + 1] - self._ends[first] <= most:
                last += 1
            self._file.seek(self._ends[first])
            yield first, last, self._file.read(self._ends[last] - self._ends[first])
            first = last
