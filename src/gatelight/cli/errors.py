"""`gatelight errors`: what a saved model gets wrong, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from gatelight.cli.options import READING, Data, Json, Model, Threads, with_options
from gatelight.cli.output import console, emit, say
from gatelight.cli.progress import Meter
from gatelight.errors import DataError

if TYPE_CHECKING:
    from gatelight.estimators.classifier import TextClassifier

STAGES = {"predict": "predicting", "baseline": "TF-IDF baseline", "edits": "changing words"}
VALIDATION = "validation"


@with_options(reading=READING)
def errors(
    model: Model,
    data: Data,
    reading: dict[str, Any],
    part: Annotated[
        str | None, typer.Option("--part", help="The part of DATA to judge, if it has parts; else test.")
    ] = None,
    vectors: Annotated[
        str | None,
        typer.Option(
            "--vectors", help="Word vectors, for the words' ranks in their corpus.", metavar="NAME|FILE"
        ),
    ] = None,
    calibrate: Annotated[
        str | None,
        typer.Option(
            "--calibrate",
            help="Save a temperature with the model first: the one that its validation texts ask for, or one "
            "fitted on other held-out DATA.",
            metavar="validation|DATA",
        ),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a report with plots to this file.", metavar="FILE")
    ] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Look into a model's mistakes: which, how sure, whether rare or unknown words explain or cause them.

    Where DATA has parts of its own, the part test is judged, unless --part names another.
    """
    from gatelight.cli.errors_report import page, print_mistakes
    from gatelight.cli.html import check
    from gatelight.cli.sources import available, read_to_judge
    from gatelight.estimators.folder import load
    from gatelight.insight.errors import analyze_errors
    from gatelight.nn.threads import set_threads
    from gatelight.text.vectors import WordVectors

    if html is not None:
        check()
    to = console(machine=json)
    set_threads(threads)
    judge = load(model)
    corpus = read_to_judge(data, to, reading, part)
    if calibrate is not None:
        _calibrate(judge, Path(model), calibrate, data, to, reading)
    found_vectors = None
    if vectors is not None:
        available(vectors, to)
        words = {token for text in corpus.texts for token in judge.tokenizer_.tokens(text)}
        found_vectors = WordVectors.read(vectors, words)
    with Meter(to) as meter:
        found = analyze_errors(
            judge,
            corpus.texts,
            corpus.labels or [],
            groups=corpus.groups,
            ids=corpus.ids,
            vectors=found_vectors,
            on_stage=lambda stage: meter.show(STAGES[stage], 0, None),
        )
    if html is not None:
        page(html, found, model, corpus.origin)
    if json:
        emit(found.to_dict())
    else:
        print_mistakes(to, found, model, corpus.origin)
    if html is not None:
        say(to, f"report in {html}")


def _calibrate(
    judge: TextClassifier, folder: Path, by: str, data: str, to: Console, reading: dict[str, Any]
) -> None:
    from gatelight.cli.sources import of_part, read
    from gatelight.estimators.calibration import calibrate, fitted_temperature, is_determined
    from gatelight.estimators.labels import checked_labels

    if by == VALIDATION:
        temperature = judge.training_.get("validation_temperature")
        if temperature is None:
            raise DataError(
                f"{folder}: no temperature was fitted on validation texts; name labelled texts that the "
                "model was not trained on"
            )
    elif by == data:
        raise DataError("--calibrate names the texts that are judged, which would flatter; give others")
    else:
        corpus = of_part(read(by, to, reading), None)
        targets = judge.known_classes().targets(checked_labels(corpus.labels or []))
        temperature = fitted_temperature(judge.predict_proba(corpus.texts), targets)
    if not is_determined(temperature):
        raise DataError(
            f"{by} tells no temperature: the search ended at its bound, {temperature:.2f}, as where all "
            "answers are right or none is better than chance; give more labelled texts"
        )
    calibrate(judge, temperature)
    judge.save(folder)
    say(to, f"a temperature of {temperature:.3f} is saved with {folder}")
