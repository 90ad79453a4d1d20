"""Length statistics of sequences against a maximal length."""

from __future__ import annotations

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
    def of_lengths(cls, lengths: npt.ArrayLike, maxlen: int) -> LengthStatistics:
        """Measure lengths, int64 [B]; raises DataError when there are none."""
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
