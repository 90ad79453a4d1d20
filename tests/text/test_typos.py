"""Misspelling on purpose: the fraction asked for, one edit a word, and the same for the same text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelight.errors import DataError
from gatelight.text.spellings import SpellingIndex
from gatelight.text.typos import misspell

TEXT = "I don't like this movie, it isn't what we were told: <br /><br /> oo dull &amp; boring 7/10. " * 400
WORDS = TEXT.split()
MISSPELT = sum(word.strip(",.:").replace("'", "").isalpha() and len(word.strip(",.:")) > 1 for word in WORDS)
FOUR_DEVIATIONS = 4.0


@pytest.mark.parametrize("fraction", [0.05, 0.2, 1.0])
def test_the_fraction_of_words_is_met_and_each_is_one_edit_away(fraction: float) -> None:
    """A table of accuracy by fraction of typos is worth what this fraction is."""
    changed = [
        (before.strip(",.:"), after.strip(",.:"))
        for before, after in zip(WORDS, misspell(TEXT, fraction).split(), strict=True)
        if before != after
    ]
    deviation = (MISSPELT * fraction * (1 - fraction)) ** 0.5
    assert abs(len(changed) - MISSPELT * fraction) <= FOUR_DEVIATIONS * deviation
    for before, after in changed:
        assert len(before) > 1
        assert before != "br"
        edits = {before[:k] + before[k + 1 :] for k in range(len(before))}
        edits |= {before[:k] + before[k] + before[k:] for k in range(len(before))}
        edits |= {before[:k] + before[k + 1] + before[k] + before[k + 2 :] for k in range(len(before) - 1)}
        assert after in edits
        assert "'" not in after
        if len(after) >= 3:
            assert SpellingIndex([before]).nearest(after) == 0
    kinds = {len(after) - len(before) for before, after in changed}
    assert kinds == {-1, 0, 1}


@given(st.lists(st.text("abcé'<&;0", min_size=1, max_size=8), max_size=12).map(" ".join), st.integers(0, 9))
@settings(deadline=None)
def test_a_higher_share_adds_to_a_lower_one(text: str, seed: int) -> None:
    """Curves over the fraction would wander if each fraction misspelt other words."""
    assert misspell(text, 0.0, seed) == text
    assert misspell(text, 0.4, seed) == misspell(text, 0.4, seed)
    none, some, more = (misspell(text, fraction, seed).split() for fraction in (0.0, 0.3, 0.9))
    for low, middle, high in zip(none, some, more, strict=True):
        if low.isalpha():
            assert middle in (low, high)


def test_seeds_differ_and_strange_shares_are_refused() -> None:
    """A seed that changed nothing, or a fraction of 5 for 5 %, would go unnoticed."""
    assert misspell(TEXT, 0.1, 1) != misspell(TEXT, 0.1, 2)
    for fraction in (-0.1, 5.0, float("nan")):
        with pytest.raises(DataError, match="cannot be misspelt"):
            misspell(TEXT, fraction)
