"""Encoding: flat ids equal a plain loop over texts, whatever the cut and the policy, in bounded memory."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gatelight.errors import DataError
from gatelight.text import encoding
from gatelight.text.encoding import NumberedTexts, encode
from gatelight.text.tokenizers import tokenizer
from gatelight.text.vocabulary import Vocabulary

WORDS = Vocabulary.build([["a"] * 4, ["b"] * 3, ["c"] * 2, ["d"]])
TOKEN_LISTS = st.lists(st.lists(st.sampled_from("abcdxyz"), max_size=9), max_size=8)


@given(
    TOKEN_LISTS,
    st.none() | st.integers(1, 10),
    st.sampled_from(["head", "tail", "head+tail"]),
    st.sampled_from(["unk", "drop"]),
)
@settings(deadline=None)
def test_encoding_equals_a_plain_loop(
    lists: list[list[str]], longest: int | None, truncation: str, unknown: str
) -> None:
    """A slip at a border would mix the end of one text into the next."""
    made = encode(lists, WORDS, max_length=longest, truncation=truncation, unknown=unknown)
    place = 0
    for row, tokens in enumerate(lists):
        ids = [{"a": 2, "b": 3, "c": 4, "d": 5}.get(token, 1) for token in tokens]
        if unknown == "drop":
            ids = [i for i in ids if i != 1]
        kept = len(ids) if longest is None else min(longest, len(ids))
        half = {"head": kept, "tail": 0, "head+tail": (kept + 1) // 2}[truncation]
        expected = [ids[i] for i in range(len(ids)) if i < half or i >= len(ids) - (kept - half)]
        assert made.lengths[row] == kept
        assert made.ids[place : place + kept].tolist() == expected
        assert (made.total[row], made.unknown[row]) == (len(tokens), sum(t in "xyz" for t in tokens))
        place += kept
    assert place == len(made.ids)
    assert [made.ids.dtype, made.lengths.dtype, made.unknown.dtype, made.total.dtype] == [
        np.int32,
        *[np.int64] * 3,
    ]


def test_head_and_tail_keep_the_first_and_the_last_half() -> None:
    """Reviews say what they mean at their ends: of an odd length the first half has one more."""
    for longest, truncation, kept in ((5, "head+tail", "abccd"), (1, "head+tail", "a"), (3, "tail", "bcd")):
        made = encode([list("abcdabcd")], WORDS, max_length=longest, truncation=truncation)
        assert made.ids.tolist() == WORDS.ids(list(kept)).tolist()


def test_texts_are_tokenised_and_read_once() -> None:
    """A generator of texts can only be read once; odd texts must come through as zero or unknown tokens."""
    texts = (text for text in ["A b!", "", "<br />", "Zzz zzz", "c" * 10_000, "d\ud800"])
    made = encode(NumberedTexts.of(texts, tokenizer()), WORDS)
    assert made.lengths.tolist() == [3, 0, 0, 2, 1, 2]
    assert made.ids.tolist() == [2, 3, 1, 1, 1, 1, 5, 1]
    assert made.unknown_fraction().tolist() == [1 / 3, 0, 0, 1, 1, 0.5]
    assert len(made) == 6
    none = encode(NumberedTexts.of([], tokenizer()), WORDS)
    assert (len(none), len(none.ids), none.ids.dtype) == (0, 0, np.int32)


def test_wrong_options_are_named() -> None:
    """A misspelt truncation must not silently cut the head."""
    with pytest.raises(DataError, match=r"'middle' is not one of: head, tail, head\+tail"):
        encode([], WORDS, truncation="middle")
    with pytest.raises(DataError, match="max_length must be at least 1, not 0"):
        encode([], WORDS, max_length=0)
    with pytest.raises(DataError, match="choose one of: unk, drop"):
        encode(NumberedTexts.of([], tokenizer()), WORDS, unknown="skip")


@pytest.mark.parametrize("kind", ["word", "char", "byte", "note-char"])
@given(st.lists(st.text("ab c.'\u00e9\u2003\x1f\0\ud800\U0001f600", max_size=12), max_size=6))
@settings(max_examples=30, deadline=None)
def test_tokens_are_numbered_in_order_of_their_first_use(kind: str, texts: list[str]) -> None:
    """The quick way of characters must not read a rare code point or a lone surrogate as anything else."""
    cut = tokenizer(kind)
    numbered = NumberedTexts.of(iter(texts), cut)
    token_lists = [cut.tokens(text) for text in texts]
    assert list(numbered) == token_lists
    assert numbered.words == list(dict.fromkeys(token for tokens in token_lists for token in tokens))
    assert numbered.counts() == Counter(token for tokens in token_lists for token in tokens)


@pytest.mark.parametrize("unknown", ["unk", "subword"])
@given(st.lists(st.text("ab cd.'", max_size=12), max_size=6), st.integers(0, 6))
@settings(max_examples=30, deadline=None)
def test_texts_numbered_together_are_as_if_apart(unknown: str, texts: list[str], first: int) -> None:
    """Of words that only held-out texts have none may be counted: the vocabulary would have seen them."""
    cut = tokenizer()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "BLOCK", 3)
        every = NumberedTexts.of(texts, cut)
        own, held = every.take(np.arange(first, len(texts))[::-1]), every.take(slice(first))
        alone = NumberedTexts.of(texts[first:][::-1], cut)
        assert list(own) == list(alone)
        assert own.counts() == alone.counts()
        oov = encode(own, WORDS, unknown=unknown).oov
        made = encode(held, WORDS, unknown=unknown, oov=oov)
        wanted = encode(NumberedTexts.of(texts[:first], cut), WORDS, unknown=unknown, oov=oov)
    for name in ("ids", "lengths", "unknown", "total"):
        np.testing.assert_array_equal(getattr(made, name), getattr(wanted, name))
    assert made.oov == wanted.oov
