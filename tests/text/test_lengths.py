"""Statistics of lengths, against the loop they come from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelight.errors import DataError
from gatelight.text.lengths import LengthStatistics


@given(lengths=st.lists(st.integers(0, 12), min_size=1), maxlen=st.integers(1, 12))
def test_the_counts_are_those_of_the_loop(lengths: list[int], maxlen: int) -> None:
    """A length equal to the limit would count as cut or padded, or the mean be rounded."""
    total = truncated = exact = padded = 0
    for length in lengths:
        total += length
        if length > maxlen:
            truncated += 1
        elif length < maxlen:
            padded += 1
        else:
            exact += 1
    expected = LengthStatistics(maxlen, padded, exact, truncated, total / len(lengths))
    assert LengthStatistics.of_lengths(lengths, maxlen) == expected


def test_nothing_to_measure() -> None:
    """The mean of nothing would be a division by zero."""
    with pytest.raises(DataError, match="at least one"):
        LengthStatistics.of_lengths([], 400)
    with pytest.raises(DataError, match="expected at least 1"):
        LengthStatistics.of_lengths([1], 0)
