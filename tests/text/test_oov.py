"""Unknown tokens: each policy gives what it says, and the same for the same text in any company."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelight.errors import DataError
from gatelight.text.encoding import NumberedTexts, encode
from gatelight.text.oov import UNKNOWN_POLICIES
from gatelight.text.tokenizers import tokenizer
from gatelight.text.vocabulary import UNK_ID, Vocabulary

WORDS = Vocabulary.from_counts({"i": 900, "like": 60, "this": 30, "movie": 9, "don't": 1})
V = len(WORDS)
TOKENS = st.lists(st.sampled_from(["i", "like", "dont", "lik", "xyzzy", "\ud800", "3", "movie"]), max_size=8)
OFTEN = 4000
FOUR_DEVIATIONS = 4.0
"""A fair draw misses by more once in 16,000 times; the seed is fixed, so it does so always or never."""


def read(text: str, policy: str) -> list[str]:
    ids = encode([text.split()], WORDS, unknown=policy).ids.tolist()
    return [WORDS.tokens[i] if i < V else f"#{i - 2 * V}" for i in ids]


def test_dropping_an_unknown_negation_makes_a_text_its_opposite() -> None:
    """The note's damage: without `dont` the sentence is that of somebody who likes the movie."""
    bad, good = "i dont like this movie", "i like this movie"
    assert read(bad, "drop") == read(good, "drop") == good.split()
    assert read(bad, "unk") == ["i", "<unk>", "like", "this", "movie"]
    assert read(bad, "nearest") == ["i", "don't", "like", "this", "movie"]
    assert read(bad, "subword") == ["i", "#0", "like", "this", "movie"]
    assert len(read(bad, "random")) == 5
    assert set(read(bad, "random")) <= set(WORDS.tokens[2:])


@pytest.mark.parametrize("policy", UNKNOWN_POLICIES)
@given(lists=st.lists(TOKENS, min_size=1, max_size=5), data=st.data())
@settings(deadline=None, max_examples=30)
def test_a_text_is_read_the_same_alone_and_in_any_company(
    policy: str, lists: list[list[str]], data: st.DataObject
) -> None:
    """A draw that depended on the batch would make a prediction depend on it too."""
    together = encode(lists, WORDS, unknown=policy)
    row = data.draw(st.integers(0, len(lists) - 1))
    alone = encode([lists[row]], WORDS, unknown=policy)
    start = int(together.lengths[:row].sum())

    def named(made: object, ids: np.ndarray) -> list[object]:
        return [i if i < 2 * V else made.oov[i - 2 * V] for i in ids.tolist()]  # type: ignore[attr-defined]

    ids = together.ids[start : start + together.lengths[row]]
    assert named(together, ids) == named(alone, alone.ids)
    strange = 0 if policy == "ngrams" else sum(token not in WORDS for token in lists[row])
    assert (alone.unknown.tolist(), alone.total.tolist()) == ([strange], [len(lists[row])])


def test_drawn_words_follow_their_frequencies() -> None:
    """A draw that favoured some ids would plant the same words everywhere."""
    ids = encode([["dont"] * OFTEN], WORDS, unknown="random", seed=3).ids
    chances = WORDS.counts[2:] / WORDS.counts[2:].sum()
    counts = np.bincount(ids, minlength=V)
    assert counts[:2].tolist() == [0, 0]
    deviation = np.sqrt(OFTEN * chances * (1 - chances))
    assert (np.abs(counts[2:] - OFTEN * chances) < FOUR_DEVIATIONS * deviation).all()
    other = encode([["dont"] * OFTEN], WORDS, unknown="random", seed=4).ids
    assert (other != ids).any()


def test_out_of_vocabulary_words_are_numbered_on() -> None:
    """Training and validation share one numbering, or a validation word would have another's n-grams."""
    first = encode(NumberedTexts.of(["i dont lik", "dont xyzzy"], tokenizer()), WORDS, unknown="subword")
    assert first.oov == ["dont", "lik", "xyzzy"]
    assert first.ids.tolist() == [2, 2 * V, 2 * V + 1, 2 * V, 2 * V + 2]
    second = encode(NumberedTexts.of(["new lik"], tokenizer()), WORDS, unknown="subword", oov=first.oov)
    assert second.oov == ["dont", "lik", "xyzzy", "new"]
    assert second.ids.tolist() == [2 * V + 3, 2 * V + 1]
    assert encode(NumberedTexts.of(["dont"], tokenizer()), WORDS).oov == []


def test_a_vocabulary_of_no_words_and_a_strange_policy() -> None:
    """Nothing to draw from, and a misspelt policy, must not end in a wrong id."""
    nothing = Vocabulary.build([])
    for policy in ("random", "nearest"):
        made = encode([["word"]], nothing, unknown=policy)
        assert (made.ids.tolist(), made.unknown.tolist()) == ([UNK_ID], [1])
    with pytest.raises(DataError, match="choose one of: unk, drop, random, nearest, subword"):
        encode(NumberedTexts.of([], tokenizer()), WORDS, unknown="guess")
