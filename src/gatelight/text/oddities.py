"""What is odd about one text's characters: markup, mojibake, control characters, scripts.

A new oddity is one function from a text to the place where it shows, and one line in `ODDITIES`.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Callable

import ftfy.badness

from gatelight.text.cleaning import clean_text

NOWHERE = -1

# What `clean_text` leaves: tags that HTML does not have, where they are closed, and bulletin boards' tags.
_OTHER_MARKUP = re.compile(
    r"</[A-Za-z][\w:-]{0,40}>|\[/(?:b|i|u|s|url|img|quote|code|size|color|spoiler)\]", re.IGNORECASE
)
_REPLACED = "\ufffd"
# Tabs and line ends are text; so are the joiners (U+200C, U+200D) that Persian and emoji need.
_ASCII_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f]")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")


def markup(text: str) -> int:
    """Return where the first tag or entity stands, NOWHERE where there is none."""
    if "<" in text or "&" in text:
        cleaned = clean_text(text)
        if cleaned != text:
            return bisect.bisect(range(len(text)), False, key=lambda end: text[:end] != cleaned[:end]) - 1
    return _at(_OTHER_MARKUP.search(text)) if "</" in text or "[/" in text else NOWHERE


def mojibake(text: str) -> int:
    """Return where text decoded with a wrong encoding ("Ã©", U+0085, U+FFFD) stands, by ftfy's rules."""
    if text.isascii():
        return NOWHERE
    return text.find(_REPLACED) if _REPLACED in text else _at(ftfy.badness.BADNESS_RE.search(text))


def controls(text: str) -> int:
    """Return where the first control character stands that is neither tab nor line end, seen or unseen."""
    return _at((_ASCII_CONTROLS if text.isascii() else _CONTROLS).search(text))


ODDITIES: dict[str, Callable[[str], int]] = {"markup": markup, "mojibake": mojibake, "controls": controls}


def _at(found: re.Match[str] | None) -> int:
    return NOWHERE if found is None else found.start()


# --- scripts --------------------------------------------------------------------------------------

SCRIPTS: dict[str, str] = {
    "Latin": "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Cyrillic": "\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff",
    "Hebrew": "\u0590-\u05ff\ufb1d-\ufb4f",
    "Arabic": "\u0600-\u06ff\u0750-\u077f\u08a0-\u08ff\ufb50-\ufdff\ufe70-\ufefc",
    "Indic": "\u0900-\u0dff",
    "Thai and Lao": "\u0e00-\u0eff",
    "Armenian and Georgian": "\u0530-\u058f\u10a0-\u10ff\u1c90-\u1cbf",
    "Ethiopic": "\u1200-\u139f",
    "Hangul": "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af",
    "Han and kana": "\u3005\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff",
}
SCRIPT_NAMES = tuple(SCRIPTS)
_RUNS = [re.compile(f"[{ranges}]+") for ranges in SCRIPTS.values()]
_BEYOND_LATIN = re.compile(f"[{''.join(list(SCRIPTS.values())[1:])}]")


LATIN = 0
LEAST_LETTERS, LEAST_SHARE = 3, 0.2  # of a second script: fewer are a name, a smiley or a unit


def scripts(text: str) -> tuple[int, bool]:
    """Return the place in `SCRIPT_NAMES` of a text's script, and if it has another."""
    if text.isascii() or not _BEYOND_LATIN.search(text):
        return LATIN, False
    letters = [sum(map(len, run.findall(text))) for run in _RUNS]
    second, first = sorted(letters)[-2:]
    return letters.index(first), second >= max(LEAST_LETTERS, LEAST_SHARE * sum(letters))


def foreign_letter(text: str, script: str) -> int:
    """Return where the first letter of another script than `script` stands, NOWHERE where there is none."""
    places = [_at(run.search(text)) for name, run in zip(SCRIPT_NAMES, _RUNS, strict=True) if name != script]
    return min((place for place in places if place != NOWHERE), default=NOWHERE)
