"""`gatelight train`: labelled texts become a saved model, with everything that happens on the way shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from gatelight.app.faults import Stopped
from gatelight.app.options import READING, RECIPE, Data, Json, with_options
from gatelight.app.output import console, duration, emit, say
from gatelight.app.progress import Meter, epoch_line

if TYPE_CHECKING:
    from gatelight.app.sources import TrainingTexts
    from gatelight.app.unfinished import UnfinishedRun
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.models.training import Progress

STAGES = {
    "tokenize": "reading words",
    "vectors": "word vectors",
    "train": "training",
    "baseline": "TF-IDF baseline",
    "validate": "validating",
}


@with_options(reading=READING, settings=RECIPE)
def train(
    data: Data,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to save the model in.", metavar="MODEL")],
    reading: dict[str, Any],
    settings: dict[str, Any],
    recipe: Annotated[
        str, typer.Option("--recipe", help="default, char, note-400, note-200 or note-char.")
    ] = "default",
    vectors: Annotated[
        str | None,
        typer.Option(
            "--vectors",
            help="Word vectors: a named set, a file, one-hot, or corpus: train them first, on this data.",
            metavar="NAME|FILE|corpus|one-hot",
        ),
    ] = None,
    from_lm: Annotated[
        Path | None,
        typer.Option(
            "--from-lm",
            help="Start from a saved language model: its tokens, vectors and memory, in one direction.",
            metavar="MODEL",
        ),
    ] = None,
    gradual_unfreezing: Annotated[
        bool,
        typer.Option(
            "--gradual-unfreezing/--no-gradual-unfreezing",
            help="Whether --from-lm trains the head first, with each epoch a layer more, vectors last.",
        ),
    ] = True,
    part: Annotated[str, typer.Option("--part", help="What to train on, if DATA has parts.")] = "train",
    valid: Annotated[
        str | None,
        typer.Option("--valid", help="Validate on this instead of a held-out part.", metavar="PART|DATA"),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option("--test", help="Evaluate on this once, in the end.", metavar="PART|DATA"),
    ] = None,
    test_fraction: Annotated[
        float | None,
        typer.Option("--test-fraction", help="Hold out such a share first, and evaluate on it in the end."),
    ] = None,
    baseline: Annotated[
        bool, typer.Option("--baseline/--no-baseline", help="Whether to fit the TF-IDF baseline beside it.")
    ] = True,
    unlabelled: Annotated[
        bool,
        typer.Option(
            "--unlabelled/--no-unlabelled", help="Whether --vectors corpus also reads the part unsup."
        ),
    ] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was stopped.")] = False,
    json: Json = False,
) -> None:
    """Train a model on labelled texts and save it.

    Where DATA has parts of its own (train, test, unsup), the part train is trained on, unsup serves
    --vectors corpus only, and test is looked at only with --test test.
    """
    from gatelight.app.reports import corpus_line, report
    from gatelight.app.sources import available, read_for_training
    from gatelight.app.unfinished import UnfinishedRun
    from gatelight.estimators.classifier import TextClassifier
    from gatelight.estimators.evaluation import evaluate
    from gatelight.estimators.folder import KIND
    from gatelight.estimators.settings import CORPUS, ONE_HOT, check_settings

    to = console(machine=json)
    if vectors is not None:
        settings["vectors"] = vectors
    if from_lm is not None:
        settings |= {"from_lm": from_lm, "gradual_unfreezing": gradual_unfreezing}
    estimator = TextClassifier.from_recipe(recipe, **settings)
    # Before minutes are spent on reading.
    check_settings(estimator.get_params(deep=False))
    run = UnfinishedRun(out, KIND)
    run.begin(resume)
    try:
        if vectors not in (None, CORPUS, ONE_HOT):
            available(vectors, to)
        texts = read_for_training(
            data,
            to,
            reading,
            part=part,
            with_unlabelled=unlabelled and vectors == CORPUS,
            valid=valid,
            test=test,
            test_fraction=test_fraction,
            seed=estimator.seed,
        )
        say(to, corpus_line(texts.training))
        _fit(estimator, texts, run, to, baseline=baseline, resume=resume, json=json)
    finally:
        run.clear_if_empty()
    tested = None
    if texts.test is not None:
        tested = evaluate(estimator, texts.test.texts, texts.test.labels or [], baseline=baseline)
        estimator.training_["test"] = tested.to_dict()
    run.save(estimator.save)
    report(to, estimator, tested)
    say(to, f"saved in {out}")
    if json:
        validation = estimator.validation_
        emit(
            {
                "model": str(out),
                **estimator.training_,
                "validation": None if validation is None else validation.to_dict(),
                "test": None if tested is None else tested.to_dict(),
            }
        )


def _fit(
    estimator: TextClassifier,
    texts: TrainingTexts,
    run: UnfinishedRun,
    to: Console,
    *,
    baseline: bool,
    resume: bool,
    json: bool,
) -> None:
    from gatelight.models.training import Interrupted

    corpus, valid = texts.training, texts.valid
    with Meter(to) as meter:

        def on_epoch(record: dict[str, Any]) -> None:
            meter.line(epoch_line(record, estimator.epochs))
            if json:
                emit(record)

        try:
            estimator.fit(
                corpus.texts,
                corpus.labels or [],
                corpus.groups,
                validation=None if valid is None else (valid.texts, valid.labels or []),
                unlabelled=texts.unlabelled or None,
                baseline=baseline,
                origin=corpus.origin,
                checkpoint=run.checkpoint,
                resume=resume,
                on_epoch=on_epoch,
                on_progress=lambda at: meter.show(
                    f"epoch {at.epoch}/{at.epochs}", at.step, at.steps, _pace(at)
                ),
                on_vectors=lambda done, epochs: meter.show(
                    "word vectors", done, epochs, f"{done} of {epochs} epochs"
                ),
                on_stage=lambda stage: meter.show(STAGES[stage], 0, None),
            )
        except Interrupted as stop:
            raise Stopped(
                f"stopped after step {stop.step} of {stop.steps}; the same command with --resume goes on"
            ) from None


def _pace(at: Progress) -> str:
    return (
        f"loss {at.loss:.3f} accuracy {at.accuracy:.3f} {at.steps_per_second:.1f} steps/s "
        f"{duration(at.seconds_left)} left"
    )
