"""Lines of a stream as they come: in batches when many are ready, at once when the input pauses.

Knows no model. A reader thread waits for input so that the main thread can work; a line may be of
any length up to a stated limit, and undecodable bytes are refused or replaced.
"""

from __future__ import annotations

import codecs
import queue
import threading
from collections.abc import Iterator
from typing import BinaryIO

from gatelight.errors import DataError

_CHUNK = 1 << 20
_CHUNKS_AHEAD = 8
_CHARACTERS = 1 << 24  # of a batch, beyond which it is handed out
LONGEST_LINE = 1 << 28


class Lines:
    """The lines of a binary stream, without their ends (`\\n` or `\\r\\n`), as batches of decoded texts.

    Raises DataError for bytes that `encoding` cannot decode (under `encoding_errors="strict"`), naming the
    source and the offset, for a line longer than 256 MiB, and for an unknown or multi-byte encoding.
    """

    def __init__(
        self, stream: BinaryIO, name: str, encoding: str = "utf-8", encoding_errors: str = "strict"
    ) -> None:
        try:
            streamable = "\n".encode(encoding) == b"\n"
            codecs.lookup_error(encoding_errors)
        except LookupError as error:
            raise DataError(f"{error}; try --encoding utf-8, --encoding-errors strict or replace") from None
        if not streamable:
            raise DataError(f"lines in {encoding} cannot be told apart byte by byte; convert {name} to UTF-8")
        # The raw stream has no lock, which a thread that waits must not own when the program ends.
        self._stream: BinaryIO = getattr(stream, "raw", stream)
        self._owner = stream  # closes the raw stream when it is collected
        self._name = name
        self._encoding = encoding
        self._errors = encoding_errors
        self._chunks: queue.Queue[bytes | BaseException | None] = queue.Queue(_CHUNKS_AHEAD)

    def batches(self, at_most: int) -> Iterator[list[str]]:
        """Yield the lines that are ready, never more than `at_most` nor fewer than one, until the end."""
        threading.Thread(target=self._read, daemon=True).start()
        ready: list[str] = []
        characters = 0
        for piece in self._pieces():
            if piece is not None:
                ready.append(piece)
                characters += len(piece)
            if ready and (piece is None or len(ready) >= at_most or characters >= _CHARACTERS):
                yield ready
                ready, characters = [], 0
        if ready:
            yield ready

    def _read(self) -> None:
        try:
            while chunk := self._stream.read(_CHUNK):
                self._chunks.put(chunk)
            self._chunks.put(None)
        except BaseException as error:
            self._chunks.put(error)

    def _pieces(self) -> Iterator[str | None]:
        """Yield each line, and None whenever the stream has nothing more for now."""
        begun: list[bytes] = []
        length = offset = 0
        while True:
            if self._chunks.empty():
                yield None
            chunk = self._chunks.get()
            if isinstance(chunk, BaseException):
                raise chunk
            if chunk is None:
                break
            *ends, rest = chunk.split(b"\n")
            for end in ends:
                line = b"".join([*begun, end])
                yield self._decode(line.removesuffix(b"\r"), offset)
                offset += len(line) + 1
                begun, length = [], 0
            begun.append(rest)
            length += len(rest)
            if length > LONGEST_LINE:
                raise DataError(
                    f"{self._name}: a line is longer than {LONGEST_LINE >> 20} MiB; give one text per line"
                )
        if length:
            yield self._decode(b"".join(begun).removesuffix(b"\r"), offset)

    def _decode(self, line: bytes, offset: int) -> str:
        if offset == 0:
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            return line.decode(self._encoding, self._errors)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self._name}: byte 0x{line[error.start]:02x} at offset {offset + error.start} is not "
                f"{self._encoding}; --encoding-errors replace goes on without it"
            ) from None
