"""What is odd about a text is found where it stands, and prose in any language is not odd."""

from __future__ import annotations

import pytest

from gatelight.text.oddities import NOWHERE, ODDITIES, SCRIPT_NAMES, foreign_letter, scripts

ODD = {
    "markup": {
        "a <br /> b": 2,
        "fish &amp; chips": 6,
        "<p>": 0,
        "a</review>": 1,
        "so [/quote] ": 3,
        "&lt;b": 0,
    },
    "mojibake": {"cafÃ©": 2, "he\x85 said": 2, "\ufffd": 0, "itâ€™s": 2},
    "controls": {"a\x00": 1, "\u202eb": 0, "\ufeffa": 0, "a\u200bb": 1, "\x1b[31m": 0},
}
PROSE = [
    "He said: 3 < 4 & 5 > 2, I <3 it [sic] – “truly” …",
    "naïve café, déjà vu, Ærøskøbing, Łódź, İstanbul",
    "Очень хороший фильм. 好きな映画です。 👩‍👩‍👧 می‌خواهم",
    "tabs\tand\r\nlines\n",
    "",
]


@pytest.mark.parametrize("kind", ODD)
def test_an_oddity_is_found_where_it_stands(kind: str) -> None:
    """An example that does not show the defect helps nobody."""
    for text, place in ODD[kind].items():
        assert ODDITIES[kind](text) == place, text
        assert ODDITIES[kind](f"long before {text}") == place + 12 or place == NOWHERE


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_not_odd(text: str) -> None:
    """Accents, smileys, quotation marks and other scripts are no defects."""
    assert {kind: where(text) for kind, where in ODDITIES.items()} == dict.fromkeys(ODDITIES, NOWHERE)


def test_scripts() -> None:
    """A corpus of two scripts needs two vocabularies; one Greek letter in a formula does not make it so."""
    assert scripts("plain, naïve") == (SCRIPT_NAMES.index("Latin"), False)
    assert scripts("Это фильм") == (SCRIPT_NAMES.index("Cyrillic"), False)
    assert scripts("an angle of π in a long enough line") == (SCRIPT_NAMES.index("Latin"), False)
    assert scripts("half of it очень хорошо") == (SCRIPT_NAMES.index("Cyrillic"), True)
    assert scripts("映画が好きです")[0] == SCRIPT_NAMES.index("Han and kana")
    assert foreign_letter("abc где", "Latin") == 4
    assert foreign_letter("abc", "Latin") == NOWHERE
