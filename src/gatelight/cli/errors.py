"""`gatelight errors`: what a saved model gets wrong, and why."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from gatelight.cli.options import DATA, JSON, MODEL, THREADS, argument, option
from gatelight.cli.output import emit, percent, say, table
from gatelight.cli.sources import LIMIT, Reads
from gatelight.cli.use import PART

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.insight.errors import Agreement, ErrorAnalysis, Mistake, Slice
    from gatelight.insight.paired import Difference
    from gatelight.insight.rare_words import Edit

STAGES = {"predict": "predicting", "baseline": "n-gram baseline", "edits": "changing words"}
MOST_CLASSES = 12


@dataclass(kw_only=True)
class Errors(Reads):
    """Look into a model's mistakes: which, how sure, and why.

    Whether rare and unknown words cause them is tried. Where DATA has parts, the part test is taken,
    unless --part names another.
    """

    model: str = argument(MODEL, "MODEL")
    data: str = argument(DATA, "DATA")
    part: str | None = option(PART)
    limit: int | None = option(LIMIT, least=1)
    threads: int | None = option(THREADS, least=1)
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.cli.progress import Meter
        from gatelight.cli.sources import labelled_texts, limited
        from gatelight.estimators.classifier import TextClassifier
        from gatelight.insight.errors import analyze_errors

        model = TextClassifier.load(self.model)
        corpus = limited(labelled_texts(self.data, to, self.reading, self.part), self.limit)
        with Meter(to) as meter:
            found = analyze_errors(
                model,
                corpus.texts,
                corpus.labels or [],
                groups=corpus.groups,
                ids=corpus.ids,
                on_stage=lambda stage: meter.show(STAGES[stage], 0, None),
            )
        if self.json:
            emit(found.to_dict())
            return
        say(to, f"Mistakes of {self.model} on {corpus.origin}", "bold")
        _print(to, found)


def _print(to: Console, found: ErrorAnalysis) -> None:
    """Print everything, the texts last; the tables fit 80 columns."""
    from gatelight.cli.reports import evaluation_table

    say(to, f"{found.texts:,} texts, with 95 % intervals")
    _print_trained_on(to, found)
    to.print(evaluation_table(found.evaluation))
    names = [str(name) for name in found.classes[:MOST_CLASSES]]
    say(to, "Confusion", "bold")
    rows = [
        [f"is {name}", *(f"{count:,}" for count in row[: len(names)])]
        for name, row in zip(names, found.confusion, strict=False)
    ]
    to.print(table(["", *(f"predicted {name}" for name in names)], rows))
    say(to, "How far it can be believed", "bold")
    _print_confidence(to, found)
    say(to, "Do rare or unknown words cause the mistakes?", "bold")
    for edit in found.edits:
        say(to, _edit(edit))
    if found.slices:
        say(to, "Where it is wrong more often", "bold")
        for by, slices in groupby(found.slices, lambda one: one.by):
            to.print(table([by, "texts", "wrong"], map(_slice_row, slices)))
        say(to, "Negations are a list of English words.")
    if found.agreement is not None:
        say(to, "Beside the baseline", "bold")
        say(to, _agreement(found.agreement))
    if found.worst:
        say(to, "The most confident mistakes", "bold")
    for mistake in found.worst:
        say(to, _predicted(mistake), "bold")
        say(to, f"  {mistake.quote.id}: {mistake.quote.text}")


def _print_trained_on(to: Console, found: ErrorAnalysis) -> None:
    if found.trained_on is None:
        said = "Whether the model was trained on some of these texts is not known: it does not say on which."
    elif found.left_out:
        said = f"{found.trained_on:,} more texts were trained on and are left out."
    elif found.trained_on:
        said = "The model was trained on all of these texts, so that all figures flatter it; give others."
    else:
        return
    say(to, said)


def _print_confidence(to: Console, found: ErrorAnalysis) -> None:
    said = f"Expected calibration error {percent(found.calibration.error)}."
    if found.offered is not None and found.offered_error is not None and abs(found.offered - 1) > 0.005:
        said += (
            f" A temperature of {found.offered:.2f}, fitted on the validation texts, would make it "
            f"{percent(found.offered_error)}: in Python, model.calibrate({found.offered:.3f})."
        )
    say(to, said)
    rights = [
        f"{percent(accuracy)} of the surest {100 * fraction:.0f} %" for fraction, accuracy in found.coverage
    ]
    say(to, f"Right: {', '.join(rights)}.")


def _edit(edit: Edit) -> str:
    if not edit.texts:
        return f"{edit.name.capitalize()}: no text has any."
    return (
        f"{edit.name.capitalize()} ({edit.words:,} in {edit.texts:,} texts): {edit.flips:,} answers turn, "
        f"{percent(edit.flips / edit.texts)} ({percent(edit.low)} to {percent(edit.high)}), "
        f"{edit.to_right:,} to right and {edit.to_wrong:,} to wrong; accuracy {_points(edit.gain)}."
    )


def _points(gain: Difference) -> str:
    return f"{100 * gain.mean:+.2f} points ({100 * gain.low:+.2f} to {100 * gain.high:+.2f})"


def _slice_row(found: Slice) -> list[str]:
    return [
        found.value,
        f"{found.texts:,}",
        f"{percent(found.rate)} ({100 * found.low:.0f} to {100 * found.high:.0f})",
    ]


def _agreement(found: Agreement) -> str:
    return (
        f"Model and baseline say the same of {percent(found.same)}: both are right {found.both:,} times, the "
        f"model alone {found.model_only:,}, the baseline alone {found.baseline_only:,}, neither "
        f"{found.neither:,}; the model {_points(found.gain)}."
    )


def _predicted(mistake: Mistake) -> str:
    return (
        f"is {mistake.truth}, predicted {mistake.predicted} ({percent(mistake.probability)}; "
        f"{mistake.truth} {percent(mistake.probability_of_truth)})"
    )
