"""Lines of a stream as they come: in batches when many are ready, at once when the input pauses."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from gatelight.errors import DataError
from gatelight.text.readers.streams import undecodable

_CHUNK = 1 << 20
LONGEST_LINE = 1 << 28


def batches(
    stream: BinaryIO, name: str, encoding: str = "utf-8", encoding_errors: str = "strict"
) -> Iterator[list[str]]:
    """Yield the lines that are ready, without their ends (`\\n` or `\\r\\n`), until the stream ends.

    Raises DataError for bytes that `encoding` cannot decode, naming the offset, for a line longer than 256 Mi
    characters, and for an unknown encoding.
    """
    try:
        codec = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
        decoder = codecs.getincrementaldecoder(codec)(encoding_errors)
        codecs.lookup_error(encoding_errors)
    except LookupError as error:
        raise DataError(f"{error}; try --encoding utf-8, --encoding-errors strict or replace") from None
    begun: list[str] = []
    length = offset = 0
    while True:
        chunk = stream.read1(_CHUNK)  # type: ignore[attr-defined]  # what is there, at least a byte
        waiting = len(decoder.getstate()[0])  # bytes of a character that has not ended
        try:
            *ends, rest = decoder.decode(chunk, final=not chunk).split("\n")
        except UnicodeDecodeError as error:
            raise undecodable(name, offset - waiting + error.start, error) from None
        offset += len(chunk)
        if ends:
            ends[0] = "".join([*begun, ends[0]])
            begun, length = [], 0
            yield [line.removesuffix("\r") for line in ends]
        begun.append(rest)
        length += len(rest)
        if length > LONGEST_LINE:
            raise DataError(f"{name}: a line is longer than {LONGEST_LINE >> 20} MiB; give one text per line")
        if not chunk:
            break
    if length:
        yield ["".join(begun).removesuffix("\r")]
