"""Bytes → text, line by line, with the place of an undecodable byte."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import BinaryIO, cast

from gatelight.errors import DataError
from gatelight.text.archives import LONGEST_TEXT, BoundedReader, opened
from gatelight.text.readers.example import Options

STDIN = "-"


def is_stdin(source: str | Path) -> bool:
    """Say whether a path stands for standard input."""
    return str(source) == STDIN


def name_of(source: str | Path) -> str:
    """Return what errors call a source."""
    return "standard input" if is_stdin(source) else str(source)


@contextmanager
def text_stream(source: str | Path, options: Options, newline: str) -> Iterator[io.TextIOWrapper]:
    """Open a file (decompressed where its name says so) or `-` for standard input as text.

    `newline` is as in `open`: "" keeps every line end and splits at all of them, as csv needs, "\\n" splits
    at line feeds only. Raises DataError naming the file and the offset of the first undecodable byte.
    """
    stdin = nullcontext(BoundedReader(sys.stdin.buffer, name_of(source), None, options.max_bytes))
    with stdin if is_stdin(source) else opened(Path(source), options.max_bytes) as stream:
        text = io.TextIOWrapper(
            cast(BinaryIO, stream), options.codec, errors=options.encoding_errors, newline=newline
        )
        try:
            yield text
        except UnicodeDecodeError as error:
            # The decoder was given bytes that end where the stream stands now.
            offset = stream.offset - len(error.object) + error.start
            raise undecodable(stream.origin, offset, error) from error
        except UnicodeError as error:  # UTF-16 and UTF-32 without a byte order mark they can use
            raise DataError(
                f"{stream.origin}: not {options.encoding} ({error}); name its encoding"
            ) from error
        finally:
            text.detach()


def lines(source: str | Path, options: Options) -> Iterator[tuple[int, str]]:
    """Yield number (from 1) and content of each line, without its line end; one line in memory at a time."""
    with text_stream(source, options, "\n") as stream:
        for number, line in enumerate(bounded_lines(stream, source), 1):
            yield number, line.rstrip("\n").removesuffix("\r")


def bounded_lines(stream: io.TextIOWrapper, source: str | Path) -> Iterator[str]:
    """Yield the lines of a stream with their ends; DataError for one of more than `LONGEST_TEXT`."""
    number = 0
    while line := stream.readline(LONGEST_TEXT + 1):
        number += 1
        if len(line) > LONGEST_TEXT:
            raise DataError(
                f"{name_of(source)}: line {number} is longer than {LONGEST_TEXT:,} characters; "
                "give one text a line"
            )
        yield line


def decoded(content: bytes, options: Options, origin: str) -> str:
    """Decode one whole file; raises DataError naming it and the offset of the first undecodable byte."""
    try:
        return content.decode(options.codec, options.encoding_errors)
    except UnicodeDecodeError as error:
        raise undecodable(origin, len(content) - len(error.object) + error.start, error) from error


def undecodable(origin: str, offset: int, error: UnicodeDecodeError) -> DataError:
    """Build the error for a byte at `offset` (from 0) of `origin` that its encoding does not allow."""
    byte = error.object[error.start]
    encoding = error.encoding.removesuffix("-sig")
    return DataError(
        f"{origin}: byte {offset} (0x{byte:02x}) is not {encoding} ({error.reason}); "
        "name the encoding with encoding=, or go on over such bytes with encoding_errors='replace'"
    )
