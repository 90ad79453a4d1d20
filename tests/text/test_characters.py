"""Characters, graphemes, bytes and the note's symbols: what goes in comes out, by hand and by Hypothesis."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gatelight.text.characters import NOTE_SYMBOLS, code_points, graphemes
from gatelight.text.tokenizers import tokenizer

CHINESE = "这部电影非常好。"
EMOJI = "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea"
MARKS = "e\u0301 n\u0303\u0323 \u0928\u093f"
RIGHT_TO_LEFT = "\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd \u200f\u0645\u0631\u062d\u0628\u0627"
SURROGATES = "a\ud83d b\ude00\ud83d\ude00"
ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates and control characters too


@pytest.mark.parametrize("kind", ["char", "grapheme", "byte"])
@given(text=ANY_TEXT)
@example(text=CHINESE)
@example(text=EMOJI)
@example(text=MARKS)
@example(text=RIGHT_TO_LEFT)
@example(text=SURROGATES)
@example(text="<br />&amp; A\r\n\x00")
def test_tokens_make_the_text_again(kind: str, text: str) -> None:
    """Generated text, and a grapheme cut in two, would come out as another text than was learned."""
    cut = tokenizer(kind, lowercase=False, clean=False)
    assert cut.text(cut.tokens(text)) == text
    assert tokenizer(**cut.settings()).tokens(text) == cut.tokens(text)


@pytest.mark.parametrize("kind", ["char", "byte", "note-char"])
@given(text=ANY_TEXT)
@example(text="İ <br /> A")
def test_spelled_are_the_tokens_side_by_side(kind: str, text: str) -> None:
    """The fast path reads `spelled`: other tokens there than in `tokens` would be another model."""
    cut = tokenizer(kind)
    assert list(cut.spelled(text)) == cut.tokens(text)
    assert code_points(cut.spelled(text)).tolist() == [ord(token) for token in cut.tokens(text)]


def test_graphemes_are_what_a_reader_counts() -> None:
    """A family, a flag, a skin tone and a vowel sign are no characters of their own."""
    assert graphemes(EMOJI) == [EMOJI[:5], " ", EMOJI[6:8], " ", EMOJI[9:]]
    assert graphemes(MARKS) == ["e\u0301", " ", "n\u0303\u0323", " ", "\u0928\u093f"]
    assert graphemes("\r\n\n") == ["\r\n", "\n"]


@given(st.text(st.characters(exclude_categories=("Cs",))))
def test_bytes_are_those_of_utf8(text: str) -> None:
    """A model of bytes must read what any other program writes."""
    tokens = tokenizer("byte", lowercase=False, clean=False).tokens(text)
    assert bytes(map(ord, tokens)) == text.encode()


@given(st.lists(st.sampled_from([chr(byte) for byte in range(256)])))
def test_bytes_that_are_no_text_become_one_nevertheless(tokens: list[str]) -> None:
    """A model that writes half a character must not end in an exception."""
    cut = tokenizer("byte")
    assert "\ufffd" in cut.text([*tokens, "\xff"])
    assert cut.text(["a", *tokens]).startswith("a")


def test_the_note_has_44_symbols_each_once() -> None:
    """46 with PAD and UNK: another number would not be the note's model."""
    assert len(NOTE_SYMBOLS) == len(set(NOTE_SYMBOLS)) == 44
    assert not any(symbol.isupper() for symbol in NOTE_SYMBOLS)
    assert tokenizer("note-char").tokens("It's<br />A") == list("it's a")


def test_code_points_of_an_empty_text() -> None:
    """Empty texts come in every corpus."""
    assert code_points("").shape == (0,)
    assert code_points(SURROGATES).dtype == np.dtype("<u4")
