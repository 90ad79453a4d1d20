"""Length statistics of sequences against a maximal length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


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
        """Measure lengths, int64 [B], of one sequence or more."""
        measured = np.asarray(lengths, dtype=np.int64)
        return cls(
            maxlen=maxlen,
            padded=int((measured < maxlen).sum()),
            equal=int((measured == maxlen).sum()),
            truncated=int((measured > maxlen).sum()),
            average=int(measured.sum()) / measured.size,
        )
