"""A clean corpus of made-up reviews, and every defect that an audit knows, planted into it one at a time."""

from __future__ import annotations

import random
from collections.abc import Callable

from gatelight.text.corpus import Example

NOUNS = "film plot music cast scene story ending hero villain camera script dialogue city war song dream"
VERBS = "holds follows shows reveals misses carries hides meets leaves keeps builds opens"
ADJECTIVES = "quiet long bright strange gentle loud early simple modern careful distant warm"
LINKS = "and the of with a in its for that this from into when as"

RUSSIAN = "Это был хороший фильм, но конец показался мне слишком длинным, и музыка мешала слушать разговоры."


def sentence(draw: random.Random, words: int) -> str:
    """Return words in a random order that English prose could have, with a third of function words."""
    pools = [pool.split() for pool in (LINKS, ADJECTIVES, NOUNS, VERBS)]
    out = [draw.choice(pools[i % 4 if i % 5 else 0]) for i in range(words)]
    return " ".join(out).capitalize() + draw.choice(".!?")


def clean(n: int = 120, seed: int = 0, part: str | None = None, first: int = 0) -> list[Example]:
    """Return texts of 40 to 60 words in two classes, none like another."""
    draw = random.Random(seed)
    return [
        Example(
            " ".join(sentence(draw, draw.randint(10, 15)) for _ in range(4)),
            ("neg", "pos")[i % 2],
            None,
            f"{part or 'text'} {first + i}",
            part,
        )
        for i in range(n)
    ]


def in_two_parts() -> list[Example]:
    return [*clean(120, 0, "train"), *clean(60, 1, "test")]


def changed(texts: list[Example], at: int, **fields: object) -> list[Example]:
    return [*texts[:at], texts[at]._replace(**fields), *texts[at + 1 :]]


def with_text(*texts: str) -> list[Example]:
    rows = clean()
    for at, text in enumerate(texts):
        rows = changed(rows, 7 + 10 * at, text=text)
    return rows


def one_word_other(text: str) -> str:
    words = text.split()
    words[len(words) // 2] = "umbrella"
    return " ".join(words)


def leakage() -> list[Example]:
    rows = in_two_parts()
    return changed(changed(rows, 130, text=rows[10].text), 131, text=rows[11].text)


def cut() -> list[Example]:
    draw = random.Random(6)
    return with_text(*(" ".join(sentence(draw, 14) for _ in range(60)) for _ in range(3)))


def unknown_words() -> list[Example]:
    rows = in_two_parts()
    return [*rows[:120], *(row._replace(text=row.text.replace("th", "zzh")) for row in rows[120:])]


def unknown_negations() -> list[Example]:
    rows = in_two_parts()
    return [*rows[:120], *(row._replace(text=f"Dont {row.text}") for row in rows[120:123]), *rows[123:]]


PLANTED: dict[str, tuple[Callable[[], list[Example]], dict[str, int]]] = {
    "copies": (
        lambda: [*clean(), *(clean()[4]._replace(id=f"again {n}") for n in range(2))],
        {"copies": 2},
    ),
    "near copies": (
        lambda: changed(clean(), 20, text=one_word_other(clean()[40].text)),
        {"near copies": 2},
    ),
    "two labels": (  # the same words, not the same text
        lambda: changed(clean(), 21, text=clean()[40].text.upper()),
        {"two labels": 2, "near copies": 2},
    ),
    "leakage": (leakage, {"leakage": 2}),
    "near leakage": (
        lambda: changed(in_two_parts(), 130, text=one_word_other(in_two_parts()[10].text)),
        {"near leakage": 1},
    ),
    "groups on both sides": (
        lambda: changed(
            [row._replace(group=f"film {i}") for i, row in enumerate(in_two_parts())], 150, group="film 3"
        ),
        {"groups on both sides": 1},
    ),
    "unbalanced classes": (
        lambda: [row._replace(label="pos" if i % 8 else "neg") for i, row in enumerate(clean())],
        {"unbalanced classes": 15},
    ),
    "empty": (lambda: with_text("", " \n ", "... !"), {"empty": 3}),
    "near-empty": (lambda: with_text("n/a", "good film"), {"near-empty": 2}),
    "cut": (cut, {"cut": 3}),
    "markup": (
        lambda: with_text(f"<p>{clean(1, 9)[0].text}</p>", clean(1, 10)[0].text + " &amp; [/quote]"),
        {"markup": 2},
    ),
    "mojibake": (
        lambda: with_text(clean(1, 9)[0].text + " the cafÃ© opens", clean(1, 10)[0].text + " he\x85 left"),
        {"mojibake": 2},
    ),
    "controls": (
        lambda: with_text(clean(1, 9)[0].text + "\x00", "\u202e" + clean(1, 10)[0].text),
        {"controls": 2},
    ),
    "scripts": (lambda: with_text(RUSSIAN), {"scripts": 1}),
    "unknown words": (unknown_words, {"unknown words": 327}),
    "unknown negations": (unknown_negations, {"unknown negations": 1}),
}
