"""The four lines of length statistics, against the loop they come from."""

from __future__ import annotations

from collections.abc import Sequence, Sized

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatelight.errors import DataError
from gatelight.text.lengths import LengthStatistics


def counted(data: Sequence[Sized], maxlen: int) -> str:
    """Count in a plain loop and print as is customary."""
    total = truncated = exact = padded = 0
    for sample in data:
        total += len(sample)
        if len(sample) > maxlen:
            truncated += 1
        elif len(sample) < maxlen:
            padded += 1
        else:
            exact += 1
    return f"Padded: {padded}\nEqual: {exact}\nTruncated: {truncated}\nAvg length: {total / len(data)}"


@given(texts=st.lists(st.text(max_size=12), min_size=1), maxlen=st.integers(1, 12))
def test_the_lines_are_those_of_the_loop(texts: list[str], maxlen: int) -> None:
    """A length equal to the limit would count as cut or padded, or the mean be rounded."""
    assert str(LengthStatistics.of(texts, maxlen)) == counted(texts, maxlen)
    assert LengthStatistics.of(iter(texts), maxlen) == LengthStatistics.of_lengths(
        [len(text) for text in texts], maxlen
    )


def test_nothing_to_measure() -> None:
    """The mean of nothing would be a division by zero."""
    with pytest.raises(DataError, match="at least one"):
        LengthStatistics.of([], 400)
    with pytest.raises(DataError, match="expected at least 1"):
        LengthStatistics.of(["a"], 0)
