"""Texts that come again: within a part, across a split, with two labels; groups on both sides."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from gatelight.insight.findings import EXAMPLES, Finding
from gatelight.insight.survey import NONE, Mask, Survey
from gatelight.text.near_duplicates import LEAST_WORDS, candidates, likeness

ALIKE = 0.7  # the Jaccard index of word pairs from which texts are near copies


@dataclass(frozen=True)
class Overlap:
    """Between two parts: texts of `later`, and how many have a copy, a near copy or group in `earlier`."""

    earlier: str
    later: str
    texts: int
    exact: int
    near: int
    grouped: int


@dataclass
class Overlaps:
    """All that comes again; `within` has [part, texts, exact copies, texts with a near copy] by part."""

    within: list[list[Any]] = field(default_factory=list)
    between: list[Overlap] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


class _Alike:
    """Texts by their words: which have the same, and which have nearly the same."""

    def __init__(self, survey: Survey) -> None:
        self.first, self.number = np.unique(survey.sequence, return_index=True, return_inverse=True)[1:]
        enough = survey.words >= LEAST_WORDS
        # Of texts with the same words the first stands for all.
        stands = np.zeros(len(survey), bool)
        stands[self.first] = True
        pairs = candidates(survey.keys, stands & enough)
        self.pairs = pairs[likeness(pairs, survey.tokens_of, survey.is_word) >= ALIKE]
        size = len(self.first)
        own = np.zeros((size, len(survey.side_names)))
        np.add.at(own, (self.number, survey.side), enough)
        near = coo_array((np.ones(len(self.pairs)), self.number[self.pairs].T), shape=(size, size)).tocsr()
        self.there = own + near @ own + near.T @ own  # texts with the same or nearly the same words, by side

    def on(self, side: int, own_side: npt.NDArray[np.int64]) -> Mask:
        """Which texts have one alike, other than themselves, on a side."""
        return np.asarray(self.there[self.number, side] > (own_side == side))


def find(survey: Survey) -> Overlaps:
    """Look for copies, for texts alike, and for groups on both sides."""
    alike = _Alike(survey)
    out = Overlaps()
    enough = survey.words >= LEAST_WORDS
    for side, name in enumerate(survey.side_names):
        here = survey.side == side
        _, first, number, times = np.unique(
            survey.exact[here], return_index=True, return_inverse=True, return_counts=True
        )
        copies, copied = here.copy(), np.zeros(len(survey), bool)
        copies[np.flatnonzero(here)[first]] = False
        copied[here] = times[number] > 1
        near = here & enough & alike.on(side, survey.side) & ~copied
        out.within.append([name, int(here.sum()), int(copies.sum()), int(near.sum())])
        where = f" in the part {name}" if name and len(survey.side_names) > 1 else ""
        out.findings += survey.finding(
            "copies",
            copies & (survey.words > 0),
            f"texts{where} are copies of another one",
            "keep one of each: copies count twice in training, and are not new in a test",
            of=here,
        )
        out.findings += survey.finding(
            "near copies",
            near,
            f"texts{where} have a near copy there (they share {ALIKE:g} or more of their word pairs)",
            "look at the pairs: reposts and templates count twice, and leak over a random split",
            of=here,
            pairs=alike.pairs[near[alike.pairs].all(axis=1)],
        )
    for earlier, later in combinations(range(len(survey.side_names)), 2):
        _between(out, survey, alike, earlier, later)
    _two_labels(out, survey, alike)
    return out


def _between(out: Overlaps, survey: Survey, alike: _Alike, earlier: int, later: int) -> None:
    names = survey.side_names
    first, second = survey.side == earlier, survey.side == later
    written = survey.words > 0
    exact = second & written & np.isin(survey.exact, survey.exact[first])
    near = second & (survey.words >= LEAST_WORDS) & alike.on(earlier, survey.side) & ~exact
    groups = np.unique(survey.group[first])
    grouped = second & (survey.group != NONE) & np.isin(survey.group, groups[groups != NONE])
    out.between.append(
        Overlap(names[earlier], names[later], *(int(m.sum()) for m in (second, exact, near, grouped)))
    )
    out.findings += survey.finding(
        "leakage",
        exact,
        f"texts of {names[later]} stand in {names[earlier]} too",
        f"take them out of {names[earlier]}: a model has read the answer",
        of=second,
    )
    one, other = alike.pairs.T
    across = alike.pairs[(first[one] & near[other]) | (near[one] & first[other])]
    out.findings += survey.finding(
        "near leakage",
        near,
        f"more texts of {names[later]} have a near copy in {names[earlier]} "
        f"(they share {ALIKE:g} or more of their word pairs)",
        f"look at the pairs, and take those out of {names[earlier]} that are one text",
        of=second,
        pairs=across,
    )
    shared = np.unique(survey.group[grouped])
    out.findings += survey.finding(
        "groups on both sides",
        grouped,
        f"texts of {names[later]} are of {len(shared):,} groups that are in {names[earlier]} too, such as "
        + ", ".join(repr(survey.group_names[g]) for g in shared[:EXAMPLES].tolist()),
        "split by group: what a model learns of a film or an author is no skill",
        of=second,
    )


def _two_labels(out: Overlaps, survey: Survey, alike: _Alike) -> None:
    labelled = (survey.label != NONE) & (survey.words > 0)
    if not labelled.any():
        return
    lowest = np.full(len(alike.first), np.iinfo(np.int32).max)
    highest = np.full(len(alike.first), NONE, np.int32)
    np.minimum.at(lowest, alike.number[labelled], survey.label[labelled])
    np.maximum.at(highest, alike.number[labelled], survey.label[labelled])
    both = labelled & (lowest < highest)[alike.number]
    label = survey.label[alike.pairs]
    unlike = alike.pairs[(label[:, 0] != label[:, 1]) & (label != NONE).all(axis=1)]
    both[unlike.ravel()] = True
    out.findings += survey.finding(
        "two labels",
        both,
        "texts have the words, or nearly, of a text with another label",
        "read them: one of the two labels is wrong, and no model can get both right",
        of=labelled,
        pairs=np.concatenate([_same_words(alike, both), unlike]),
    )


def _same_words(alike: _Alike, among: Mask) -> npt.NDArray[np.int64]:
    members = np.flatnonzero(among)
    members = members[np.argsort(alike.number[members], kind="stable")]
    same = np.flatnonzero(np.diff(alike.number[members]) == 0)
    return np.stack([members[same], members[same + 1]], axis=1)
