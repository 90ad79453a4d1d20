"""Minimal pairs: two sentences that differ in what agrees, one right, one wrong.

BLiMP (Warstadt et al. 2020), the set of Marvin & Linzen (2018) and a user's own files become the same pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
from pyarrow import csv

from gatelight.errors import DataError
from gatelight.text import archives
from gatelight.text.readers import streams
from gatelight.text.readers.example import Options
from gatelight.text.readers.tables import json_object

BLIMP_TERM = "subject_verb_agreement"  # of BLiMP's twelve phenomena
_ENDINGS = (".jsonl", ".jsonl.gz", ".ndjson")
_TABLES = {".csv": ",", ".tsv": "\t"}

# Where the noun stands that a construction of Marvin & Linzen is about: from the sentence's beginning, or
# (negative) from the word that differs. Those about licensors of "ever" have none.
_SUBJECTS = {
    "simple_agrmt": 1, "vp_coord": 1, "long_vp_coord": 1, "prep": 1, "subj_rel": 1, "obj_rel_across": 1,
    "obj_rel_no_comp_across": 1, "simple_reflexives": 1, "reflexives_across": 1, "sent_comp": -1,
    "obj_rel_within": -1, "obj_rel_no_comp_within": -1, "reflexive_sent_comp": -2,
}  # fmt: skip
# Nouns without an article, of the first halves of its long coordinations.
_BARE_NOUNS = frozenset(("languages", "shows", "years", "tennis", "colleagues", "journal", "day"))


@dataclass(frozen=True, slots=True)
class MinimalPair:
    """`good` is grammatical and `bad` is not.

    `distance` is the number of words from the subject's noun to its verb (1: the next word), `nouns` that of
    the nouns between them (a name or a compound is one); None where it is not known.
    """

    good: str
    bad: str
    construction: str
    distance: int | None = None
    nouns: int | None = None


def read_pairs(source: str | Path) -> list[MinimalPair]:
    """Read a folder or zip of JSON Lines, or one file of them, CSV or TSV, in whichever of three forms it is.

    BLiMP's rows, of which those about subjects and verbs are taken; Marvin & Linzen's, whose files' names
    are the constructions; or rows with `good`, `bad` and, where there are, `construction`, `distance` and
    `nouns`. Raises DataError for anything else and where no pair is found.
    """
    path = Path(source)
    if not path.exists():
        raise DataError(f"{source}: no such file or folder; expected minimal pairs, say the folder of a set")
    pairs = [pair for stem, place, row in _rows(path) for pair in _pairs_of(row, stem, place)]
    if not pairs:
        raise DataError(f"{source}: holds no minimal pairs; expected JSON Lines, CSV or TSV of such")
    return pairs


def thinned(pairs: list[MinimalPair], limit: int, seed: int = 0) -> list[MinimalPair]:
    """Return `limit` pairs of each construction at most, drawn by the seed, in their order."""
    of: dict[str, list[int]] = {}
    for number, pair in enumerate(pairs):
        of.setdefault(pair.construction, []).append(number)
    rng = np.random.default_rng(seed)
    kept = [rng.permutation(numbers)[:limit] for numbers in of.values()]
    return [pairs[number] for number in np.sort(np.concatenate(kept)).tolist()]


def _rows(path: Path) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Name without endings, place for a message and content of each row."""
    if path.is_dir():
        for file in sorted(path.iterdir()):
            if file.name.endswith(_ENDINGS):
                yield from _rows(file)
    elif archives.is_zip(path):
        for name, content in archives.members(path, lambda name: name.endswith(_ENDINGS)):
            if not name.startswith("__MACOSX"):
                lines = streams.decoded(content, Options(), f"{path}: {name}").splitlines()
                yield from _objects(enumerate(lines, 1), Path(name).name.partition(".")[0], f"{path}: {name}")
    elif delimiter := _TABLES.get(path.suffix.lower()):
        yield from _table(path, delimiter)
    else:
        yield from _objects(streams.lines(path, Options()), path.name.partition(".")[0], str(path))


def _objects(
    lines: Iterable[tuple[int, str]], stem: str, origin: str
) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for number, line in lines:
        if not line.strip():
            continue
        place = f"{origin}: line {number}"
        yield stem, place, json_object(line, place)


def _table(path: Path, delimiter: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    try:
        rows = csv.read_csv(path, parse_options=csv.ParseOptions(delimiter=delimiter)).to_pylist()
    except pyarrow.ArrowInvalid as error:
        raise DataError(f"{path} cannot be read as a table ({error})") from None
    for number, row in enumerate(rows, 1):
        yield (
            path.stem,
            f"{path}: row {number}",
            {name: it for name, it in row.items() if it not in (None, "")},
        )


def _pairs_of(row: Mapping[str, Any], stem: str, place: str) -> Iterator[MinimalPair]:
    for key, form in _FORMS.items():
        if key in row:
            try:
                yield from form(row, stem)
            except (KeyError, TypeError, ValueError, IndexError, StopIteration) as error:
                what = f"lacks {error}" if isinstance(error, KeyError) else f"is not as expected ({error})"
                raise DataError(f"{place}: {what}; a row with {key!r} must be one of {_NAMES[key]}") from None
            return
    raise DataError(
        f"{place} is no minimal pair, its keys are {', '.join(map(repr, row))}; expected good and bad"
    )


def _own(row: Mapping[str, Any], stem: str) -> Iterable[MinimalPair]:
    counts = []
    for name in ("distance", "nouns"):
        value = row.get(name)
        count = None if value is None else int(value)
        if (count is not None and count < 0) or (isinstance(value, float) and value != count):
            raise ValueError(f"{name} is {value!r}, expected a count")
        counts.append(count)
    good, bad = _different(row["good"], row["bad"])
    return [MinimalPair(good, bad, str(row.get("construction", stem)), *counts)]


def _blimp(row: Mapping[str, Any], stem: str) -> Iterable[MinimalPair]:
    if row["linguistics_term"] != BLIMP_TERM:
        return []
    name, distance, nouns = row["UID"], 1, 0  # the verb follows its subject in all paradigms but two
    if name.startswith("distractor"):
        words = row["one_prefix_prefix"].split()
        marks = ("who", "that") if name.endswith("relative_clause") else ("of", "about")
        distance = len(words) + 1 - next(k for k, word in enumerate(words) if k and word in marks)
        nouns = 1
    return [MinimalPair(*_different(row["sentence_good"], row["sentence_bad"]), name, distance, nouns)]


def _marvin_linzen(row: Mapping[str, Any], stem: str) -> Iterable[MinimalPair]:
    # They stand there without a capital and a full stop; with them they are sentences as any other.
    good, *wrong = (f"{text[:1].upper()}{text[1:]}." for text in row["sents"])
    if len(wrong) not in (1, 2):
        raise ValueError(f"{len(row['sents'])} sentences, expected 2 or 3")
    for number, bad in enumerate(wrong):
        # Of three, the second has its licensor where it licenses nothing.
        intrusive = number == 0 and len(wrong) == 2 and "across" in stem
        yield MinimalPair(*_different(good, bad), stem + ", intrusive" * intrusive, *_apart(good, bad, stem))


def _apart(good: str, bad: str, stem: str) -> tuple[int | None, int | None]:
    """Distance and nouns of a pair of Marvin & Linzen's."""
    subject = _SUBJECTS.get(stem.removesuffix("_anim").removesuffix("_inanim"))
    if subject is None:
        return None, None
    words = good.split()
    verb = next(k for k, (one, other) in enumerate(zip(words, bad.split(), strict=True)) if one != other)
    subject += verb if subject < 0 else 0
    if not 0 < subject < verb:
        raise ValueError("what differs is not behind the subject")
    between = words[subject + 1 : verb]
    return verb - subject, sum(word == "the" or word in _BARE_NOUNS for word in between)


def _different(good: Any, bad: Any) -> tuple[str, str]:
    if not isinstance(good, str) or not isinstance(bad, str) or good == bad:
        raise ValueError(f"{good!r} and {bad!r} are not two different sentences")
    return good, bad


_FORMS: dict[str, Callable[[Mapping[str, Any], str], Iterable[MinimalPair]]] = {
    "sentence_good": _blimp,
    "sents": _marvin_linzen,
    "good": _own,
}
_NAMES = {"sentence_good": "BLiMP's", "sents": "Marvin & Linzen's", "good": "good and bad"}
