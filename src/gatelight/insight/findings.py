"""What an audit says: a number, its fraction, up to three examples and what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass

EXAMPLES = 3
QUOTED = 160  # characters

_SPACE = re.compile(r"[ \t\r\n]+")
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")


@dataclass(frozen=True)
class Quote:
    """A text's id and an excerpt of it, in which the user's own characters stand as they came."""

    id: str
    text: str


@dataclass(frozen=True)
class Finding:
    """One defect: `count` of `of` (texts, groups, words: `what`), what that means and what to do about it."""

    name: str
    says: str
    count: int
    of: int
    advice: str
    examples: tuple[Quote, ...] = ()

    @property
    def fraction(self) -> float:
        """Return count / of; 0 of nothing."""
        return self.count / self.of if self.of else 0.0


def quoted(name: str, text: str, place: int = 0) -> Quote:
    """Return an excerpt of some `QUOTED` characters around `place`; what cannot be seen as \\u0085."""
    start = max(0, min(place - QUOTED // 3, len(text) - QUOTED)) if place > QUOTED // 2 else 0
    part = text[start : start + QUOTED]
    shown = _UNSEEN.sub(lambda found: f"\\u{ord(found.group()):04x}", _SPACE.sub(" ", part))
    return Quote(name, f"{'…' if start else ''}{shown}{'…' if start + QUOTED < len(text) else ''}")
