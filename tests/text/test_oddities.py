"""What is odd about a text is found where it stands, and prose in any language is not odd."""

from __future__ import annotations

import numpy as np
import pytest

from gatelight.text.languages import FUNCTION_WORDS, MASKS, NAMES, UNDECIDED, languages
from gatelight.text.oddities import NOWHERE, ODDITIES, SCRIPT_NAMES, foreign_letter, scripts
from gatelight.text.spool import Spool
from gatelight.text.tokens import tokenizer

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
SENTENCES = {
    "English": "I was not sure what to expect from it, but the story is good and the actors are in form.",
    "German": "Ich habe den Film nicht gern gesehen, weil die Musik so laut ist und das Ende zu lang war.",
    "French": "Je ne sais pas ce que les gens ont vu dans ce film, mais pour moi il est une belle surprise.",
    "Spanish": "No me gustó la película porque el final es muy largo y los actores no son buenos para esto.",
    "Italian": "Non mi è piaciuto il film perché la storia è troppo lunga e gli attori non sono bravi.",
    "Portuguese": "Não gostei do filme porque a história é muito longa e os atores não são bons para isso.",
    "Dutch": "Het was niet de beste film die ik heb gezien, maar de muziek is wel mooi en het is ook leuk.",
    "Danish, Norwegian or Swedish": "Jag tycker inte om den här filmen, men musiken är bra och det var fint.",
    "Polish": "Ten film nie jest tak dobry jak się mówi, ale muzyka była bardzo ładna i to może wystarczy.",
    "Turkish": "Bu film çok güzel değil ama müzik ve oyuncular için bir kere daha izlemek gibi bir şey var.",
    "Finnish": "Elokuva ei ole niin hyvä kuin sanotaan, mutta musiikki on kaunis ja se oli myös hauska.",
}


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


def decided(texts: list[str]) -> list[str | None]:
    cut = tokenizer().tokens
    types: dict[str, int] = {}
    numbers = [[types.setdefault(token, len(types)) for token in cut(text)] for text in texts]
    found = languages(
        np.array([n for text in numbers for n in text], np.int32),
        np.array([len(text) for text in numbers]),
        np.array([MASKS.get(token, 0) for token in types], np.int32),
        np.array([token.isalnum() for token in types]),
    )
    return [None if number == UNDECIDED else NAMES[number] for number in found.tolist()]


def test_languages_are_told_apart_in_a_sentence() -> None:
    """A corpus of which a tenth is in another language is learned badly."""
    assert decided(list(SENTENCES.values())) == list(SENTENCES)


def test_too_little_decides_nothing() -> None:
    """Names and lists of nouns are in no language."""
    assert (
        decided(["", "Die Hard", "wonderful acting great music " * 5, "1 2 3 4 5 6 7 8 9 10 11 12"])
        == [None] * 4
    )


def test_the_lists_hold_no_word_twice() -> None:
    """A word counted twice would outweigh the others."""
    for words in FUNCTION_WORDS.values():
        assert len(words.split()) == len(set(words.split()))


@pytest.mark.parametrize("in_memory", [0, 10, 1 << 20])
def test_a_spool_gives_back_what_it_took(in_memory: int) -> None:
    """A record read from the wrong place would be another text's."""
    records = [b"", b"abc", b"d" * 50, b"", b"\0e"]
    with Spool(in_memory) as spool:
        for record in records:
            spool.append([record[:1], record[1:]])
        assert [spool.read(i) for i in range(len(spool))] == records
        assert spool.read(2, 4) == b"dddd"
        for most in (1, 4, 1000):
            runs = list(spool.runs(most))
            assert b"".join(data for _, _, data in runs) == b"".join(records)
            assert [first for first, _, _ in runs[1:]] == [last for _, last, _ in runs[:-1]]
            assert runs[-1][1] == len(records)
