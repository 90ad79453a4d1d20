"""Hashed n-grams: the same buckets as gensim's fastText, for any word."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelight.text.subwords import LONGEST, MOST_CHARACTERS, SHORTEST, subwords

fasttext = pytest.importorskip("gensim.models.fasttext")
ANY_WORD = st.text(min_size=1, max_size=12) | st.sampled_from(
    ["dont", "a", "naïve", "映画", "\N{PILE OF POO}", "\0"]
)


@given(st.lists(ANY_WORD, max_size=6), st.sampled_from([1, 7, 1000, 2**15, 2**31 - 1]))
@settings(deadline=None)
def test_buckets_equal_gensims(words: list[str], buckets: int) -> None:
    """Another hash or other n-grams would still train, but be no fastText, and break saved models."""
    starts, rows = subwords(words, buckets)
    assert (starts.dtype, rows.dtype, len(starts)) == (np.int64, np.int32, len(words) + 1)
    for k, word in enumerate(words):
        expected = fasttext.ft_ngram_hashes(word, SHORTEST, LONGEST, buckets)
        assert sorted(rows[starts[k] : starts[k + 1]].tolist()) == sorted(expected)


def test_every_word_has_a_bucket_and_an_endless_one_few() -> None:
    """An empty list has no mean, and a text of one endless word must not fill the memory."""
    starts, rows = subwords(["a", "\ud800", "x" * 5_000_000, "x" * MOST_CHARACTERS], 100)
    counts = np.diff(starts)
    assert counts.min() >= 1
    assert counts[2] == counts[3] < 4 * (MOST_CHARACTERS + 2)
    assert rows.min() >= 0
    assert rows.max() < 100
