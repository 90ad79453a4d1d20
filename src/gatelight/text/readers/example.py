"""One text with what its source says of it, and what a reader is asked for."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import NamedTuple

from gatelight.errors import DataError

Label = str | tuple[str, ...] | None
"""A class, several classes (multi-label), or None for a text that has none."""


class Example(NamedTuple):
    """One text; what the source does not say is None. `id` is the source's own, or the line or row number."""

    text: str
    label: Label = None
    group: str | None = None
    id: str = ""
    split: str | None = None


@dataclass(frozen=True)
class Options:
    """What a reader is asked for.

    Columns are known by their usual names unless they are named here. With `labelled=False` labels are taken
    where there are any, but not needed. `delimiter` is that of CSV. `max_bytes` bounds what is read or
    unpacked. `splits` keeps only these splits of the source ("train", "test", "unsup").
    """

    text_column: str | None = None
    label_column: str | None = None
    group_column: str | None = None
    id_column: str | None = None
    encoding: str = "utf-8"
    encoding_errors: str = "strict"
    labelled: bool = True
    delimiter: str | None = None
    max_bytes: int | None = None
    splits: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        try:
            codecs.lookup(self.encoding)
            codecs.lookup_error(self.encoding_errors)
        except LookupError as error:
            raise DataError(
                f"{error}: expected an encoding such as utf-8 or latin-1, and strict or replace for errors"
            ) from None
        if self.max_bytes is not None and self.max_bytes < 1:
            raise DataError(
                f"max_bytes must be at least 1, not {self.max_bytes}; leave it out for the default"
            )

    @property
    def codec(self) -> str:
        """The encoding's name, such that a byte order mark never becomes part of the first text."""
        return "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding

    def wants(self, split: str | None) -> bool:
        """Say whether texts of this split are asked for."""
        return self.splits is None or split in self.splits
