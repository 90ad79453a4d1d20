"""Defects of single texts and of the classes' sizes, read off a survey's columns. Compares no texts."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gatelight.insight.findings import Finding, some
from gatelight.insight.survey import NONE, Survey
from gatelight.text.oddities import ODDITIES, SCRIPT_NAMES, foreign_letter

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


def find(survey: Survey) -> list[Finding]:
    """Return what is odd: empty texts, classes of unlike size, markup, wrong characters, other scripts."""
    return [*_sizes(survey), *_empty(survey), *_odd(survey), *_scripts(survey)]


def _finding(
    survey: Survey, name: str, which: npt.NDArray[np.bool_], says: str, advice: str, oddity: str = ""
) -> list[Finding]:
    if not which.any():
        return []
    where = ODDITIES.get(oddity)
    quotes = tuple(survey.quote(text, where) for text in some(which))
    return [Finding(name, says, int(which.sum()), len(survey), advice, quotes)]


def _empty(survey: Survey) -> list[Finding]:
    words = survey.words
    few = min(FEW_WORDS, FEW_SHARE * float(np.median(words)))
    return [
        *_finding(survey, "empty", words == 0, "texts hold no word", "leave them out: nothing is to be read"),
        *_finding(
            survey, "near-empty", (words > 0) & (words <= few),
            f"texts hold no more than {FEW_WORDS} words, where half hold {np.median(words):.0f} or more",
            "read them: often a field was cut or a placeholder put in",
        ),
    ]  # fmt: skip


def _odd(survey: Survey) -> list[Finding]:
    return [
        finding
        for name, which in survey.odd.items()
        for finding in _finding(survey, name, which, *_SAYS[name], oddity=name)
    ]


def _scripts(survey: Survey) -> list[Finding]:
    of_script = np.bincount(survey.script, minlength=len(SCRIPT_NAMES))
    main = int(of_script.argmax())
    which = (survey.script != main) | survey.mixed
    others = [SCRIPT_NAMES[s] for s in np.argsort(-of_script, kind="stable") if s != main and of_script[s]]
    says = f"texts are not in {SCRIPT_NAMES[main]} script alone" + (
        f" (mostly in {', '.join(others)})" if others else ""
    )
    quotes = tuple(
        survey.quote(text, lambda shown: foreign_letter(shown, SCRIPT_NAMES[main])) for text in some(which)
    )
    advice = "decide whether they belong here; a vocabulary learns little of a script that is rare"
    return [Finding("scripts", says, int(which.sum()), len(survey), advice, quotes)] if which.any() else []


def _sizes(survey: Survey) -> list[Finding]:
    counts = np.bincount(survey.label[survey.label != NONE], minlength=len(survey.label_names))
    if survey.multilabel or len(counts) < 2 or counts.max() < UNBALANCED * counts.min():
        return []
    small, large, names = int(counts.argmin()), int(counts.argmax()), survey.label_names
    return [
        Finding(
            "unbalanced classes",
            f"texts only are {names[small]}, and {counts[large]:,} are {names[large]}",
            int(counts[small]),
            int(counts.sum()),
            "give --class-weight balanced, and look at F1 rather than at accuracy",
            tuple(survey.quote(text) for text in some(survey.label == small)),
        )
    ]
