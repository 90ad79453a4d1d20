"""Tokens: what the rules cut, that nothing is lost, crashes or takes more than linear time."""

from __future__ import annotations

import copy
import sys
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.tokenize.treebank import TreebankWordTokenizer

from gatelight.errors import DataError, MissingExtraError
from gatelight.text import nltk_alone
from gatelight.text import tokenizers as tokens
from gatelight.text.nltk_alone import class_of
from gatelight.text.tokenizers import clean_text, tokenizer, tokens_of_all

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


@pytest.mark.parametrize("kind", ["word", "treebank"])
def test_settings_make_an_equal_tokenizer(kind: str) -> None:
    """A model folder keeps `settings()` only; what it leaves out would be lost on loading."""
    made = tokenizer(kind, lowercase=False, clean=False)
    again = tokenizer(**made.settings())
    assert again.settings() == made.settings() == {"kind": kind, "lowercase": False, "clean": False}
    assert again.tokens("It's <i>A</i> Test") == made.tokens("It's <i>A</i> Test")


def test_wrong_kinds_and_settings_are_named() -> None:
    """A misspelt option must not silently become the default."""
    with pytest.raises(DataError, match=r"'sentence'; choose one of: byte, char, .*, word"):
        tokenizer("sentence")
    with pytest.raises(DataError, match="no setting 'lower'; it has: lowercase, clean"):
        tokenizer("word", lower=True)
    with pytest.raises(DataError, match="'clean' must be true or false, not 'no'"):
        tokenizer("word", clean="no")


def test_treebank_without_nltk_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra the user must learn what to install, not see an ImportError from inside."""
    monkeypatch.setitem(sys.modules, "nltk.tokenize.treebank", None)
    with pytest.raises(MissingExtraError, match=r"gatelight\[treebank\]"):
        tokenizer("treebank")


@pytest.mark.parametrize(
    "text",
    [
        "I don't like this movie, it's bad.",
        'He said "gimme the film\'s end" (1999) -- and cannot wait...',
        "They'll pay $3.50 & 7/10; what's up? 100% yes!",
    ],
)
def test_treebank_is_nltks(text: str) -> None:
    """The note's figures rest on NLTK's tokens, to the letter."""
    cut = tokenizer("treebank", lowercase=False, clean=False)
    assert cut.tokens(text) == TreebankWordTokenizer().tokenize(text)


TREEBANK = ("nltk.tokenize.treebank", "TreebankWordTokenizer")


def test_nltks_tokenizer_alone_cuts_as_within_nltk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are run without the rest of NLTK: another version of a rule or half a module must show."""
    monkeypatch.delitem(sys.modules, "nltk")
    alone = class_of(*TREEBANK)
    assert alone is not TreebankWordTokenizer
    assert "nltk" not in sys.modules
    for text in CASES:
        assert alone().tokenize(text) == TreebankWordTokenizer().tokenize(text)


def test_nltk_that_cannot_be_run_in_parts_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version, or one that lies in no file, must still cut."""

    def nowhere(name: str) -> None:
        raise AttributeError(name)

    monkeypatch.setattr(nltk_alone, "PACKAGE", "as if nltk were not imported yet")
    monkeypatch.setattr(nltk_alone, "_found", nowhere)
    assert class_of(*TREEBANK) is TreebankWordTokenizer


PIECES = st.text("abxs\u00e9\u00b2_.,:;'\"`()[]{}<>-$%&?!7\u2019\u0301\ue000", max_size=6) | st.sampled_from(
    [
        "cannot",
        "Gonna",
        "'tis",
        "'twas",
        "more'n",
        "d'ye",
        "wanna",
        "wanna,",
        "gimme",
        "(Cannot!)",
        "cannot2",
        "%s",
        "it's",
        "they'll",
        "n't",
        "''",
        "...",
        "--",
    ]
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.lists(PIECES, max_size=6).map(" ".join), max_size=4))
def test_treebank_piece_by_piece_is_nltks(texts: list[str]) -> None:
    """Rules that look beyond a piece, at a text's begin or end, must be asked there and nowhere else."""
    cut = tokenizer("treebank", lowercase=False, clean=False)
    nltks = TreebankWordTokenizer()
    wanted = [nltks.tokenize(" ".join(text.split())) for text in texts]
    assert list(tokens_of_all(cut, texts)) == wanted
    assert [cut.tokens(text) for text in texts] == wanted  # by what is remembered


def test_treebank_forgets_before_it_takes_all_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that reads for weeks meets ever new pieces; what is forgotten is cut anew, not wrongly."""
    monkeypatch.setattr(tokens, "MOST_PIECES", 10)
    cut = tokenizer("treebank")
    for k in range(100):
        assert cut.tokens(f"film {k}, it's x{k}.") == ["film", f"{k}", ",", "it", "'s", f"x{k}", "."]
        assert len(cut._known) < 20
    again = copy.deepcopy(cut)
    assert again._known == {}
    assert again.tokens("it's") == ["it", "'s"]


def test_treebank_sees_any_white_space_as_a_space() -> None:
    """NLTK's rules expect spaces: "film's" before a line end stays whole, many spaces take quadratic time."""
    cut = tokenizer("treebank")
    assert cut.tokens("the film's\n\tend\u00a0here") == ["the", "film", "'s", "end", "here"]
    started = time.process_time()
    assert cut.tokens("end." + " " * 60_000 + "x") == ["end.", "x"]
    assert time.process_time() - started < LINEAR_SECONDS


@given(st.text(st.characters(max_codepoint=127)))
@settings(deadline=None)
def test_unicode_rules_equal_ascii_rules_on_ascii_text(text: str) -> None:
    """Two patterns serve one set of rules: one accent in a review must not cut its other words otherwise."""
    assert tokens._unicode_patterns()[0].findall(text) == tokens._ASCII_WORDS.findall(text)


@given(ANY_TEXT)
@settings(max_examples=300, deadline=None)
def test_no_letter_or_digit_is_lost(text: str) -> None:
    """A rule that skips what it does not know would eat other people's scripts."""
    expected = [c for c in unicodedata.normalize("NFC", text) if c.isalnum() and c != "\u02bc"]
    cut = tokenizer(lowercase=False, clean=False).tokens(text)
    assert all(token and not any(c.isspace() for c in token) for token in cut)
    found = unicodedata.normalize("NFC", " ".join(cut))
    assert [c for c in found if c.isalnum()] == expected


@pytest.mark.parametrize("kind", ["word", "treebank"])
@given(text=ANY_TEXT)
@settings(deadline=None)
def test_any_string_is_cut(kind: str, text: str) -> None:
    """A lone surrogate or a control character in one review must not end a run of 25,000."""
    assert all(isinstance(token, str) for token in tokenizer(kind).tokens(text))


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


def test_an_entity_with_a_huge_number_is_left() -> None:
    """html.unescape raises ValueError on it."""
    assert clean_text("&#" + "1" * 5000 + ";") == "&#" + "1" * 5000 + ";"
