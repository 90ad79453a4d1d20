"""`gatelight errors`: what a saved model gets wrong, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from gatelight.cli.charts import Chart, Curve
from gatelight.cli.document import Block, Card, Figure, Heading, Line, Table, check_packages, tell
from gatelight.cli.options import DATA, JSON, MODEL, THREADS, argument, option
from gatelight.cli.output import percent, say
from gatelight.cli.sources import LIMIT, Reads
from gatelight.cli.use import PART
from gatelight.errors import DataError

if TYPE_CHECKING:
    from rich.console import Console

    from gatelight.estimators.classifier import TextClassifier
    from gatelight.insight.errors import Agreement, ErrorAnalysis, Mistake, Slice
    from gatelight.insight.paired import Difference
    from gatelight.insight.rare_words import Edit, Effect

STAGES = {"predict": "predicting", "baseline": "n-gram baseline", "edits": "changing words"}
VALIDATION = "validation"
SHOWN_COVERAGE = (1.0, 0.9, 0.8, 0.7, 0.5, 0.3, 0.1)
MOST_CLASSES = 12


@dataclass(kw_only=True)
class Errors(Reads):
    """Look into a model's mistakes: which, how sure, and why.

    Among the causes looked for are rare and unknown words. Where DATA has parts, the part test is taken,
    unless --part names another.
    """

    model: str = argument(MODEL, "MODEL")
    data: str = argument(DATA, "DATA")
    out: Path | None = option("also write a report with plots", metavar="FILE.html", short="o")
    part: str | None = option(PART)
    limit: int | None = option(LIMIT, least=1)
    vectors: str | None = option("word vectors, for the words' ranks in their corpus", metavar="VECTORS")
    calibrate: str | None = option(
        "first save a temperature with the model: fitted on its validation texts, or on other DATA",
        metavar="validation|DATA",
    )
    threads: int | None = option(THREADS, least=1)
    json: bool = option(JSON, False)

    def run(self, to: Console) -> None:
        from gatelight.cli.progress import Meter
        from gatelight.cli.sources import available, labelled_texts, limited
        from gatelight.estimators.classifier import TextClassifier
        from gatelight.insight.errors import analyze_errors
        from gatelight.text.vectors import WordVectors

        if self.out is not None:
            check_packages()
        model = TextClassifier.load(self.model)
        corpus = limited(labelled_texts(self.data, to, self.reading, self.part), self.limit)
        if self.calibrate is not None:
            self._calibrate(model, self.calibrate, to)
        found_vectors = None
        if self.vectors is not None:
            available(self.vectors, to)
            words = {token for text in corpus.texts for token in model.tokenizer_.tokens(text)}
            found_vectors = WordVectors.read(self.vectors, words)
        with Meter(to) as meter:
            found = analyze_errors(
                model,
                corpus.texts,
                corpus.labels or [],
                groups=corpus.groups,
                ids=corpus.ids,
                vectors=found_vectors,
                on_stage=lambda stage: meter.show(STAGES[stage], 0, None),
            )
        title = f"Mistakes of {self.model} on {corpus.origin}"
        tell(to, title, list(_report(found)), self.out, found.to_dict() if self.json else None)

    def _calibrate(self, model: TextClassifier, by: str, to: Console) -> None:
        from gatelight.cli.sources import of_part, read
        from gatelight.estimators.calibration import fitted_temperature, is_determined
        from gatelight.estimators.labels import checked_labels

        if by == VALIDATION:
            temperature = model.training_.get("validation_temperature")
            if temperature is None:
                raise DataError(
                    f"{self.model}: no temperature was fitted on validation texts; name labelled texts that "
                    "the model was not trained on"
                )
        elif by == self.data:
            raise DataError(
                "--calibrate names the very texts that are measured, which would flatter; give others"
            )
        else:
            corpus = of_part(read(by, to, self.reading), None)
            targets = model.known_classes().targets(checked_labels(corpus.labels or []))
            temperature = fitted_temperature(model.predict_proba(corpus.texts), targets)
        if not is_determined(temperature):
            raise DataError(
                f"{by} tells no temperature: the search ended at its bound, {temperature:.2f}, as where all "
                "answers are right or none is better than chance; give more labelled texts"
            )
        model.calibrate(temperature)
        model.save(self.model)
        say(to, f"a temperature of {temperature:.3f} is saved with {self.model}")


def _report(found: ErrorAnalysis) -> Iterator[Block]:
    """Yield everything, the texts last; its tables fit 80 columns."""
    from gatelight.cli.reports import evaluation_table

    yield Line(f"{found.texts:,} texts, with 95 % intervals")
    yield from _trained_on(found)
    yield evaluation_table(found.evaluation)
    names = [str(name) for name in found.classes[:MOST_CLASSES]]
    yield Heading("Confusion")
    yield Table(
        ["", *(f"predicted {name}" for name in names)],
        [
            [f"is {name}", *(f"{count:,}" for count in row[: len(names)])]
            for name, row in zip(names, found.confusion, strict=False)
        ],
    )
    yield from _confidence(found)
    if found.effects:
        yield Heading("Are the misread words rare, or unknown?")
        yield from (Line(_effect(effect)) for effect in found.effects)
        yield Line(
            "d: the difference in standard deviations with its 95 % interval; –: there is no spread.", True
        )
    yield Heading("And do they cause the mistakes?")
    yield from (Line(_edit(edit)) for edit in found.edits)
    if found.slices:
        yield Heading("Where it is wrong more often")
        for by, slices in groupby(found.slices, lambda one: one.by):
            yield Table([by, "texts", "wrong", "more than others"], [_slice_row(one) for one in slices])
        yield Line(
            "*: the interval leaves out zero. Negations, contrast words: lists of English words.", True
        )
    if found.agreement is not None:
        yield Heading("Beside the baseline")
        yield Line(_agreement(found.agreement))
    for title, listed in (
        ("The most confident mistakes", found.worst),
        ("Only the model is right", found.model_alone),
        ("Only the baseline is right", found.baseline_alone),
    ):
        if listed:
            yield Heading(title)
        for mistake in listed:
            yield Card(_predicted(mistake), quotes=[(mistake.quote.id, mistake.quote.text)])


def _trained_on(found: ErrorAnalysis) -> Iterator[Line]:
    if found.trained_on is None:
        yield Line(
            "Whether the model was trained on some of these texts is not known: it does not say on which."
        )
    elif found.left_out:
        yield Line(f"{found.trained_on:,} more texts were trained on and are left out.")
    elif found.trained_on:
        yield Line(
            "The model was trained on all of these texts, so that all figures flatter it; give others."
        )


def _confidence(found: ErrorAnalysis) -> Iterator[Block]:
    """How far the probabilities can be believed."""
    yield Heading("How far it can be believed")
    said = f"Expected calibration error {percent(found.calibration.error)}."
    if found.offered is not None and found.offered_error is not None and abs(found.offered - 1) > 0.005:
        said += (
            f" A temperature of {found.offered:.2f}, fitted on the validation texts, would make it "
            f"{percent(found.offered_error)}: --calibrate validation saves it with the model."
        )
    yield Line(said)
    sure = [(b.confidence, b.accuracy) for b in found.calibration.bins]
    low = min(0.5, *(min(point) for point in sure))
    yield Figure(
        Chart(
            "how sure it is",
            "right",
            [Curve("this model", sure), Curve("calibrated", [(low, low), (1, 1)], dashed=True)],
            x_range=(low, 1.0),
            y_range=(low, 1.0),
            percent_x=True,
        ),
        "Each point: the texts of one range of confidence. Below the dashed line the model is too sure.",
    )
    points = [
        f"{percent(accuracy)} of the surest {100 * fraction:.0f} %"
        for fraction, accuracy in found.coverage
        if fraction in SHOWN_COVERAGE
    ]
    yield Line(f"Right: {', '.join(points)}.")
    yield Figure(
        Chart(
            "fraction of the texts, the surest first",
            "accuracy",
            [Curve("accuracy", found.coverage)],
            x_range=(0.0, 1.0),
            y_range=(min(0.5, *(accuracy for _, accuracy in found.coverage)), 1.0),
            percent_x=True,
        ),
        "How much is right where the least sure answers are left out.",
    )


def _effect(effect: Effect) -> str:
    shown = "{:.2%}" if effect.name.startswith("fraction") else "{:.3f}"
    right, wrong = (shown.format(value).replace("%", " %") for value in (effect.right, effect.wrong))
    d = "–" if effect.d is None else f"{effect.d:+.2f} ({effect.d_low:+.2f} to {effect.d_high:+.2f})"
    return f"{effect.name}: right texts {right}, wrong ones {wrong}, d {d}"


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
        f"{100 * found.apart.mean:+.1f} ({100 * found.apart.low:+.0f} to {100 * found.apart.high:+.0f})"
        + ("" if found.apart.includes_zero else " *"),
    ]


def _agreement(found: Agreement) -> str:
    return (
        f"Model and baseline say the same of {percent(found.same)} (kappa {found.kappa:.2f}): both are right "
        f"{found.both:,} times, the model alone {found.model_only:,}, the baseline alone "
        f"{found.baseline_only:,}, neither {found.neither:,}; the model {_points(found.gain)}, "
        f"McNemar p = {found.p:.2g}."
    )


def _predicted(mistake: Mistake) -> str:
    if mistake.truth == mistake.predicted:
        return f"rightly predicted {mistake.truth} ({percent(mistake.probability)})"
    by = ", ".join(f"“{name.strip()}” {value:+.2f}" for name, value in mistake.ngrams)
    return (
        f"is {mistake.truth}, predicted {mistake.predicted} ({percent(mistake.probability)}; "
        f"{mistake.truth} {percent(mistake.probability_of_truth)}){f'; n-grams for it: {by}' if by else ''}"
    )
