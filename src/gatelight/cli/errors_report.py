"""What is known of a model's mistakes, said on the console and as an HTML page. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from gatelight.cli import charts, html
from gatelight.cli.output import percent, say, table
from gatelight.cli.reports import evaluation_table

if TYPE_CHECKING:
    from markupsafe import Markup

    from gatelight.insight.errors import Agreement, ErrorAnalysis, Mistake, Slice
    from gatelight.insight.rare_words import Edit, Effect

SHOWN_COVERAGE = (1.0, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1)
MOST_CLASSES = 12
WORDS_WITHOUT_CAUSE = (
    "d: the difference in standard deviations, with its 95 % interval; –: there is no spread."
)
NEGATION_NOTE = "*: the interval leaves out zero. Negations and contrast words are lists of English words."


def print_mistakes(to: Console, found: ErrorAnalysis, model: str, origin: str) -> None:
    """Print everything in tables that fit 80 columns, the texts last."""
    say(to, f"{model} on {origin}: {found.texts:,} texts, with 95 % intervals")
    for line in _trained_on(found):
        say(to, line)
    to.print(evaluation_table(found.evaluation))
    to.print(table(*_confusion(found)))
    say(to, _calibration(found))
    say(to, _coverage(found))
    say(to, "")
    for effect in found.effects:
        say(to, _effect(effect))
    for edit in found.edits:
        say(to, _edit(edit))
    for columns, rows in _slice_tables(found):
        to.print(table(columns, rows))
    say(to, NEGATION_NOTE)
    if found.agreement is not None:
        say(to, _agreement(found.agreement))
    for title, listed in _listed(found):
        if listed:
            say(to, title, style="bold")
        for mistake in listed:
            say(to, f"  {mistake.quote.id}: {_predicted(mistake)}: {mistake.quote.text}")


def page(path: Path, found: ErrorAnalysis, model: str, origin: str) -> None:
    """Write the report as one HTML file."""
    e = found.evaluation
    figures = (
        f"{found.texts:,} texts; accuracy {percent(e.accuracy)} "
        f"({percent(e.accuracy_low)} to {percent(e.accuracy_high)}), log loss {e.log_loss:.3f}."
    )
    html.write(
        path,
        "errors",
        f"Mistakes of {model} on {origin}",
        summary=[figures, *_trained_on(found)],
        confusion=_confusion(found),
        calibration=_calibration(found),
        reliability=_reliability_chart(found),
        coverage=_coverage_chart(found),
        coverage_line=_coverage(found),
        effects=[_effect_row(effect) for effect in found.effects],
        effects_note=WORDS_WITHOUT_CAUSE,
        edits=[_edit(edit) for edit in found.edits],
        slices=_slice_tables(found),
        slices_note=NEGATION_NOTE,
        agreement=None if found.agreement is None else _agreement(found.agreement),
        listed=[
            (title, [(_predicted(mistake), (mistake.quote.id, mistake.quote.text)) for mistake in listed])
            for title, listed in _listed(found)
        ],
    )


def _reliability_chart(found: ErrorAnalysis) -> Markup:
    sure = [(b.confidence, b.accuracy) for b in found.calibration.bins]
    low = min(0.5, *(min(point) for point in sure))
    return charts.curves(
        [charts.Curve("this model", sure), charts.Curve("calibrated", [(low, low), (1, 1)], dashed=True)],
        "how sure it is",
        "right",
        x_range=(low, 1.0),
        y_range=(low, 1.0),
        percent_x=True,
    )


def _coverage_chart(found: ErrorAnalysis) -> Markup:
    return charts.curves(
        [charts.Curve("accuracy", found.coverage)],
        "fraction of the texts, the surest first",
        "accuracy",
        x_range=(0.0, 1.0),
        y_range=(min(0.5, *(accuracy for _, accuracy in found.coverage)), 1.0),
        percent_x=True,
    )


def _slice_tables(found: ErrorAnalysis) -> list[tuple[list[str], list[list[str]]]]:
    return [
        ([by, "texts", "wrong", "more than others"], [_slice_row(one) for one in slices])
        for by, slices in groupby(found.slices, lambda one: one.by)
    ]


def _trained_on(found: ErrorAnalysis) -> Iterator[str]:
    if found.trained_on is None:
        yield "Whether the model was trained on some of these texts is not known: it does not say on which."
    elif found.left_out:
        yield f"{found.trained_on:,} more texts were trained on and are left out."
    elif found.trained_on:
        yield "The model was trained on all of these texts, so that all figures flatter it; give others."


def _confusion(found: ErrorAnalysis) -> tuple[list[str], list[list[str]]]:
    names = [str(name) for name in found.classes[:MOST_CLASSES]]
    rows = [
        [f"is {name}", *(f"{count:,}" for count in row[: len(names)])]
        for name, row in zip(names, found.confusion, strict=False)
    ]
    return ["", *(f"predicted {name}" for name in names)], rows


def _calibration(found: ErrorAnalysis) -> str:
    said = f"Expected calibration error {percent(found.calibration.error)}."
    if found.offered is not None and found.offered_error is not None and abs(found.offered - 1) > 0.005:
        said += (
            f" A temperature of {found.offered:.2f}, fitted on the validation texts, would make it "
            f"{percent(found.offered_error)}: --calibrate validation saves it with the model."
        )
    return said


def _coverage(found: ErrorAnalysis) -> str:
    points = [
        f"{percent(accuracy)} of the surest {100 * share:.0f} %"
        for share, accuracy in found.coverage
        if share in SHOWN_COVERAGE
    ]
    return f"Right: {', '.join(points)}."


def _number(value: float, share: bool) -> str:
    return f"{100 * value:.2f} %" if share else f"{value:.3f}"


def _effect_row(effect: Effect) -> list[str]:
    fraction = effect.name.startswith("fraction")
    d = "–"
    if effect.d is not None:
        d = f"{effect.d:+.2f} ({effect.d_low:+.2f} to {effect.d_high:+.2f})"
    return [
        effect.name,
        _number(effect.right, fraction),
        _number(effect.wrong, fraction),
        d,
    ]


def _effect(effect: Effect) -> str:
    name, right, wrong, d = _effect_row(effect)
    return f"{name}: right texts {right}, wrong ones {wrong}, d {d}"


def _edit(edit: Edit) -> str:
    if not edit.texts:
        return f"{edit.name.capitalize()}: no text has any."
    return (
        f"{edit.name.capitalize()} ({edit.words:,} in {edit.texts:,} texts): {edit.flips:,} answers turn, "
        f"{percent(edit.flips / edit.texts)} ({percent(edit.low)} to {percent(edit.high)}), "
        f"{edit.to_right:,} to right and {edit.to_wrong:,} to wrong; accuracy {100 * edit.gain:+.2f} points "
        f"({100 * edit.gain_low:+.2f} to {100 * edit.gain_high:+.2f})."
    )


def _slice_row(found: Slice) -> list[str]:
    return [
        found.value,
        f"{found.texts:,}",
        f"{percent(found.rate)} ({100 * found.low:.0f} to {100 * found.high:.0f})",
        f"{100 * found.apart:+.1f} ({100 * found.apart_low:+.0f} to {100 * found.apart_high:+.0f})"
        + (" *" if found.apart_low > 0 or found.apart_high < 0 else ""),
    ]


def _agreement(found: Agreement) -> str:
    return (
        f"Model and baseline say the same of {percent(found.same)} (kappa {found.kappa:.2f}): both are right "
        f"{found.both:,} times, the model alone {found.model_only:,}, the baseline alone "
        f"{found.baseline_only:,}, neither {found.neither:,}; the model {100 * found.gain:+.2f} points "
        f"({100 * found.gain_low:+.2f} to {100 * found.gain_high:+.2f}), McNemar p = {found.p:.2g}."
    )


def _listed(found: ErrorAnalysis) -> Iterator[tuple[str, list[Mistake]]]:
    yield "The most confident mistakes", found.worst
    yield "Only the model is right", found.model_alone
    yield "Only the baseline is right", found.baseline_alone


def _predicted(mistake: Mistake) -> str:
    if mistake.truth == mistake.predicted:
        return f"rightly predicted {mistake.truth} ({percent(mistake.probability)})"
    return (
        f"is {mistake.truth}, predicted {mistake.predicted} ({percent(mistake.probability)}; "
        f"{mistake.truth} {percent(mistake.probability_of_truth)})"
    )
