"""Streams: every line arrives once, in order, whole, and without waiting for the ones behind it."""

from __future__ import annotations

import io
import os
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelight.cli.lines import batches
from gatelight.errors import DataError

_CHARACTERS = st.characters(exclude_characters="\r\n\ufeff", exclude_categories=["Cs"])


class Dribble(io.RawIOBase):
    """A stream that hands out `data` in pieces of the given sizes, as a pipe does."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes, self._at = data, sizes, 0

    def readable(self) -> bool:
        return True

    def read1(self, size: int = -1) -> bytes:
        take = self._sizes.pop(0) if self._sizes else len(self._data)
        piece = self._data[self._at : self._at + take]  # what is left is not copied for each
        self._at += len(piece)
        return piece


@given(
    texts=st.lists(st.text(_CHARACTERS, max_size=9)),
    sizes=st.lists(st.integers(1, 7), max_size=30),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_lines_come_back_as_they_were_cut_anywhere(texts: list[str], sizes: list[int], end: str) -> None:
    """A line (or a character of it) that straddles two reads must not be split, lost or doubled."""
    data = "".join(text + end for text in texts).encode()
    found = list(batches(Dribble(data, sizes), "stdin"))  # type: ignore[arg-type]
    assert [line for batch in found for line in batch] == texts
    assert all(found)


def test_a_last_line_without_its_end_is_a_line_too() -> None:
    """`printf 'a\\nb' | gatelight predict MODEL -` must classify two texts."""
    assert list(batches(io.BytesIO(b"a\nb"), "stdin")) == [["a"], ["b"]]


def test_a_pause_of_the_input_lets_out_what_is_ready() -> None:
    """Someone who types a line wants its answer before typing the next."""
    read_end, write_end = os.pipe()
    found = batches(os.fdopen(read_end, "rb"), "stdin")
    os.write(write_end, b"one\ntwo\nthr")
    threading.Timer(0.3, lambda: (os.write(write_end, b"ee\n"), os.close(write_end))).start()
    begun = time.monotonic()
    first = next(found)
    assert time.monotonic() - begun < 0.25
    assert [*first, *(line for batch in found for line in batch)] == ["one", "two", "three"]


def test_a_line_of_ten_megabytes_takes_no_quadratic_time() -> None:
    """A line that arrives in small pieces must not be copied again for each of them."""
    data = b"good " * 2_000_000 + b"\nnext\n"
    begun = time.monotonic()
    found = list(batches(Dribble(data, [1024] * 9600), "stdin"))  # type: ignore[arg-type]
    assert time.monotonic() - begun < 2
    assert [len(line) for batch in found for line in batch] == [10_000_000, 4]


def test_undecodable_bytes_are_named_with_their_offset_or_replaced() -> None:
    """The user must be able to find the byte, and to go on without it."""
    data = b"fine\nbad \xff here\n"
    with pytest.raises(DataError, match=r"stdin: byte 9 \(0xff\) .*encoding_errors='replace'"):
        list(batches(io.BytesIO(data), "stdin"))
    assert list(batches(io.BytesIO(data), "stdin", encoding_errors="replace")) == [
        ["fine", "bad \ufffd here"]
    ]


def test_an_encoding_that_there_is_not_is_refused() -> None:
    """A traceback would look like our fault."""
    with pytest.raises(DataError, match="klingon"):
        list(batches(io.BytesIO(b""), "stdin", "klingon"))


def test_a_byte_order_mark_is_no_part_of_the_first_text() -> None:
    """Files from Windows begin with one; it would make the first word unknown."""
    assert list(batches(io.BytesIO(b"\xef\xbb\xbfgood\n"), "stdin")) == [["good"]]
