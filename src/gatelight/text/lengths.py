"""Length statistics of sequences against a maximal length; knows lengths only, not of what."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gatelight.errors import DataError


@dataclass(frozen=True)
class LengthStatistics:
    """How many sequences are shorter than, as long as, and longer than `maxlen`, and their mean length."""

    maxlen: int
    padded: int
    equal: int
    truncated: int
    average: float

    @classmethod
    def of(cls, sequences: Iterable[Sized], maxlen: int) -> LengthStatistics:
        """Measure sequences (a text's characters, a list's tokens); raises DataError when there are none."""
        return cls.of_lengths(np.fromiter((len(s) for s in sequences), dtype=np.int64), maxlen)

    @classmethod
    def of_lengths(cls, lengths: npt.ArrayLike, maxlen: int) -> LengthStatistics:
        """Do the same from the lengths, int64[B]."""
        measured = np.asarray(lengths, dtype=np.int64)
        if not measured.size:
            raise DataError("no sequences, so they have no average length; expected at least one")
        if maxlen < 1:
            raise DataError(f"a maximal length of {maxlen}; expected at least 1")
        return cls(
            maxlen=maxlen,
            padded=int((measured < maxlen).sum()),
            equal=int((measured == maxlen).sum()),
            truncated=int((measured > maxlen).sum()),
            average=int(measured.sum()) / measured.size,
        )

    def __str__(self) -> str:
        return (
            f"Padded: {self.padded}\nEqual: {self.equal}\n"
            f"Truncated: {self.truncated}\nAvg length: {self.average}"
        )
