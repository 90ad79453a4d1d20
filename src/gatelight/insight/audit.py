"""What is wrong with texts before anything is trained on them, in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from gatelight.errors import DataError
from gatelight.insight import lengths, overlaps, unknown_words
from gatelight.insight.findings import EXAMPLES, Finding
from gatelight.insight.lengths import LengthReport
from gatelight.insight.survey import NONE, Survey
from gatelight.insight.unknown_words import UnknownReport
from gatelight.text.corpus import Example
from gatelight.text.oddities import ODDITIES, SCRIPT_NAMES, foreign_letter
from gatelight.text.tokenizers import tokenizer
from gatelight.text.vectors import WordVectors
from gatelight.text.vocabulary import Vocabulary

TRAIN = "train"
ALL_BUT_CUT = 1 << 30  # where no length was given, what nobody cuts at


FEW_WORDS = 2
FEW_SHARE = 0.1  # of the median: two words are no defect where texts are commands or tags
UNBALANCED = 3.0  # times the smallest class

_SAYS = {
    "markup": (
        "texts hold markup, such as tags and entities",
        "keep --clean (the default): it drops tags and resolves entities, else they are read as words",
    ),
    "mojibake": (
        "texts hold characters that a wrong encoding left",
        "read the source again with the right --encoding; ftfy mends what cannot be had again",
    ),
    "controls": (
        "texts hold control characters, which nobody sees and a tokenizer may read",
        "take them out; a NUL or a direction mark also breaks other tools",
    ),
}

MIN_COUNT = 2  # where it is left open: a word that comes once teaches nothing about its like


@dataclass(frozen=True)
class Audit:
    """All that was found; `findings` are the defects, the rest are facts.

    `parts` and `labels` hold [name, texts].
    """

    origin: str
    texts: int
    parts: list[list[Any]]
    labels: list[list[Any]]
    groups: int
    lengths: LengthReport
    unknown: list[UnknownReport]
    findings: list[Finding]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON-able values, with each finding's fraction."""
        return {
            **asdict(self),
            "findings": [{**asdict(finding), "fraction": finding.fraction} for finding in self.findings],
            "unknown": [{**asdict(report), "fraction": report.fraction} for report in self.unknown],
            "lengths": {**asdict(self.lengths), "padding": self.lengths.padding},
        }


def audit(
    examples: Iterable[Example],
    settings: Mapping[str, Any],
    *,
    against: tuple[str, Iterable[Example]] | None = None,
    read_vectors: Callable[[Iterable[str]], WordVectors] | None = None,
    origin: str = "memory",
    on_text: Callable[[int], None] | None = None,
    on_stage: Callable[[str], object] = lambda stage: None,
) -> Audit:
    """Go through texts as a preset's `settings` read them, and through `against` (name, texts) beside.

    Each text is on the side of its part. `read_vectors` gives the vectors of some words. `on_text(n)` and
    `on_stage(name)` ("overlaps", "unknown") tell where it stands. Raises DataError when there is no text.
    """
    cut = tokenizer(settings["tokenizer"], lowercase=settings["lowercase"], clean=settings["clean"])
    beside = [] if against is None else [against]
    survey = Survey(cut, [(None, examples), *beside], on_text)
    own = len([name for name in survey.side_names if name not in dict(beside)])
    if not own:
        raise DataError(f"{origin}: is empty; expected at least one text")
    if len(survey.side_names) != own + len(beside):
        raise DataError(f"{beside[0][0]}: is empty; expected at least one text to compare with")
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
    found = overlaps.findings(survey)
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
        findings=[
            *found,
            *_sizes(survey),
            *_empty(survey),
            *_odd(survey),
            *_scripts(survey),
            *lengths.findings(
                measured, [survey.quote(text) for text in np.flatnonzero(longest)[:EXAMPLES].tolist()]
            ),
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
    names, sides = survey.type_names, range(len(survey.side_names))
    home = survey.side_names.index(TRAIN) if TRAIN in survey.side_names else 0
    counts = survey.counts[home]
    vocabulary = Vocabulary.from_counts(
        {names[i]: int(counts[i]) for i in np.flatnonzero(counts).tolist()},
        min_count=settings["min_count"] or MIN_COUNT,
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


def _empty(survey: Survey) -> list[Finding]:
    words = survey.words
    few = min(FEW_WORDS, FEW_SHARE * float(np.median(words)))
    return [
        *survey.finding("empty", words == 0, "texts hold no word", "leave them out: nothing is to be read"),
        *survey.finding(
            "near-empty", (words > 0) & (words <= few),
            f"texts hold no more than {FEW_WORDS} words, where half hold {np.median(words):.0f} or more",
            "read them: often a field was cut or a placeholder put in",
        ),
    ]  # fmt: skip


def _odd(survey: Survey) -> list[Finding]:
    return [
        finding
        for name, which in survey.odd.items()
        for finding in survey.finding(name, which, *_SAYS[name], where=ODDITIES[name])
    ]


def _scripts(survey: Survey) -> list[Finding]:
    of_script = np.bincount(survey.script, minlength=len(SCRIPT_NAMES))
    main = int(of_script.argmax())
    which = (survey.script != main) | survey.mixed
    others = [SCRIPT_NAMES[s] for s in np.argsort(-of_script, kind="stable") if s != main and of_script[s]]
    says = f"texts are not in {SCRIPT_NAMES[main]} script alone" + (
        f" (mostly in {', '.join(others)})" if others else ""
    )
    advice = "decide whether they belong here; a vocabulary learns little of a script that is rare"
    return survey.finding(
        "scripts", which, says, advice, where=lambda shown: foreign_letter(shown, SCRIPT_NAMES[main])
    )


def _sizes(survey: Survey) -> list[Finding]:
    counts = np.bincount(survey.label[survey.label != NONE], minlength=len(survey.label_names))
    if survey.multilabel or len(counts) < 2 or counts.max() < UNBALANCED * counts.min():
        return []
    small, large, names = int(counts.argmin()), int(counts.argmax()), survey.label_names
    return survey.finding(
        "unbalanced classes",
        survey.label == small,
        f"texts only are {names[small]}, and {counts[large]:,} are {names[large]}",
        "give --class-weight balanced, and look at F1 rather than at accuracy",
        of=survey.label != NONE,
    )
