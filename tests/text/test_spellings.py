"""The closest known spelling: against a plain search through all words by the textbook's edit distance."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from gatelight.text.spellings import LONGEST, SpellingIndex
from gatelight.text.vocabulary import Vocabulary

LETTERS = st.text("abco'", min_size=0, max_size=6)


def distance(a: str, b: str) -> int:
    """Optimal string alignment (Damerau 1964), by the whole table."""
    table = {(i, -1): i + 1 for i in range(-1, len(a))} | {(-1, j): j + 1 for j in range(-1, len(b))}
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (x != y))
            if i and j and x == b[j - 1] and y == a[i - 1]:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    return table[len(a) - 1, len(b) - 1]


@given(st.lists(LETTERS, unique=True, max_size=25), LETTERS)
@settings(deadline=None, max_examples=300)
def test_the_index_finds_what_a_search_through_all_words_finds(words: list[str], token: str) -> None:
    """A word missed by the index would be read as unknown; one too far would change what a text says."""
    letters = [word.replace("'", "") for word in words]
    near = [
        (bare != token.replace("'", ""), number)
        for number, (word, bare) in enumerate(zip(words, letters, strict=True))
        if bare.isalpha() and len(word) >= 2 and distance(token, word) == 1
    ]
    possible = len(token) >= 3 and token.replace("'", "").isalpha()
    expected = min(near)[1] if near and possible else None
    assert SpellingIndex(words).nearest(token) == expected


def test_an_apostrophe_is_closer_than_a_letter_then_the_frequent_word_then_the_alphabet() -> None:
    """`dont` made into the more frequent `done` would turn "I dont like it" into nonsense."""
    known = Vocabulary.from_counts({"done": 90, "don't": 50, "cats": 7, "cars": 7, "cast": 7, "want": 9})

    def nearest(token: str) -> str | None:
        found = known.nearest(token)
        return None if found is None else known.tokens[found]

    assert nearest("dont") == "don't"
    assert nearest("donn") == "done"
    assert nearest("cass") == "cars"  # as near to cats and cast, and first by alphabet
    assert nearest("wnat") == "want"
    assert nearest("wanttt") is None


def test_numbers_signs_and_short_tokens_are_nobodys_misspelling() -> None:
    """11/10 read as 1/10 would say the opposite, and one edit leads from any sign to any other."""
    index = SpellingIndex(["1/10", "1987", "in", ".", "it", "a"])
    assert [index.nearest(token) for token in ("11/10", "1988", "ix", "!", "x", "")] == [None] * 6


def test_a_hostile_token_costs_nothing() -> None:
    """Spellings shortened by each letter of one endless word would take its length squared."""
    index = SpellingIndex(["a" * 1_000_000, "b" * LONGEST])
    assert index.nearest("a" * 1_000_001) is None
    assert index.nearest("b" * (LONGEST - 1)) == 1
