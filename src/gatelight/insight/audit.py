"""What is wrong with texts before anything is trained on them, in numbers. Trains nothing, prints nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatelight.errors import DataError
from gatelight.insight import defects, lengths, overlaps, unknown_words
from gatelight.insight.findings import Finding, some
from gatelight.insight.lengths import LengthReport
from gatelight.insight.overlaps import ALIKE, Overlap, Overlaps
from gatelight.insight.survey import NONE, Survey
from gatelight.insight.unknown_words import UnknownReport
from gatelight.text.corpus import Example
from gatelight.text.tokenizers import tokenizer
from gatelight.text.vectors import WordVectors
from gatelight.text.vocabulary import Vocabulary

TRAIN = "train"
ALL_BUT_CUT = 1 << 30  # where no length was given, what nobody cuts at


@dataclass(frozen=True)
class Audit:
    """All that was found; `findings` are the defects, the rest are facts.

    `parts` and `labels` hold [name, texts]; `within` is as in `Overlaps`; `torn` is the share of a random
    fifth whose group is trained on too (None: no groups); `searched` texts were searched for near copies.
    """

    origin: str
    texts: int
    parts: list[list[Any]]
    labels: list[list[Any]]
    groups: int
    lengths: LengthReport
    unknown: list[UnknownReport]
    near_from: float
    searched: int
    within: list[list[Any]]
    between: list[Overlap]
    torn: float | None
    all_types: bool
    findings: list[Finding]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON-able values, with each finding's share."""
        return {
            **asdict(self),
            "findings": [{**asdict(finding), "share": finding.share} for finding in self.findings],
            "unknown": [{**asdict(report), "share": report.share} for report in self.unknown],
            "lengths": {**asdict(self.lengths), "padding": self.lengths.padding},
        }


def audit(
    examples: Iterable[Example],
    settings: Mapping[str, Any],
    *,
    against: tuple[str, Iterable[Example]] | None = None,
    read_vectors: Callable[[Iterable[str]], WordVectors] | None = None,
    near_from: float = ALIKE,
    origin: str = "memory",
    on_text: Callable[[int], None] | None = None,
    on_stage: Callable[[str], object] = lambda stage: None,
) -> Audit:
    """Go through texts as a preset's `settings` read them, and through `against` (name, texts) beside.

    Each text is on the side of its part. `read_vectors` gives the vectors of some words. `near_from` is the
    Jaccard index of word pairs from which texts are near copies. `on_text(n)` and `on_stage(name)` ("survey",
    "overlaps", "unknown") tell where it stands. Raises DataError when there is no text.
    """
    if not 0 < near_from <= 1:
        raise DataError(f"texts are near copies from {near_from} on; expected more than 0, and 1 at most")
    cut = tokenizer(settings["tokenizer"], lowercase=settings["lowercase"], clean=settings["clean"])
    survey = Survey(cut)
    survey.add(examples, on_text=on_text)
    if not len(survey):
        raise DataError(f"{origin}: is empty; expected at least one text")
    own = len(survey.side_names)
    if against is not None:
        survey.add(against[1], against[0], on_text)
        if len(survey.side_names) == own:
            raise DataError(f"{against[0]}: is empty; expected at least one text to compare with")
    on_stage("survey")
    survey.finish()
    return _judge(survey, settings, own, read_vectors, near_from, origin, on_stage)


def _judge(
    survey: Survey,
    settings: Mapping[str, Any],
    own: int,
    read_vectors: Callable[[Iterable[str]], WordVectors] | None,
    near_from: float,
    origin: str,
    on_stage: Callable[[str], object],
) -> Audit:
    of_data = survey.side < own
    measured = lengths.measure(
        survey.tokens[of_data],
        survey.chars[of_data],
        survey.label[of_data],
        survey.label_names,
        settings["max_length"] or ALL_BUT_CUT,
        settings["truncation"],
    )
    longest = of_data & (survey.tokens > measured.maxlen)
    on_stage("overlaps")
    found: Overlaps = overlaps.find(survey, near_from)
    on_stage("unknown")
    unknown = _unknown(survey, settings, read_vectors)
    return Audit(
        origin=origin,
        texts=len(survey),
        parts=[[name, int((survey.side == side).sum())] for side, name in enumerate(survey.side_names)],
        labels=_labels(survey),
        groups=len(survey.group_names),
        lengths=measured,
        unknown=unknown,
        near_from=near_from,
        searched=found.searched,
        within=found.within,
        between=found.between,
        torn=found.torn,
        all_types=len(survey.types) <= survey.types.most,
        findings=[
            *found.findings,
            *defects.find(survey),
            *lengths.findings(measured, [survey.quote(text) for text in some(longest)]),
            *(finding for report in unknown for finding in unknown_words.findings(report)),
        ],
    )


def _labels(survey: Survey) -> list[list[Any]]:
    counts = Counter(survey.label[survey.label != NONE].tolist())
    return [[survey.label_names[label], count] for label, count in counts.most_common()]


def _unknown(
    survey: Survey,
    settings: Mapping[str, Any],
    read_vectors: Callable[[Iterable[str]], WordVectors] | None,
) -> list[UnknownReport]:
    """The first part's vocabulary against the other parts, or itself; vectors against all."""
    names, sides = list(survey.types), range(len(survey.side_names))
    home = survey.side_names.index(TRAIN) if TRAIN in survey.side_names else 0
    counts = survey.counts[home]
    vocabulary = Vocabulary.from_counts(
        {names[i]: int(counts[i]) for i in np.flatnonzero(counts).tolist() if i},
        min_count=settings["min_count"],
        max_size=settings["max_words"],
    )
    of = f"the vocabulary of {survey.side_names[home] or 'the texts'} ({len(vocabulary) - 2:,} words)"
    others = [side for side in sides if side != home] or [home]
    reports = [unknown_words.measure(survey, others, vocabulary, of, vocabulary.tokens[2:])]
    if read_vectors is not None:
        vectors = read_vectors(names)
        reports.append(
            unknown_words.measure(
                survey, list(sides), vectors, vectors.origin or "the word vectors", vectors.words
            )
        )
    return reports
