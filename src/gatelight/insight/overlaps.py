"""Texts that come again: within a part, across a split, with two labels; groups on both sides."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array

from gatelight.insight.findings import EXAMPLES, Finding
from gatelight.insight.survey import NONE, Mask, Survey
from gatelight.text.near_duplicates import LEAST_WORDS, candidates, likeness

ALIKE = 0.7  # the Jaccard index of word pairs from which texts are near copies


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


def findings(survey: Survey) -> list[Finding]:
    """Look for copies, for texts alike, and for groups on both sides."""
    alike = _Alike(survey)
    found: list[Finding] = []
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
        where = f" in the part {name}" if name and len(survey.side_names) > 1 else ""
        found += survey.finding(
            "copies",
            copies & (survey.words > 0),
            f"texts{where} are copies of another one",
            "keep one of each: copies count twice in training, and are not new in a test",
            of=here,
        )
        found += survey.finding(
            "near copies",
            near,
            f"texts{where} have a near copy there (they share {ALIKE:g} or more of their word pairs)",
            "look at the pairs: reposts and templates count twice, and leak over a random split",
            of=here,
            pairs=alike.pairs[near[alike.pairs].all(axis=1)],
        )
    for earlier, later in combinations(range(len(survey.side_names)), 2):
        found += _between(survey, alike, earlier, later)
    return found + _two_labels(survey, alike)


def _between(survey: Survey, alike: _Alike, earlier: int, later: int) -> list[Finding]:
    names = survey.side_names
    first, second = survey.side == earlier, survey.side == later
    written = survey.words > 0
    exact = second & written & np.isin(survey.exact, survey.exact[first])
    near = second & (survey.words >= LEAST_WORDS) & alike.on(earlier, survey.side) & ~exact
    groups = np.unique(survey.group[first])
    grouped = second & (survey.group != NONE) & np.isin(survey.group, groups[groups != NONE])
    found = survey.finding(
        "leakage",
        exact,
        f"texts of {names[later]} stand in {names[earlier]} too",
        f"take them out of {names[earlier]}: a model has read the answer",
        of=second,
    )
    one, other = alike.pairs.T
    across = alike.pairs[(first[one] & near[other]) | (near[one] & first[other])]
    found += survey.finding(
        "near leakage",
        near,
        f"more texts of {names[later]} have a near copy in {names[earlier]} "
        f"(they share {ALIKE:g} or more of their word pairs)",
        f"look at the pairs, and take those out of {names[earlier]} that are one text",
        of=second,
        pairs=across,
    )
    shared = np.unique(survey.group[grouped])
    return found + survey.finding(
        "groups on both sides",
        grouped,
        f"texts of {names[later]} are of {len(shared):,} groups that are in {names[earlier]} too, such as "
        + ", ".join(repr(survey.group_names[g]) for g in shared[:EXAMPLES].tolist()),
        "split by group: what a model learns of a film or an author is no skill",
        of=second,
    )


def _two_labels(survey: Survey, alike: _Alike) -> list[Finding]:
    labelled = (survey.label != NONE) & (survey.words > 0)
    lowest = np.full(len(alike.first), np.iinfo(np.int32).max)
    highest = np.full(len(alike.first), NONE, np.int32)
    np.minimum.at(lowest, alike.number[labelled], survey.label[labelled])
    np.maximum.at(highest, alike.number[labelled], survey.label[labelled])
    both = labelled & (lowest < highest)[alike.number]
    label = survey.label[alike.pairs]
    unlike = alike.pairs[(label[:, 0] != label[:, 1]) & (label != NONE).all(axis=1)]
    both[unlike.ravel()] = True
    return survey.finding(
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
