"""Minimal pairs: two sentences that differ in what agrees, one right, one wrong.

BLiMP's paradigms of subject and verb (Warstadt et al. 2020) and a user's own files become the same pairs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gatelight.errors import DataError
from gatelight.text import archives
from gatelight.text.readers import streams
from gatelight.text.readers.example import Options
from gatelight.text.readers.tables import json_object

BLIMP_TERM = "subject_verb_agreement"  # of BLiMP's twelve phenomena
_ENDINGS = (".jsonl", ".ndjson")


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """`good` is grammatical and `bad` is not.

    `distance` is the number of words from the subject's noun to its verb (1: the next word); None where it is
    not known.
    """

    good: str
    bad: str
    construction: str
    distance: int | None = None


def read_pairs(source: str | Path) -> list[MinimalPair]:
    """Read a folder or zip of JSON Lines, or one file of them.

    BLiMP's rows, of which those about subjects and verbs are taken, or rows with `good`, `bad` and, where
    there are, `construction` and `distance`. Raises DataError for anything else and where no pair is found.
    """
    path = Path(source)
    if not path.exists():
        raise DataError(f"{source}: no such file or folder; expected minimal pairs, say the folder of a set")
    pairs = [pair for stem, place, row in _rows(path) if (pair := _pair(row, stem, place)) is not None]
    if not pairs:
        raise DataError(f"{source}: holds no minimal pairs; expected JSON Lines of such")
    return pairs


Rows = Iterator[tuple[str, str, Mapping[str, Any]]]
"""Of each row the file's name without endings, the place for a message, and the content."""


def _rows(path: Path) -> Rows:
    if path.is_dir() or archives.is_zip(path):
        for name, content in archives.members(path, lambda name: name.endswith(_ENDINGS)):
            if not name.startswith("__MACOSX"):
                origin = f"{path}: {name}"
                lines = streams.decoded(content, Options(), origin).splitlines()
                yield from _objects(enumerate(lines, 1), name, origin)
    else:
        yield from _objects(streams.lines(path, Options()), path.name, str(path))


def _objects(lines: Iterable[tuple[int, str]], name: str, origin: str) -> Rows:
    stem = Path(name).name.partition(".")[0]
    for number, line in lines:
        if line.strip():
            place = f"{origin}: line {number}"
            yield stem, place, json_object(line, place)


def _pair(row: Mapping[str, Any], stem: str, place: str) -> MinimalPair | None:
    """None for a row of BLiMP about something else."""
    try:
        if "sentence_good" in row:
            if row["linguistics_term"] != BLIMP_TERM:
                return None
            pair = MinimalPair(row["sentence_good"], row["sentence_bad"], row["UID"], _blimp_distance(row))
        else:
            distance = row.get("distance")
            pair = MinimalPair(row["good"], row["bad"], str(row.get("construction", stem)), distance)
    except KeyError as error:
        raise DataError(
            f"{place} lacks {error}, its keys are {', '.join(map(repr, row))}; expected good and bad, or "
            "BLiMP's keys"
        ) from None
    if not isinstance(pair.good, str) or not isinstance(pair.bad, str) or pair.good == pair.bad:
        raise DataError(f"{place}: {pair.good!r} and {pair.bad!r} are not two different sentences")
    if pair.distance is not None and not (isinstance(pair.distance, int) and pair.distance >= 0):
        raise DataError(f"{place}: the distance is {pair.distance!r}, expected a count of words")
    return pair


def _blimp_distance(row: Mapping[str, Any]) -> int | None:
    if not row["UID"].startswith("distractor"):
        return 1  # the verb follows its subject
    words = row["one_prefix_prefix"].split()
    marks = ("who", "that") if row["UID"].endswith("relative_clause") else ("of", "about")
    subjects = (k for k, word in enumerate(words) if k and word in marks)
    return len(words) + 1 - next(subjects, len(words))
