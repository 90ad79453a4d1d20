"""Tokens: what the rules cut, that nothing is lost, crashes or takes more than linear time."""

from __future__ import annotations

import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from nltk.tokenize.treebank import TreebankWordTokenizer

from gatelight.errors import DataError
from gatelight.text.corpus import Corpus
from gatelight.text.detokenizer import graphemes
from gatelight.text.tokenizers import NOTE_SYMBOLS, clean_text, tokenizer

IMDB = Path(__file__).parents[3] / "shared" / "data" / "aclImdb_v1.tar.gz"
ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates and control characters too
LINEAR_SECONDS = 3.0  # for 60,000 characters: linear takes at most 0.2 s, quadratic more than ten

CASES = {
    "I don't like it's end.": "i don't like it's end .",
    "I don’t like; we can‘t, rock’n’roll": "i don't like ; we can't , rock'n'roll",
    "don`t don´t `quoted`": "don't don't ` quoted `",
    "'hello' dogs' '": "' hello ' dogs ' '",
    "Great!!!!!!!!! What?? Well...... no": "great !!! what ?? well ... no",
    "----------\nnext ***/****": "--- next *** / ***",
    "a 7/10, then 10/10; 3.5.": "a 7/10 , then 10/10 ; 3.5 .",
    "1,000,000 on 31/12/1999.": "1,000,000 on 31/12/1999 .",
    "nice :) bad :-( wink ;-) (see: p) http://x": "nice :) bad :-( wink ;-) ( see : p ) http : / / x",
    "one<br /><br />two<BR>three<p class='x'>four</p>": "one two three four",
    "x<y and y>z, I <3 <unk>": "x < y and y > z , i < 3 < unk >",
    "&quot;AT&amp;T&quot; AT&T &#39;s &copy=1": '" at & t " at & t \' s & copy = 1',
    "It was _really_ good_bad": "it was really good bad",
    "CAFÉ cafe\u0301 naïve Straße": "café café naïve straße",
    "电影很好 film": "电 影 很 好 film",
    "とても良い": "と て も 良 い",
    "हिन्दी में अच्छा": "हिन्दी में अच्छा",
    "العَرَبِيَّة می\u200cخواهم": "العَرَبِيَّة می\u200cخواهم",
    "good❤️ 👨‍👩‍👧 👍🏽👍": "good ❤ 👨‍👩‍👧 👍🏽 👍",
    "soft\u00adware zero\u200bwidth \ufeffbom": "software zero width bom",
    "a\ud800b": "a \ud800 b",
    "": "",
    " \n\t ": "",
}


@pytest.mark.parametrize("text", CASES, ids=ascii)
def test_word_rules(text: str) -> None:
    """A changed rule would silently give every saved model other tokens than it was trained on."""
    assert tokenizer().tokens(text) == CASES[text].split()


def test_settings_switch_cleaning_and_case_off() -> None:
    """Ignored settings would train and predict on different tokens."""
    assert tokenizer(lowercase=False).tokens("Don't<br />STOP") == ["Don't", "STOP"]
    assert tokenizer(clean=False).tokens("A<br />&amp;") == ["a", "<", "br", "/", ">", "&", "amp", ";"]
    raw = tokenizer("treebank", lowercase=False, clean=False)
    assert raw.tokens("Don't <br />") == ["Do", "n't", "<", "br", "/", ">"]
    assert raw.settings() == {"kind": "treebank", "lowercase": False, "clean": False}
    assert tokenizer(**raw.settings()).settings() == raw.settings()


def test_wrong_kinds_and_settings_are_named() -> None:
    """A misspelt option must not silently become the default."""
    with pytest.raises(DataError, match=r"'sentence'; choose one of: byte, char, .*, word"):
        tokenizer("sentence")
    with pytest.raises(DataError, match="no setting 'lower'; it has: lowercase, clean"):
        tokenizer("word", lower=True)
    with pytest.raises(DataError, match="'clean' must be true or false, not 'no'"):
        tokenizer("word", clean="no")


CONTRACTED = (
    "cannot Gonna 'tis 'twas more'n d'ye wanna wanna, gimme (Cannot!) cannot2 %s it's they'll n't '' .. --"
)
PIECES = st.text("abxs\u00e9\u00b2_.,:;'\"`()[]{}<>-$%&?!7\u2019\u0301\ue000", max_size=6)
PIECES |= st.sampled_from(CONTRACTED.split())


@settings(deadline=None, max_examples=500)
@given(st.lists(PIECES, max_size=8), st.sampled_from([" ", "", "  "]))
def test_treebank_is_nltks_to_the_letter(pieces: list[str], between: str) -> None:
    """The note's figures rest on NLTK's tokens; a rule of ours that looks further or less far would show."""
    text = " ".join(between.join(pieces).split())
    cut = tokenizer("treebank", lowercase=False, clean=False)
    assert cut.tokens(text) == TreebankWordTokenizer().tokenize(text)


@pytest.mark.skipif(not IMDB.exists(), reason="needs the reviews beside the repository")
def test_treebank_is_nltks_on_reviews() -> None:
    """Prose holds what nobody thinks of."""
    texts = Corpus.read(IMDB, splits=["test"]).texts[::50]
    cut = tokenizer("treebank", lowercase=False, clean=False)
    nltks = TreebankWordTokenizer()
    for text in texts:
        assert cut.tokens(text) == nltks.tokenize(" ".join(text.split()))


def test_treebank_sees_any_white_space_as_a_space() -> None:
    """NLTK's rules expect spaces: "film's" before a line end stays whole, many spaces take quadratic time."""
    cut = tokenizer("treebank")
    assert cut.tokens("the film's\n\tend\u00a0here") == ["the", "film", "'s", "end", "here"]
    started = time.process_time()
    assert cut.tokens("end." + " " * 60_000 + "x") == ["end.", "x"]
    assert time.process_time() - started < LINEAR_SECONDS


@given(ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_no_letter_or_digit_is_lost(text: str) -> None:
    """A rule that skips what it does not know would eat other people's scripts."""
    expected = [c for c in unicodedata.normalize("NFC", text) if c.isalnum() and c != "\u02bc"]
    cut = tokenizer(lowercase=False, clean=False).tokens(text)
    assert all(token and not any(c.isspace() for c in token) for token in cut)
    found = unicodedata.normalize("NFC", " ".join(cut))
    assert [c for c in found if c.isalnum()] == expected
    assert all(isinstance(token, str) for token in tokenizer("treebank").tokens(text))


HOSTILE = (
    "a", "1,", "<a ", "<br ", "&#", "&#9", "&#x", "&a", ".", "!'", "'", "é'", "é\u0301\u0327", "❤\u200d",
    "中", "a`", " ", ":-", "Σ'", "_", "a.", '."', ". ", "\u0301", "ก็", "''", "a'",
)  # fmt: skip


@pytest.mark.parametrize("kind", ["word", "treebank"])
@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
def test_time_is_linear(kind: str, unit: str) -> None:
    """A pattern that backtracks would let one hostile line stop a service."""
    text = (unit * 60_000)[:60_000] + "é"
    started = time.process_time()
    tokenizer(kind).tokens(text)
    assert time.process_time() - started < LINEAR_SECONDS


def test_a_ten_megabyte_line_is_cut() -> None:
    """One long line is data, not a reason to hang; every word of it must come out."""
    line = "It's a film, truly<br />great! 7/10 " * 285_000
    cut = tokenizer().tokens(line)
    assert cut[:9] == ["it's", "a", "film", ",", "truly", "great", "!", "7/10", "it's"]
    assert len(cut) == 8 * 285_000


@given(ANY_TEXT)
@settings(deadline=None)
def test_cleaning_leaves_plain_text_alone(text: str) -> None:
    """Cleaning that touches text without tags or entities would damage it."""
    plain = text.replace("<", "").replace("&", "")
    assert clean_text(plain) == plain


# --- characters and bytes ---------------------------------------------------------------------------

CHINESE = "这部电影非常好。"
EMOJI = "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea"
MARKS = "e\u0301 n\u0303\u0323 \u0928\u093f"
RIGHT_TO_LEFT = "\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd \u200f\u0645\u0631\u062d\u0628\u0627"
SURROGATES = "a\ud83d b\ude00\ud83d\ude00"


@pytest.mark.parametrize("kind", ["char", "byte"])
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
